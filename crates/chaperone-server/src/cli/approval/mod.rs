//! `chaperone approval`: list, show, approve, deny, cancel and watch.

mod answer;
mod list;
mod view;

use clap::Subcommand;

use self::answer::{ApproveArgs, CloseArgs};
use self::list::{ListArgs, ShowArgs, WatchArgs};
use super::failure::Failure;

/// Answer what challenges ask for
#[derive(Debug, Subcommand)]
pub enum ApprovalCommand {
    /// List approvals, newest first; those that wait, unless told otherwise
    #[command(after_help = list::HELP)]
    List(ListArgs),
    /// Show one approval
    Show(ShowArgs),
    /// Say yes
    #[command(after_help = answer::HELP)]
    Approve(ApproveArgs),
    /// Say no
    Deny(CloseArgs),
    /// Withdraw the question, or what was granted and is not used up
    Cancel(CloseArgs),
    /// Print a line for every change, until Ctrl-C
    Watch(WatchArgs),
}

impl ApprovalCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(args) => args.run().await,
            Self::Show(args) => args.run().await,
            Self::Approve(args) => args.run().await,
            Self::Deny(args) => args.deny().await,
            Self::Cancel(args) => args.cancel().await,
            Self::Watch(args) => args.run().await,
        }
    }
}

/// Reads an approval's id.
fn approval_id(text: &str) -> Result<String, String> {
    let id: Result<chaperone_policy::ApprovalId, _> = text.parse();
    id.map(|id| id.to_string())
        .map_err(|_| "an approval's id is a UUID; `chaperone approval list` shows them".to_owned())
}
