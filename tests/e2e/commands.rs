//! The client's commands against a real server.

use std::fs;

use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone;
use chaperone_e2e::cli::{self, Finished};
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use serde_json::Value;

struct Terminal {
    admin: String,
    data: String,
    token: String,
}

impl Terminal {
    fn admin(&self, arguments: &[&str]) -> Finished {
        cli::run(&[arguments, &["--admin", &self.admin, "--token-file", &self.token]].concat())
    }

    /// What a command of the admin plane prints as JSON.
    fn json(&self, arguments: &[&str]) -> Value {
        let finished = self.admin(&[arguments, &["--output", "json"]].concat());
        assert_eq!(finished.code, 0, "{arguments:?}: {finished:?}");
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
    }

    fn check(&self, handle: &str, arguments: &[&str]) -> Finished {
        let common = ["check", "--data", &self.data, "--session", handle, "--resource", "Document::\"42\""];
        cli::run(&[&common[..], arguments].concat())
    }
}

fn terminal(world: &World) -> Terminal {
    Terminal {
        admin: format!("http://{}", world.replicas[0].admin),
        data: format!("http://{}", world.replicas[0].data),
        token: chaperone::admin_token_file(),
    }
}

/// A bundle as a folder.
fn folder(bundle: &Bundle) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for file in bundle.files() {
        let path = directory.path().join(&file.path);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
        fs::write(path, file.content).expect("the file is written");
    }
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn session_is_opened_listed_shown_and_revoked_from_the_command_line() {
    let world = World::start().await;
    let terminal = terminal(&world);
    let opened = terminal.json(&["session", "open", "--principal", "Agent::\"reader\"", "--owner", "team-docs"]);
    let (id, handle) = (opened["session_id"].as_str().expect("an id"), opened["handle"].as_str().expect("a handle"));
    assert_eq!(terminal.json(&["session", "show", id])["state"], "active");
    let listed = terminal.admin(&["session", "list", "--owner", "team-docs"]);
    assert!(listed.code == 0 && listed.stdout.contains(id), "{listed:?}");
    let allowed = terminal.check(handle, &["--action", "read", "--output", "json"]);
    assert_eq!(allowed.code, 0, "{allowed:?}");
    let decision: Value = serde_json::from_str(&allowed.stdout).expect("JSON");
    assert_eq!((&decision["outcome"], &decision["code"]), (&"allow".into(), &"permitted".into()), "{decision}");
    let denied = terminal.check(handle, &["--action", "export", "--attr", "format=mail", "--output", "table"]);
    assert_eq!(denied.code, 1, "{denied:?}");
    assert!(denied.stdout.contains("no-export-by-mail"), "{denied:?}");
    let unclear = terminal.check(handle, &["--action", "no such action"]);
    assert_ne!(unclear.code, 0, "{unclear:?}");
    let revoked = terminal.admin(&["session", "revoke", id, "--reason", "lost"]);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    wait::until("it is denied", async || {
        let denied = terminal.check(handle, &["--action", "read"]);
        (denied.code == 1 && denied.stdout.contains("session_revoked")).then_some(())
    })
    .await;
    assert_eq!(terminal.json(&["session", "show", id])["ended_reason"], "lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_is_validated_pushed_activated_listed_and_shown_from_the_command_line() {
    let world = World::start().await;
    let terminal = terminal(&world);
    let closed =
        Bundle::documents().with("policies/closed.cedar", "@id(\"closed\") forbid (principal, action, resource);\n");
    let directory = folder(&closed);
    let path = directory.path().to_str().expect("a path in UTF-8");
    assert_eq!(cli::run(&["bundle", "validate", path]).code, 0);
    let pushed = terminal.json(&["bundle", "push", path, "--message", "close everything"]);
    let number = pushed["number"].as_u64().unwrap_or_else(|| panic!("no number: {pushed}")).to_string();
    let handle = world.session().await.handle;
    assert_eq!(terminal.check(&handle, &["--action", "read"]).code, 0, "stored, not active");
    let unexpected = terminal.admin(&["bundle", "activate", &number, "--expected", &number]);
    assert_ne!(unexpected.code, 0, "{unexpected:?}");
    let activated = terminal.admin(&["bundle", "activate", &number, "--message", "as agreed"]);
    assert_eq!(activated.code, 0, "{activated:?}");
    let history = terminal.json(&["bundle", "history", "--limit", "1"]);
    assert_eq!((history[0]["number"].to_string(), &history[0]["message"]), (number.clone(), &"as agreed".into()));
    let shown = terminal.admin(&["bundle", "history", "--output", "table"]);
    assert!(shown.code == 0 && shown.stdout.contains("as agreed"), "{shown:?}");
    wait::until("the new bundle decides", async || {
        (terminal.check(&handle, &["--action", "read"]).code == 1).then_some(())
    })
    .await;
    let back = terminal.json(&["bundle", "rollback", "--expect", &number, "--message", "denies too much"]);
    assert_eq!((back["previous_number"].to_string(), &back["active"]), (number.clone(), &true.into()), "{back}");
    wait::until("the earlier bundle decides", async || {
        (terminal.check(&handle, &["--action", "read"]).code == 0).then_some(())
    })
    .await;
    let unexpected = terminal.admin(&["bundle", "rollback", "--expected", &number]);
    assert!(unexpected.code == 2 && unexpected.stderr.contains("bundle_conflict"), "{unexpected:?}");
    let again = terminal.admin(&["bundle", "rollback", "--output", "table"]);
    assert!(again.code == 0 && again.stdout.contains(&format!("bundle {number} is active again")), "{again:?}");
    let shown = terminal.admin(&["bundle", "history", "--output", "table"]);
    assert!(shown.code == 0 && shown.stdout.contains("rollback") && shown.stdout.contains("denies"), "{shown:?}");
    let listed = terminal.admin(&["bundle", "list"]);
    assert!(listed.code == 0 && listed.stdout.contains("close everything"), "{listed:?}");
    let shown = terminal.admin(&["bundle", "show", &number, "--file", "policies/closed.cedar"]);
    assert!(shown.code == 0 && shown.stdout.contains("@id(\"closed\")"), "{shown:?}");
    // As diff(1): nothing to tell, differences, and not able to tell.
    let same = terminal.admin(&["bundle", "diff", &number, path]);
    assert!(same.code == 0 && same.stdout.is_empty(), "{same:?}");
    let open = folder(&Bundle::documents());
    let open = open.path().to_str().expect("a path in UTF-8");
    for sides in [["bundle", "diff", "1", &number], ["bundle", "diff", "1", path], ["bundle", "diff", open, path]] {
        let differs = terminal.admin(&sides);
        assert_eq!(differs.code, 1, "{sides:?}: {differs:?}");
        assert!(differs.stdout.starts_with("--- /dev/null\n+++ policy closed\n"), "{sides:?}: {differs:?}");
    }
    let differs = terminal.admin(&["bundle", "diff", "1", "--output", "json"]);
    let told: Value = serde_json::from_str(&differs.stdout).expect("JSON");
    assert_eq!(
        (differs.code, &told["equal"], told["differences"].as_array().map(Vec::len)),
        (1, &false.into(), Some(1))
    );
    assert_eq!(
        (&told["differences"][0]["part"], &told["differences"][0]["change"]),
        (&"policy".into(), &"added".into())
    );
    assert_eq!(terminal.admin(&["bundle", "diff", "1", "999"]).code, 2);
    // A bad one is refused with its place, and nothing changes.
    fs::write(
        directory.path().join("policies/bad.cedar"),
        "@id(\"bad\") permit (principal, action, resource) when { ;\n",
    )
    .expect("the file is written");
    assert_eq!(cli::run(&["bundle", "validate", path]).code, 1);
    let unable = cli::run(&["bundle", "diff", path, open]);
    assert!(unable.code == 2 && unable.stderr.contains("policies/bad.cedar:1"), "{unable:?}");
    let refused = terminal.admin(&["bundle", "push", path, "--activate"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(format!("{}{}", refused.stdout, refused.stderr).contains("policies/bad.cedar:1"), "{refused:?}");
    assert_eq!(terminal.check(&handle, &["--action", "read"]).code, 1);
}
