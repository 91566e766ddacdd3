//! `chaperone trail`: query, tail, show, export, verify and replay.

mod decision_view;
mod entry;
mod export;
mod filter;
mod progress;
mod query;
mod replay;
mod stretch;
mod verify;
mod view;

use clap::Subcommand;

pub use self::entry::Entry;
use self::export::ExportArgs;
use self::query::{QueryArgs, ShowArgs, TailArgs};
use self::replay::ReplayArgs;
pub use self::replay::{BundleOption, ReplayOptions, bundle_option};
use self::verify::VerifyArgs;
pub use self::view::action;
use super::failure::{Failure, Verdict};

/// Read the trail of what was decided, export it, and prove that nothing was changed
#[derive(Debug, Subcommand)]
pub enum TrailCommand {
    /// List records, newest first
    #[command(after_help = query::HELP)]
    Query(QueryArgs),
    /// Print a line for every record as it comes, until Ctrl-C
    #[command(after_help = query::TAIL_HELP)]
    Tail(TailArgs),
    /// Show everything about one decision, and what followed from it
    Show(ShowArgs),
    /// Write records for other programs, or for verifying them elsewhere
    #[command(after_help = export::HELP)]
    Export(ExportArgs),
    /// Prove that nothing was changed, left out or put elsewhere, or name the first bad record
    #[command(after_help = verify::HELP)]
    Verify(VerifyArgs),
    /// Make decisions again from their records, and report every difference
    #[command(after_help = replay::HELP)]
    Replay(ReplayArgs),
}

impl TrailCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<Verdict, Failure> {
        match self {
            Self::Query(args) => args.run().await?,
            Self::Tail(args) => args.run().await?,
            Self::Show(args) => args.run().await?,
            Self::Export(args) => args.run().await?,
            Self::Verify(args) => return args.run().await,
            Self::Replay(args) => return args.run().await,
        }
        Ok(Verdict::Yes)
    }
}
