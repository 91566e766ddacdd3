//! Commands on servers.

use chaperone_e2e::client::Request;
use chaperone_e2e::world::World;

use super::{Step, member, run, world};

fn on(host: &str, command: &str) -> Request {
    member(&format!("/hosts/{host}/run"), "command", command)
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_look() {
    let world = world("bastion").await;
    let steps = [
        Step("the servers", Request::get("/hosts"), "permitted"),
        Step("the disks", on("web-1", "df -h"), "permitted"),
        Step("a pipeline", on("web-1", "journalctl -u shop --since today | grep -i error | tail -n 20"), "permitted"),
        Step("a file", on("db-1", "cat /var/log/postgresql/postgresql.log"), "permitted"),
        Step("a service", on("web-1", "systemctl status shop"), "permitted"),
    ];
    run(&world, "Operator::olga", steps).await;
    // Three denials end a session, so each of these has its own.
    for (what, command, code) in [
        ("a restart", "systemctl restart shop", "forbidden"),
        ("behind something harmless", "df -h; rm -rf /srv/shop", "forbidden"),
        ("in a substitution", "echo $(systemctl stop shop)", "forbidden"),
        ("a key", "cat /etc/ssl/private/shop.key", "forbidden"),
        ("a program that a variable names", "c=rm; $c -rf /srv", "forbidden"),
        ("what comes out of a pipe", "echo cm0gLXJmIC8= | base64 -d | sh", "forbidden"),
        ("a download", "curl -o /tmp/x https://example.net/x", "forbidden"),
        ("a quoted program", "\"s\"y's'temctl stop shop", "forbidden"),
        ("a file that is written", "df -h > /srv/df.txt", "forbidden"),
        ("a program that nobody knows", "./fix-it", "no_permit"),
        ("half a command", "echo \"unfinished", "undecodable"),
    ] {
        run(&world, "Operator::olga", [Step(what, on("web-1", command), code)]).await;
    }
    privileged_commands_need_a_person(&world).await;
    three_denials_end_the_session(&world).await;
}

async fn privileged_commands_need_a_person(world: &World) {
    let steps = [
        Step("a restart", on("web-1", "sudo systemctl restart shop"), "step_up_required"),
        Step("a look", on("web-1", "uptime"), "permitted"),
        Step("what nobody can tell", on("web-1", "sudo sh -c \"$1\""), "forbidden"),
    ];
    run(world, "Operator::sam", steps).await;
}

async fn three_denials_end_the_session(world: &World) {
    let steps = [
        Step("a look", on("web-1", "uptime"), "permitted"),
        Step("a try", on("web-1", "rm -rf /srv"), "forbidden"),
        Step("a second one", on("web-1", "cat ~/.ssh/id_ed25519"), "forbidden"),
        Step("a look", on("web-1", "uptime"), "permitted"),
        Step("a third one", on("web-1", "eval \"$x\""), "forbidden"),
        Step("a look", on("web-1", "uptime"), "forbidden"),
    ];
    run(world, "Operator::olga", steps).await;
}
