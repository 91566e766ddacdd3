//! `chaperone session signal`.

use chaperone_api::chaperone::v1::session_service_signal_request::Target;
use chaperone_api::chaperone::v1::{SessionServiceSignalRequest, SignalRevoke};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::memory_view::{self, RememberingJson};
use crate::cli::connect::AdminOptions;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Format, plain};
use crate::cli::parse::{self, SessionIdArg};
use crate::clock::Clock;

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone session signal 0198c0de-0000-7000-8000-000000000001 --risk +40 --reason 'odd process on the host'
  chaperone session signal 0198c0de-0000-7000-8000-000000000001 --event-id edr-81723 --source edr \\
      --label untrusted-input --tree-label pii --reason 'mail attachment opened'
  chaperone session signal --tree 0198c0de-0000-7000-8000-000000000001 --revoke tree --reason 'honeypot touched'

A signal with an event id that is known already changes nothing, so that one that may have failed can be sent again.";

/// Arguments of `session signal`.
#[derive(Debug, Args)]
pub struct SignalArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The event, by whoever noticed it: 1 to 128 bytes. Without one a new one is made up, and printed
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    /// Who noticed it, such as edr
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    source: String,
    /// Why; shown to whoever is denied by a revocation
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// By how many points the risk moves, such as +20 or -5
    #[arg(
        long,
        value_name = "POINTS",
        allow_negative_numbers = true,
        default_value = "0",
        hide_default_value = true,
        value_parser = clap::value_parser!(i32).range(-100..=100)
    )]
    risk: i32,
    /// A label to add to the session (repeatable)
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// A label to add to the tree (repeatable)
    #[arg(long = "tree-label", value_name = "LABEL")]
    tree_labels: Vec<String>,
    /// What to revoke
    #[arg(long, value_enum)]
    revoke: Option<RevokeOption>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

/// What it is about: exactly one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// The session's id
    #[arg(value_name = "ID", value_parser = parse::session_id)]
    session: Option<SessionIdArg>,
    /// The tree with this root
    #[arg(long, value_name = "ID", value_parser = parse::session_id)]
    tree: Option<SessionIdArg>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum RevokeOption {
    /// The session, and what was delegated from it.
    Session,
    /// Every session of its tree.
    Tree,
}

#[derive(Debug, Serialize)]
struct SignalJson<'a> {
    event_id: &'a str,
    duplicate: bool,
    #[serde(flatten)]
    session: RememberingJson<'a>,
}

impl SignalArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        let event_id = self.event_id.unwrap_or_else(|| Clock::system().decision_id().to_string());
        let request = SessionServiceSignalRequest {
            target: self.target.into_target()?,
            event_id: event_id.clone(),
            source: self.source,
            reason: self.reason,
            risk: self.risk,
            labels: self.labels,
            tree_labels: self.tree_labels,
            revoke: match self.revoke {
                None => SignalRevoke::Unspecified,
                Some(RevokeOption::Session) => SignalRevoke::Session,
                Some(RevokeOption::Tree) => SignalRevoke::Tree,
            }
            .into(),
        };
        let link = self.admin.connect().await?;
        let response = match link.answer(link.sessions().signal(request)).await {
            Ok(response) => response,
            Err(failure) => {
                // Whoever sends it again must send the same event.
                output::note(&format!("the event id was {}", plain(&event_id)));
                return Err(failure);
            }
        };
        let (session, memory) = (response.session.unwrap_or_default(), response.memory.unwrap_or_default());
        if self.output == Format::Json {
            let session = RememberingJson::new(&session, &memory);
            return output::print_json(&SignalJson { event_id: &event_id, duplicate: response.duplicate, session });
        }
        let outcome = if response.duplicate { "was known already: nothing was changed" } else { "was taken" };
        output::print(&format!("signal {} {outcome}\n{}", plain(&event_id), memory_view::details(&memory)))
    }
}

impl TargetArgs {
    /// INVARIANT (one target): clap's group lets exactly one through; without one the server refuses the request.
    fn into_target(self) -> Result<Option<Target>, Failure> {
        let session = self.session.map(SessionIdArg::into_id).transpose()?.map(Target::SessionId);
        Ok(session.or(self.tree.map(SessionIdArg::into_id).transpose()?.map(Target::TreeId)))
    }
}
