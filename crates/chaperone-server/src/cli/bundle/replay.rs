//! `chaperone bundle replay`: what a bundle would have decided otherwise, before it is activated.

use std::time::Duration;

use clap::Args;

use crate::cli::failure::{Failure, Verdict};
use crate::cli::trail::{BundleOption, ReplayOptions, bundle_option};

/// Examples for the help.
pub const HELP: &str = "\
Makes the decisions of the last 24 hours again by this bundle, each on the state as it was then, and lists what comes out
otherwise: newly allowed, newly denied, newly challenged, with changed effects, or for another reason, by action and policy.
Nothing is activated or changed. `trail replay` does the same for any part of the trail.

Examples:
  chaperone bundle replay ./bundle
  chaperone bundle replay 8 --last 7d
  chaperone bundle replay 8 --last 1h --action export --output json

Exit codes: 0 no difference, 1 differences (or the bundle has problems), 2 it could not be told.";

/// What is replayed where nothing says how much.
const LAST: Duration = Duration::from_hours(24);

/// Arguments of `bundle replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The candidate: a folder, or the number of a stored bundle
    #[arg(value_name = "FOLDER|NUMBER", value_parser = bundle_option)]
    candidate: BundleOption,
    #[command(flatten)]
    options: ReplayOptions,
}

impl ReplayArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come; and `Input` when there were decisions and none of them could be made again.
    pub async fn run(self) -> Result<Verdict, Failure> {
        self.options.or_last(LAST).run(Some(&self.candidate)).await
    }
}
