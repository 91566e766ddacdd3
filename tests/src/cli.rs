//! The `chaperone` command as people run it.

use std::process::{Command, Output};

use crate::chaperone;

/// What a command came to.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs `chaperone` with these arguments.
pub fn run(arguments: &[&str]) -> Finished {
    finish(chaperone::command().args(arguments))
}

/// Runs a line that Chaperone printed for people, which starts with `chaperone`, by a shell.
pub fn run_printed(line: &str) -> Finished {
    let binary = chaperone::command().get_program().to_owned();
    let binary = binary.to_str().expect("a path in UTF-8").to_owned();
    let rest =
        line.trim().strip_prefix("chaperone").unwrap_or_else(|| panic!("`{line}` does not start with `chaperone`"));
    finish(Command::new("sh").args(["-c", &format!("'{binary}' {rest}")]))
}

fn finish(command: &mut Command) -> Finished {
    let Output { status, stdout, stderr } = command.output().expect("the command runs");
    Finished {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}
