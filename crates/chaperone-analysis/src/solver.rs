//! The solver: cvc5, a program of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cedar_policy_symcc::CedarSymCompiler;
use cedar_policy_symcc::err::Error;
use cedar_policy_symcc::solver::LocalSolver;

/// The name that is looked for in `PATH`.
const NAME: &str = "cvc5";

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
        let asked = Command::new(&program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
        match asked {
            Ok(told) if told.status.success() && String::from_utf8_lossy(&told.stdout).contains(NAME) => {
                Ok(Self { program })
            }
            Ok(_) => Err(NoSolver::Other { program }),
            Err(error) => Err(NoSolver::Run { program, error }),
        }
    }

    /// Starts it. It ends when it is dropped, and gives up on a question after `limit`.
    pub(crate) fn start(&self, limit: Duration) -> Result<CedarSymCompiler<LocalSolver>, Box<Error>> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(["--lang", "smt"]).arg(format!("--tlimit-per={}", limit.as_millis())).kill_on_drop(true);
        let running = LocalSolver::from_command(&mut command).map_err(|error| Box::new(error.into()))?;
        CedarSymCompiler::new(running).map_err(Box::new)
    }
}
