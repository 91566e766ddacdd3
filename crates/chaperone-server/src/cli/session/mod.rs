//! `chaperone session`: open, list, show, renew, complete, revoke, signal, watch and timeline.

mod actor;
mod filter;
mod lifecycle;
mod memory_view;
mod open;
mod revoke;
mod signal;
mod timeline;
mod view;
mod watch;

use clap::Subcommand;

pub(super) use self::actor::{DelegationJson, parties};
use self::lifecycle::{CompleteArgs, ListArgs, RenewArgs, ShowArgs};
use self::open::OpenArgs;
use self::revoke::RevokeArgs;
use self::signal::SignalArgs;
use self::timeline::TimelineArgs;
use self::watch::WatchArgs;
use super::failure::Failure;

/// Open, follow and end sessions
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// Open a session and print its handle, this once
    #[command(after_help = open::HELP)]
    Open(Box<OpenArgs>),
    /// List sessions, newest first
    #[command(after_help = lifecycle::LIST_HELP)]
    List(ListArgs),
    /// Show one session, and what is remembered of it
    #[command(visible_alias = "get")]
    Show(ShowArgs),
    /// Move a live session's end
    #[command(after_help = lifecycle::RENEW_HELP)]
    Renew(RenewArgs),
    /// End a session whose task is done, and with it every descendant
    Complete(CompleteArgs),
    /// Withdraw the authority of sessions and of every descendant
    #[command(after_help = revoke::HELP)]
    Revoke(RevokeArgs),
    /// Tell of something that was noticed elsewhere: move the risk, add labels, revoke
    #[command(after_help = signal::HELP)]
    Signal(SignalArgs),
    /// Print a line for every change, until Ctrl-C
    #[command(after_help = watch::HELP)]
    Watch(WatchArgs),
    /// Tell the story of a session and of those delegated from it, from the trail
    #[command(after_help = timeline::HELP)]
    Timeline(TimelineArgs),
}

impl SessionCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Open(args) => args.run().await,
            Self::List(args) => args.run().await,
            Self::Show(args) => args.run().await,
            Self::Renew(args) => args.run().await,
            Self::Complete(args) => args.run().await,
            Self::Revoke(args) => args.run().await,
            Self::Signal(args) => args.run().await,
            Self::Watch(args) => args.run().await,
            Self::Timeline(args) => args.run().await,
        }
    }
}
