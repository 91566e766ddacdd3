//! `chaperone session timeline`.

mod story;
mod view;

use chaperone_api::chaperone::v1::{TrailFilter, TrailOrder};
use clap::Args;

use self::story::Story;
use crate::cli::connect::AdminOptions;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Format};
use crate::cli::parse::{self, SessionIdArg};
use crate::cli::trail::Entry;

/// Examples for the help.
pub const HELP: &str = "\
Example:
  chaperone session timeline 0198c0de-0000-7000-8000-000000000001

Equal allows that follow each other are one line, with ×N. Sessions that were delegated are indented.";

/// Arguments of `session timeline`.
#[derive(Debug, Args)]
pub struct TimelineArgs {
    /// The session's id
    #[arg(value_name = "ID", value_parser = parse::session_id)]
    session: SessionIdArg,
    /// How many records of its tree to read at most, from the oldest on
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

impl TimelineArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come, and `Input` when the trail does not know the session.
    pub async fn run(self) -> Result<(), Failure> {
        let id = self.session.into_id()?;
        let link = self.admin.connect().await?;
        let of_session = TrailFilter { session_id: id.clone(), ..TrailFilter::default() };
        let first = link.answer(link.trail().query(one(of_session))).await?.records.pop().map(Entry::from);
        let tree = first.and_then(|entry| entry.record?.event.session().map(|session| session.tree.to_string()));
        let (Some(tree_id), Ok(session)) = (tree, id.parse()) else {
            return Err(Failure::Input(format!(
                "the trail has no record of session {id}; `chaperone session show` tells whether there is one"
            )));
        };
        let of_tree = TrailFilter { tree_id, ..TrailFilter::default() };
        let entries = Entry::find(&link, &of_tree, TrailOrder::Oldest, self.limit).await?;
        let story = Story::of(session, entries.into_iter().filter_map(|entry| entry.record));
        match self.output {
            Format::Json => output::print_json(&story),
            Format::Table => output::print(&view::render(&story)),
        }
    }
}

fn one(filter: TrailFilter) -> chaperone_api::chaperone::v1::TrailServiceQueryRequest {
    chaperone_api::chaperone::v1::TrailServiceQueryRequest { filter: Some(filter), page_size: 1, ..Default::default() }
}
