//! `chaperone trail replay`.

mod bundles;
mod source;
mod speed;
mod view;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use self::bundles::Bundles;
pub use self::bundles::{BundleOption, option as bundle_option};
use self::source::{Places, Source};
use self::speed::Speed;
use super::filter::FilterOptions;
use super::progress::Progress;
use super::stretch::StretchOptions;
use crate::cli::connect::{AdminOptions, Link};
use crate::cli::failure::{Failure, Verdict};
use crate::cli::output::{self, Format};
use crate::cli::parse;
use crate::replay::{Run, Tally};

/// Examples for the help.
pub const HELP: &str = "\
Makes decisions again, each from its record, from what the trail says it read, and by the bundle that made it, and reports
every difference in outcome, reason code and determining policies. With --bundle it is another bundle that decides: what
it would have decided otherwise, and what it would have done beside, on the state as it was then; but what it would have
remembered otherwise, such as a counter of its own, is as it would have become, counted from --backfill before the first
decision on.

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
    #[command(flatten)]
    options: ReplayOptions,
}

/// What is replayed, and how it is told.
#[derive(Debug, Args)]
pub struct ReplayOptions {
    /// Read this export of JSON lines instead of the server's trail; - for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Read the journal in this directory, which nobody writes just now
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    journal: Option<PathBuf>,
    /// What was decided so long before counts for what another bundle would remember, and is not compared
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse::duration)]
    backfill: Duration,
    /// How many differences to print one by one
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
    /// As [`ReplayOptions::run`].
    pub async fn run(self) -> Result<Verdict, Failure> {
        self.options.run(self.bundle.as_ref()).await
    }
}

impl ReplayOptions {
    /// Of the server's last decisions, where nothing says which are meant.
    pub fn or_last(mut self, last: Duration) -> Self {
        if self.file.is_none() && self.journal.is_none() && !self.places.is_given() {
            self.filter = self.filter.or_last(last);
        }
        self
    }

    /// Makes decisions again, by this bundle or by those that decided.
    ///
    /// # Errors
    /// As they come; and `Input` when there were decisions, or what may have been some, and none of them could be made again.
    pub async fn run(self, bundle: Option<&BundleOption>) -> Result<Verdict, Failure> {
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
        let candidate = match bundle {
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
            (None, None, Some(link)) => {
                let backfill = if bundle.is_some() { self.backfill } else { Duration::ZERO };
                Source::server(link, &filter, &places, backfill).await?
            }
            (None, None, None) => return Err(Failure::Input("there is nothing to read".to_owned())),
        };
        let (tally, speed) = replay(run, source, &mut bundles).await?;
        match self.output {
            Format::Json => output::print_json(&view::TallyJson::new(&tally, speed, self.limit))?,
            Format::Table => output::print(&view::render(&tally, speed, self.limit))?,
        }
        let is_told = tally.same_count + tally.different_count > 0;
        if !is_told && tally.decision_count + tally.unreadable_count > 0 {
            return Err(Failure::Input("none of the decisions could be made again".to_owned()));
        }
        Ok(if tally.different_count == 0 { Verdict::Yes } else { Verdict::No })
    }
}

/// Reads all of it.
async fn replay(mut run: Run, mut source: Source<'_>, bundles: &mut Bundles<'_>) -> Result<(Tally, Speed), Failure> {
    let (mut progress, mut speed) = (Progress::begin(), Speed::begin());
    while let Some(records) = source.next().await? {
        for record in records {
            if run.add(&record) {
                bundles.give(&run).await?;
            }
        }
        progress.tell_as(|| speed.so_far(run.progress()));
    }
    // The last ones are still decided.
    let tally = tokio::task::spawn_blocking(move || run.finish()).await;
    let tally = tally.map_err(|error| Failure::Input(format!("a defect was caught: {error}")))?;
    speed.end(tally.decision_count);
    Ok((tally, speed))
}

/// A connection, where there is one.
type MaybeLink<'a> = Option<&'a Link>;
