//! `chaperone trail verify`.

mod file;
mod view;

use std::path::PathBuf;

use chaperone_api::chaperone::v1::trail_service_verify_response::Step;
use chaperone_api::chaperone::v1::{TrailServiceVerifyRequest, TrailVerifyReport};
use chaperone_trail::{Trust, VerifyingKey};
use clap::Args;

use super::filter::TimeOptions;
use super::stretch::StretchOptions;
use crate::cli::connect::AdminOptions;
use crate::cli::failure::{Failure, Verdict};
use crate::cli::output::{self, Format};

/// Examples for the help.
pub const HELP: &str = "\
Proves that nothing was changed, left out or put elsewhere, or names the first record where that cannot be proved.
Give --key: without it a chain that someone wrote anew looks like any other. `chaperone trail export` and a SHA-256
program can do the same without this one; docs/trail.md says how.

Examples:
  chaperone trail verify --key KEY
  chaperone trail verify --since 30d --key KEY --output json
  chaperone trail verify --file trail.jsonl --key KEY          # an export, without a server

Exit codes: 0 proved, 1 not, 2 it could not be read.";

/// Arguments of `trail verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// An Ed25519 key that checkpoints may be signed with, in base64; can be repeated
    #[arg(long = "key", value_name = "KEY", value_parser = key)]
    keys: Vec<VerifyingKey>,
    /// Verify this export of JSON lines, without a server; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["chain", "since", "until"])]
    file: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    places: StretchOptions,
    #[command(flatten)]
    times: TimeOptions,
    #[command(flatten)]
    admin: AdminOptions,
}

impl VerifyArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come, and when the server's stream ends before its report.
    pub async fn run(self) -> Result<Verdict, Failure> {
        if self.keys.is_empty() {
            output::note("note: no --key was given: this shows accidents, but not a chain that someone wrote anew");
        }
        let report = match &self.file {
            Some(path) => {
                let keys = self.keys.iter().copied().collect();
                let trust = if self.keys.is_empty() { Trust::Any } else { Trust::Keys(keys) };
                crate::grpc::trail::proof(file::verify(path, &trust)?)
            }
            None => self.ask().await?,
        };
        match self.output {
            Format::Json => output::print_json(&view::ReportJson::from(&report))?,
            Format::Table => output::print(&view::render(&report))?,
        }
        Ok(if report.valid { Verdict::Yes } else { Verdict::No })
    }

    async fn ask(&self) -> Result<TrailVerifyReport, Failure> {
        let (from, before) = self.times.times();
        let request = TrailServiceVerifyRequest {
            stretch: Some(self.places.clone().into_stretch(from, before)),
            trusted_keys: self.keys.iter().map(ToString::to_string).collect(),
        };
        let link = self.admin.connect().await?;
        let mut trail = link.trail_without_deadline();
        let mut steps = link.answer(trail.verify(request)).await?;
        let mut progress = super::progress::Progress::begin();
        while let Some(response) = steps.message().await.map_err(|status| link.failure(&status))? {
            match response.step {
                Some(Step::Progress(step)) => progress.tell(step.record_count),
                Some(Step::Report(report)) => return Ok(report),
                None => {}
            }
        }
        Err(Failure::Unreachable {
            url: link.url(),
            cause: "the server ended the stream before its report".to_owned(),
            help: "it may be restarting; try again".to_owned(),
        })
    }
}

fn key(text: &str) -> Result<VerifyingKey, String> {
    text.parse()
        .map_err(|error| format!("{error}; `chaperone trail query --kind started --output json` shows a replica's"))
}
