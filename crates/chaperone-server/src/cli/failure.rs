//! What can go wrong on the command line, how it is shown, and the exit code that it gives.

use std::fmt::{Display, Write as _};
use std::io;
use std::process::ExitCode;

use chaperone_api::chaperone::v1::Problem;

use super::findings::Severity;
use super::output::{BAD, paint, plain};
use super::problems;
use super::refusal::Refusal;
use crate::count_text::count_text;

/// The exit code for a definite no: a denial, or a bundle with problems.
pub const EXIT_NO: u8 = 1;
/// The exit code for not being able to tell: wrong arguments, files that cannot be read, a server that cannot be reached or refuses.
pub const EXIT_FAILED: u8 = 2;

/// What a command that did its work found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Done, allowed or valid.
    Yes,
    /// Denied or not valid, and said so already.
    No,
}

impl Verdict {
    /// The exit code that it gives.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Yes => ExitCode::SUCCESS,
            Self::No => ExitCode::from(EXIT_NO),
        }
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An argument or a file is at fault.
    #[error("{0}")]
    Input(String),
    /// The server cannot be reached, or does not speak as expected.
    #[error("cannot reach Chaperone at {url}: {cause}")]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        cause: String,
        /// What to do next.
        help: String,
    },
    /// The server did not answer in time.
    #[error("{url} did not answer within {timeout:?}")]
    Timeout {
        /// Where.
        url: String,
        /// How long this waited.
        timeout: std::time::Duration,
    },
    /// The server answered with an error.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// A bundle has problems.
    #[error("{place} has {}", count_text(problems.len(), "problem", "problems"))]
    Invalid {
        /// The bundle's folder.
        place: String,
        /// Every problem.
        problems: Vec<Problem>,
    },
    /// The result cannot be printed.
    #[error("cannot write the result: {0}")]
    Output(#[source] io::Error),
    /// Whoever read standard output has left, as `head` does when it has enough. Not worth a message.
    #[error("nobody reads the result")]
    ReaderGone,
    /// The server, run by this process, did not start or stopped.
    #[error("{0:#}")]
    Server(anyhow::Error),
}

impl Failure {
    /// Of a bundle whose problems were found here.
    pub fn invalid(place: impl Display, problems: Vec<chaperone_policy::Problem>) -> Self {
        Self::Invalid { place: place.to_string(), problems: problems.into_iter().map(problems::from_local).collect() }
    }

    /// The exit code that it gives.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Invalid { .. } => EXIT_NO,
            Self::Input(_)
            | Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Refused(_)
            | Self::Output(_)
            | Self::ReaderGone
            | Self::Server(_) => EXIT_FAILED,
        })
    }

    /// The styled text for standard error.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let error = paint(BAD, "error:");
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Invalid { place, problems } => return problems::render(problems, place, Severity::Error),
            Self::Refused(refusal) => return refusal.render(),
            Self::ReaderGone => return out,
            Self::Unreachable { help, .. } => writeln!(out, "{error} {}\n  help: {help}", plain(&self.to_string())),
            Self::Timeout { .. } => writeln!(
                out,
                "{error} {self}\n  help: wait longer with --timeout 60s, or see whether the server is overloaded or its store away"
            ),
            Self::Input(_) | Self::Output(_) | Self::Server(_) => {
                let lines: Vec<String> = self.to_string().lines().map(plain).collect();
                writeln!(out, "{error} {}", lines.join("\n       "))
            }
        };
        out
    }
}
