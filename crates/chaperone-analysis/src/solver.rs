//! The solver: cvc5, a program of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cedar_policy_symcc::CedarSymCompiler;
use cedar_policy_symcc::err::Error;
use cedar_policy_symcc::solver::LocalSolver;

/// The name that is looked for in `PATH`.
const NAME: &str = "cvc5";

/// How long it may take to say what it is, and how often it is looked whether it has.
const NAME_TIME_MAX: Duration = Duration::from_secs(5);
const NAME_INTERVAL: Duration = Duration::from_millis(5);

/// A solver that answered once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Solver {
    program: PathBuf,
}

/// Why there is no solver.
#[derive(Debug, thiserror::Error)]
pub enum NoSolver {
    /// There is no such program, or it cannot be run.
    #[error("`{}` cannot be run: {error}", .program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is not cvc5.
    #[error("`{}` is not cvc5", .program.display())]
    Other {
        /// The program.
        program: PathBuf,
    },
}

impl Solver {
    /// The solver at this path, or the one in `PATH`.
    ///
    /// # Errors
    /// When there is none that says that it is cvc5.
    pub fn find(path: Option<&Path>) -> Result<Self, NoSolver> {
        let program = path.unwrap_or(Path::new(NAME)).to_owned();
        match version(&program, NAME_TIME_MAX) {
            Ok(told) if told.status.success() && String::from_utf8_lossy(&told.stdout).contains(NAME) => {
                Ok(Self { program })
            }
            Ok(_) => Err(NoSolver::Other { program }),
            Err(error) => Err(NoSolver::Run { program, error }),
        }
    }

    /// Starts it. It gives up on a question after `limit`, and ends at the latest when it is dropped.
    pub(crate) fn start(&self, limit: Duration) -> Result<CedarSymCompiler<LocalSolver>, Box<Error>> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(["--lang", "smt"]).arg(format!("--tlimit-per={}", limit.as_millis())).kill_on_drop(true);
        let running = LocalSolver::from_command(&mut command).map_err(|error| Box::new(error.into()))?;
        CedarSymCompiler::new(running).map_err(Box::new)
    }
}

/// What a program says of itself. One that does not end in time is ended.
fn version(program: &Path, most: Duration) -> io::Result<Output> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let (mut child, began) = (command.spawn()?, Instant::now());
    while child.try_wait()?.is_none() {
        if began.elapsed() >= most {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("it did not say what it is within {most:?}")));
        }
        thread::sleep(NAME_INTERVAL);
    }
    child.wait_with_output()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_that_does_not_say_what_it_is_is_given_up() {
        let hanging = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/mute"));
        let error = version(hanging, Duration::from_millis(50)).expect_err("it never ends");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
