//! `chaperone session watch`.

use chaperone_api::chaperone::v1::SessionServiceWatchRequest;
use clap::Args;

use super::filter::FilterOptions;
use super::view::{SessionJson, change};
use crate::cli::connect::AdminOptions;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Format};

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone session watch
  chaperone session watch --owner ann@example.com --output json   # one JSON document a line";

/// Arguments of `session watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// How to print the changes; JSON is one document a line
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    admin: AdminOptions,
}

impl WatchArgs {
    /// Runs the command until Ctrl-C.
    ///
    /// # Errors
    /// As they come, and when the server ends the stream: changes after that would be missed in silence.
    pub async fn run(self) -> Result<(), Failure> {
        let request = SessionServiceWatchRequest { filter: Some(self.filter.into_filter(None)?) };
        let link = self.admin.connect().await?;
        let mut sessions = link.sessions_without_deadline();
        let changes = link.answer(sessions.watch(request)).await?;
        link.follow("sessions", changes, |response| {
            let session = response.session.unwrap_or_default();
            match self.output {
                Format::Json => output::print_json_line(&SessionJson::from(&session)),
                Format::Table => output::print(&change(&session)),
            }
        })
        .await
    }
}
