//! `chaperone session list`, `show`, `renew` and `complete`.

use std::time::Duration;

use chaperone_api::chaperone::v1::{
    Session, SessionServiceCompleteRequest, SessionServiceGetRequest, SessionServiceListRequest,
    SessionServiceRenewRequest,
};
use clap::Args;

use super::filter::{FilterOptions, StateOption};
use super::memory_view::{self, RememberingJson};
use super::view::{self, SessionJson};
use crate::cli::connect::AdminOptions;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Format};
use crate::cli::paging;
use crate::cli::parse::{self, SessionIdArg};

/// Examples for the help.
pub const LIST_HELP: &str = "\
Examples:
  chaperone session list --state active
  chaperone session list --principal 'Agent::\"report-bot\"' --output json";

/// Examples for the help.
pub const RENEW_HELP: &str = "\
Examples:
  chaperone session renew 0198c0de-0000-7000-8000-000000000001 --lifetime 30m

A session never outlives its parent. One that has ended stays ended.";

/// Arguments of `session list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// In this state
    #[arg(long, value_enum, help_heading = "Filters")]
    state: Option<StateOption>,
    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Arguments of `session show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The session's id
    #[arg(value_name = "ID", value_parser = parse::session_id)]
    session: SessionIdArg,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Arguments of `session renew`.
#[derive(Debug, Args)]
pub struct RenewArgs {
    /// The session's id
    #[arg(value_name = "ID", value_parser = parse::session_id)]
    session: SessionIdArg,
    /// How long it lasts from now, such as 1h
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    lifetime: Duration,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Arguments of `session complete`.
#[derive(Debug, Args)]
pub struct CompleteArgs {
    /// The session's id
    #[arg(value_name = "ID", value_parser = parse::session_id)]
    session: SessionIdArg,
    /// A note for the record
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

impl ListArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        let filter = self.filter.into_filter(self.state)?;
        let link = self.admin.connect().await?;
        let sessions = paging::collect(self.limit, async |page_size, page_token| {
            let request = SessionServiceListRequest { filter: Some(filter.clone()), page_size, page_token };
            let response = link.answer(link.sessions().list(request)).await?;
            Ok((response.sessions, response.next_page_token))
        })
        .await?;
        match self.output {
            Format::Json => output::print_json(&sessions.iter().map(SessionJson::from).collect::<Vec<_>>()),
            Format::Table => output::print(&view::list(&sessions)),
        }
    }
}

impl ShowArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        let session_id = self.session.into_id()?;
        let link = self.admin.connect().await?;
        let request = SessionServiceGetRequest { session_id };
        let response = link.answer(link.sessions().get(request)).await?;
        let (session, memory) = (response.session.unwrap_or_default(), response.memory.unwrap_or_default());
        match self.output {
            Format::Json => output::print_json(&RememberingJson::new(&session, &memory)),
            Format::Table => output::print(&(view::details(&session) + &memory_view::details(&memory))),
        }
    }
}

impl RenewArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        let session_id = self.session.into_id()?;
        let link = self.admin.connect().await?;
        let lifetime = Some(parse::to_wire(self.lifetime));
        let request = SessionServiceRenewRequest { session_id, lifetime };
        print(link.answer(link.sessions().renew(request)).await?.session, self.output)
    }
}

impl CompleteArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        let session_id = self.session.into_id()?;
        let link = self.admin.connect().await?;
        let request = SessionServiceCompleteRequest { session_id, reason: self.reason };
        print(link.answer(link.sessions().complete(request)).await?.session, self.output)
    }
}

fn print(session: Option<Session>, format: Format) -> Result<(), Failure> {
    let session = session.unwrap_or_default();
    match format {
        Format::Json => output::print_json(&SessionJson::from(&session)),
        Format::Table => output::print(&view::details(&session)),
    }
}
