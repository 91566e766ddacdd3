//! `chaperone trail query`, `tail` and `show`.

use chaperone_api::chaperone::v1::{TrailFilter, TrailOrder, TrailServiceTailRequest};
use clap::Args;

use super::entry::{Entry, EntryJson};
use super::filter::{FilterOptions, decision_id};
use super::{decision_view, view};
use crate::cli::connect::AdminOptions;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Format};

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone trail query --since 1h --outcome deny
  chaperone trail query --session 0198c0de-0000-7000-8000-000000000001 --all --oldest-first
  chaperone trail query --kind act --owner ann@example.com --output json

For more than fits into memory use `chaperone trail export`.";
/// Examples for the help.
pub const TAIL_HELP: &str = "\
Examples:
  chaperone trail tail --outcome deny
  chaperone trail tail --owner ann@example.com --output json   # one JSON document a line";

/// Arguments of `trail query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// However many there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// The oldest first
    #[arg(long)]
    oldest_first: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Arguments of `trail tail`.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// How to print the records; JSON is one document a line
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Arguments of `trail show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The decision's id
    #[arg(value_name = "DECISION_ID", value_parser = decision_id)]
    decision: String,
    /// How to print the result; JSON is an array, the decision first
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

impl QueryArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        let filter = self.filter.into_filter_of_events()?;
        let order = if self.oldest_first { TrailOrder::Oldest } else { TrailOrder::Newest };
        let limit = if self.all { u32::MAX } else { self.limit };
        let link = self.admin.connect().await?;
        let entries = Entry::find(&link, &filter, order, limit).await?;
        match self.output {
            Format::Json => print_json(&entries),
            Format::Table => output::print(&view::list(&entries)),
        }
    }
}

impl TailArgs {
    /// Runs the command until Ctrl-C.
    ///
    /// # Errors
    /// As they come, and when the server ends the stream: records after that would be missed in silence.
    pub async fn run(self) -> Result<(), Failure> {
        let request = TrailServiceTailRequest { filter: Some(self.filter.into_filter_of_events()?) };
        let link = self.admin.connect().await?;
        let mut trail = link.trail_without_deadline();
        let records = link.answer(trail.tail(request)).await?;
        link.follow("records", records, |response| {
            let entry = Entry::from(response.record.unwrap_or_default());
            match self.output {
                Format::Json => output::print_json_line(&EntryJson::from(&entry)),
                Format::Table => output::print(&view::line(&entry)),
            }
        })
        .await
    }
}

impl ShowArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come, and `Input` when there is no record of it.
    pub async fn run(self) -> Result<(), Failure> {
        let filter = TrailFilter { decision_id: self.decision.clone(), ..TrailFilter::default() };
        let link = self.admin.connect().await?;
        let mut entries = Entry::find(&link, &filter, TrailOrder::Oldest, u32::MAX).await?;
        if entries.is_empty() {
            return Err(Failure::Input(format!(
                "the trail has no record of decision {}; one that was just made may take a moment to arrive",
                self.decision
            )));
        }
        // What follows from a decision may be dated before it, by the clock of another replica.
        entries.sort_by_key(|entry| !decision_view::is_decision(entry));
        match self.output {
            Format::Json => print_json(&entries),
            Format::Table => output::print(&decision_view::details(&entries)),
        }
    }
}

fn print_json(entries: &[Entry]) -> Result<(), Failure> {
    output::print_json(&entries.iter().map(EntryJson::from).collect::<Vec<_>>())
}
