//! `chaperone trail replay`.

mod bundles;
mod source;
mod view;

use std::path::PathBuf;

use clap::Args;

pub use self::bundles::BundleOption;
use self::bundles::Bundles;
use self::source::{Places, Source};
use super::filter::FilterOptions;
use super::progress::Progress;
use super::stretch::StretchOptions;
use crate::cli::connect::{AdminOptions, Link};
use crate::cli::failure::{Failure, Verdict};
use crate::cli::output::{self, Format};
use crate::replay::{Run, Tally};

/// Examples for the help.
pub const HELP: &str = "\
Makes decisions again, each from its record, from what the trail says it read, and by the bundle that made it, and reports
every difference in outcome, reason code and determining policies. With --bundle it is another bundle that decides: what
it would have decided otherwise, on the state as it was then.

A decision that hangs on something that is not on record, such as an attribute that the mapping drops, is counted by
itself, and is no difference.

Examples:
  chaperone trail replay --since 1d
  chaperone trail replay --since 7d --bundle ./bundle          # what would change?
  chaperone trail replay --since 7d --bundle 8 --action export --output json
  chaperone trail replay --file trail.jsonl                    # an export; bundles still come from the server

Exit codes: 0 no difference, 1 differences (or the bundle has problems), 2 it could not be told.";

/// How much memory the states of a replay take at most.
const STATES_BYTES_MAX: usize = 1 << 30;

/// Arguments of `trail replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Decide by this bundle, a folder or the number of a stored one, instead of by those that decided
    #[arg(long, value_name = "FOLDER|NUMBER", value_parser = bundles::option)]
    bundle: Option<BundleOption>,
    /// Read this export of JSON lines instead of the server's trail; - for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Read the journal in this directory, which nobody writes just now
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    journal: Option<PathBuf>,
    /// How many differences to print
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    places: StretchOptions,
    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    admin: AdminOptions,
}

impl ReplayArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come; and `Input` when there were decisions, or what may have been some, and none of them could be made again.
    pub async fn run(self) -> Result<Verdict, Failure> {
        let filter = self.filter.into_filter()?;
        if !filter.kinds.is_empty() {
            return Err(Failure::Input("--kind does not go with replay: decisions are made again".to_owned()));
        }
        let link = if self.file.is_some() || self.journal.is_some() {
            // Only for bundles, which may not be needed.
            self.admin.connect().await.ok()
        } else {
            Some(self.admin.connect().await?)
        };
        let mut bundles = Bundles::new(link.as_ref());
        let candidate = match &self.bundle {
            Some(option) => Some(bundles.candidate(option).await?),
            None => None,
        };
        let wanted = crate::grpc::trail::filter(filter.clone()).map_err(|error| Failure::Input(error.to_string()))?;
        let places = Places::of(&self.places)?;
        let run = Run::start(wanted, places.range(), candidate.clone(), None, STATES_BYTES_MAX)
            .map_err(|error| Failure::Input(format!("no thread can be had: {error}")))?;
        if let Some(candidate) = candidate {
            run.add_rules(candidate);
        }
        let source = match (&self.file, &self.journal, &link) {
            (Some(file), ..) => Source::file(file)?,
            (None, Some(directory), _) => Source::journal(directory)?,
            (None, None, Some(link)) => Source::server(link, &filter, &places).await?,
            (None, None, None) => return Err(Failure::Input("there is nothing to read".to_owned())),
        };
        let tally = replay(run, source, &mut bundles).await?;
        match self.output {
            Format::Json => output::print_json(&view::TallyJson::new(&tally, self.limit))?,
            Format::Table => output::print(&view::render(&tally, self.limit))?,
        }
        let is_told = tally.same_count + tally.different_count > 0;
        if !is_told && tally.decision_count + tally.unreadable_count > 0 {
            return Err(Failure::Input("none of the decisions could be made again".to_owned()));
        }
        Ok(if tally.different_count == 0 { Verdict::Yes } else { Verdict::No })
    }
}

/// Reads all of it.
async fn replay(mut run: Run, mut source: Source<'_>, bundles: &mut Bundles<'_>) -> Result<Tally, Failure> {
    let mut progress = Progress::begin();
    while let Some(records) = source.next().await? {
        for record in records {
            if run.add(&record) {
                bundles.give(&run).await?;
            }
        }
        progress.tell(run.record_count());
    }
    // The last ones are still decided.
    tokio::task::spawn_blocking(move || run.finish())
        .await
        .map_err(|error| Failure::Input(format!("a defect was caught: {error}")))
}

/// A connection, where there is one.
type MaybeLink<'a> = Option<&'a Link>;
