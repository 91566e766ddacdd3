//! `chaperone bundle rollback`: back to an earlier bundle.

use chaperone_api::chaperone::v1::PolicyServiceRollbackRequest;
use clap::Args;
use serde::Serialize;

use super::ExpansionOption;
use super::view::BundleJson;
use crate::cli::connect::AdminOptions;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Format, GOOD, paint};

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone bundle rollback                     # to the one that was active before
  chaperone bundle rollback 5 --expected 7      # to 5, but only if 7 is still active
  chaperone bundle rollback --message 'denies too much'

Without a number, a second rollback goes back to where the first one came from.
Exit codes: 0 it decides again, 2 it was refused, or the server could not be reached.";

/// Arguments of `bundle rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The bundle's number; without it, the one that was active before the present one
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    number: Option<u64>,
    /// Only if this one is active now
    #[arg(long, visible_alias = "expect", value_name = "NUMBER")]
    expected: Option<u64>,
    #[command(flatten)]
    expansion: ExpansionOption,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

#[derive(Debug, Serialize)]
struct RolledBackJson<'a> {
    #[serde(flatten)]
    bundle: BundleJson<'a>,
    previous_number: u64,
}

impl RollbackArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        let link = self.admin.connect().await?;
        let request = PolicyServiceRollbackRequest {
            number: self.number.unwrap_or_default(),
            expected_active: self.expected,
            message: self.message,
            allow_expansion: self.expansion.allow_expansion,
        };
        let response = link.answer(link.policies().rollback(request)).await?;
        let (bundle, previous_number) = (response.bundle.unwrap_or_default(), response.previous_number);
        match self.output {
            Format::Json => output::print_json(&RolledBackJson { bundle: (&bundle).into(), previous_number }),
            Format::Table => {
                let active = paint(GOOD, "active");
                output::print(&format!("bundle {} is {active} again; {previous_number} was until now\n", bundle.number))
            }
        }
    }
}
