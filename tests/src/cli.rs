//! The `chaperone` command as people run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::{binaries, chaperone};

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

/// Runs a line that Chaperone printed for people, by a shell, as they would.
pub fn run_printed(line: &str) -> Finished {
    let binary = PathBuf::from(chaperone::command().get_program());
    let directories = binary.parent().map(Path::to_owned).into_iter();
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths(directories.chain(std::env::split_paths(&inherited))).expect("directories without colons");
    finish(
        Command::new("sh")
            .args(["-c", line])
            .env("PATH", path)
            .env("NO_COLOR", "1")
            .current_dir(binaries::repository()),
    )
}

fn finish(command: &mut Command) -> Finished {
    let Output { status, stdout, stderr } = command.output().expect("the command runs");
    Finished {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}
