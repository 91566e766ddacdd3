//! The command line, as the README shows it.

use std::path::Path;

use chaperone_e2e::process::Process;
use chaperone_e2e::{chaperone, cli, ports, wait};

/// The first printed line that is `chaperone`, however it was called, with this command.
fn printed_command(text: &str, command: &str) -> Option<String> {
    let is_command = |line: &&str| {
        line.split_once(' ').is_some_and(|(program, rest)| {
            program.trim_matches('\'').ends_with("chaperone") && rest.starts_with(command)
        })
    };
    text.lines().map(str::trim).find(is_command).map(str::to_owned)
}

/// What `chaperone dev` printed, once it has said what to try.
async fn dev() -> (Process, String) {
    let mut command = chaperone::command();
    command.arg("dev").current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository"));
    for door in ["--data-listen", "--admin-listen", "--http-listen"] {
        command.args([door, &ports::free().to_string()]);
    }
    let mut process = Process::spawn("chaperone dev", &mut command);
    let printed = wait::until("`dev` says what to try", async || {
        process.assert_running();
        let printed = process.stdout();
        let complete = ["check", "session revoke"].iter().all(|command| printed_command(&printed, command).is_some());
        complete.then_some(printed)
    })
    .await;
    (process, printed)
}

#[tokio::test(flavor = "multi_thread")]
async fn printed_check_is_allowed_and_after_the_printed_revocation_denied() {
    let (process, printed) = dev().await;
    let check = printed_command(&printed, "check").expect("a check to try");
    let revoke = printed_command(&printed, "session revoke").expect("a revocation to try");
    let allowed = cli::run_printed(&check);
    assert_eq!(allowed.code, 0, "{allowed:?}\n{}", process.output());
    let revoked = cli::run_printed(&revoke);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    let denied = wait::until("the check is denied", async || {
        let checked = cli::run_printed(&check);
        (checked.code != 0).then_some(checked)
    })
    .await;
    assert_eq!(denied.code, 1, "{denied:?}");
    assert!(format!("{}{}", denied.stdout, denied.stderr).contains("session_revoked"), "{denied:?}");
    // Each decision was told as it was made.
    wait::until("`dev` tells both decisions", async || {
        let live = process.stdout();
        let told = &live[printed.len()..];
        (told.contains("permitted") && told.contains("session_revoked")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_that_cannot_be_made_ends_with_two() {
    let nobody = format!("http://{}", ports::free());
    let check = cli::run(&[
        "check",
        "--data",
        &nobody,
        "--session",
        "chp_x",
        "--action",
        "read",
        "--resource",
        "Document::\"1\"",
    ]);
    assert_eq!(check.code, 2, "{check:?}");
}

#[test]
fn help_and_completions_are_there() {
    let help = cli::run(&["--help"]);
    assert_eq!(help.code, 0, "{help:?}");
    for command in ["dev", "serve", "migrate", "bundle", "session", "check", "config", "completions"] {
        assert!(help.stdout.contains(command), "{command}: {}", help.stdout);
    }
    assert!(cli::run(&["completions", "bash"]).stdout.contains("chaperone"));
}
