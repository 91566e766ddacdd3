//! Changes of sessions, as whoever watches them sees them.

use chaperone_api::chaperone::v1::{
    SessionFilter, SessionServiceOpenRequest, SessionServiceRenewRequest, SessionState, Task,
};
use chaperone_e2e::admin;
use chaperone_e2e::chaperone::{self, Chaperone};
use chaperone_e2e::process::Process;
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use serde_json::Value;

fn of_task(id: &str) -> SessionServiceOpenRequest {
    let task = Some(Task { id: id.to_owned(), purpose: String::new() });
    SessionServiceOpenRequest { task, ..admin::agent("reader") }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_a_session_is_seen_from_the_other_replica() {
    let world = World::builder().replicas(2).start().await;
    let other = world.replicas[1].administer().await;
    let mut changes = other.watch(SessionFilter { task_id: "watched".to_owned(), ..Default::default() }).await;
    let unwatched = world.open(of_task("another")).await.session;
    let first = world.open(of_task("watched")).await.session;
    let seen = changes.next().await;
    assert_eq!((&seen.id, seen.state()), (&first.id, SessionState::Active), "not {}", unwatched.id);
    let lifetime = Some(prost_types::Duration { seconds: 7200, nanos: 0 });
    let renew = SessionServiceRenewRequest { session_id: first.id.clone(), lifetime };
    let renewed = world.admin.sessions.clone().renew(renew).await.expect("it is renewed").into_inner();
    let seen = changes.next().await;
    assert_eq!(seen.expires_at, renewed.session.expect("the session").expires_at);
    assert!(seen.version > first.version, "{seen:?}");
    world.admin.complete(&first.id).await;
    let seen = changes.next().await;
    assert_eq!((&seen.id, seen.state(), seen.ended_reason.as_str()), (&first.id, SessionState::Completed, "done"));
    let second = world.open(of_task("watched")).await.session;
    assert_eq!(changes.next().await.id, second.id);
    world.admin.revoke(&second.id).await;
    let seen = changes.next().await;
    assert_eq!((&seen.id, seen.state()), (&second.id, SessionState::Revoked));
    assert_eq!((seen.ended_reason.as_str(), seen.ended_by.as_str()), ("the test says so", "token"));
}

/// `session watch` of the second replica, once it watches.
async fn watching(replica: &Chaperone) -> Process {
    let mut command = chaperone::command();
    command.args(["session", "watch", "--output", "json", "--owner", "team-docs"]);
    command.args(["--admin", &format!("http://{}", replica.admin), "--token-file", &chaperone::admin_token_file()]);
    let mut process = Process::spawn("session watch", &mut command);
    wait::until("it watches", async || {
        process.assert_running();
        process.stderr().contains("watching sessions").then_some(())
    })
    .await;
    process
}

async fn printed(process: &mut Process, session_id: &str, state: &str) {
    wait::until(format!("the change to {state} is printed"), async || {
        process.assert_running();
        let stdout = process.stdout();
        let mut changes = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        changes.any(|change| change["session_id"] == session_id && change["state"] == state).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_command_prints_changes_made_elsewhere_and_ends_with_its_server() {
    let mut world = World::builder().replicas(2).start().await;
    let mut process = watching(&world.replicas[1]).await;
    let opened = world.session().await.session;
    printed(&mut process, &opened.id, "active").await;
    world.admin.revoke(&opened.id).await;
    printed(&mut process, &opened.id, "revoked").await;
    // A watch does not hold up the end of its server, and does not go on as if nothing could be missed.
    let status = world.replicas[1].terminate().await;
    assert!(status.success(), "{status}");
    assert_eq!(process.ended().await.code(), Some(2), "{}", process.output());
}
