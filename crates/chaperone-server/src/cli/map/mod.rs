//! `chaperone map`: what a bundle's mapping makes of requests.

mod explain;
mod message;
mod view;

use clap::Subcommand;

use self::explain::ExplainArgs;
pub(crate) use self::message::Message;
use super::failure::{Failure, Verdict};

/// See what a bundle's mapping makes of requests
#[derive(Debug, Subcommand)]
pub enum MapCommand {
    /// Show which actions a request is, with its route, attributes and changes, without a server
    #[command(after_help = explain::HELP)]
    Explain(Box<ExplainArgs>),
}

impl MapCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub fn run(self) -> Result<Verdict, Failure> {
        match self {
            Self::Explain(args) => args.run(),
        }
    }
}
