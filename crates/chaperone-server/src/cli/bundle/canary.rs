//! `chaperone bundle canary`: a bundle that decides for a part of the sessions.

use std::fmt::Write as _;

use chaperone_api::chaperone::v1::{
    Canary, RolloutServiceAbortCanaryRequest, RolloutServiceGetCanaryRequest, RolloutServicePromoteCanaryRequest,
    RolloutServiceStartCanaryRequest, RolloutServiceWidenCanaryRequest,
};
use chaperone_store::Share;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{ExpansionOption, WORK};
use crate::cli::connect::AdminOptions;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Format, GOOD, paint};
use crate::cli::parse;
use crate::cli::time::shown_time;

const START_HELP: &str = "\
Examples:
  chaperone bundle canary start 8 --share 5%
  chaperone bundle canary start 8 --label early-adopter --message 'new export rules'

The sessions of a tree are decided by one bundle, whichever replica is asked: by the root's id, or by a label that the
root was opened with. Activating any bundle ends a canary.
Exit codes: 0 it began, 2 it was refused, or the server could not be reached.";

/// Have a bundle decide for a part of the sessions; then widen that, promote the bundle, or abort
#[derive(Debug, Subcommand)]
pub enum CanaryCommand {
    /// Begin, on every replica; the one that there is gives way
    #[command(after_help = START_HELP)]
    Start(StartArgs),
    /// Have it decide for more sessions: all those that it decides for, and others
    Widen(WidenArgs),
    /// Make it the active bundle, for everybody
    Promote(PromoteArgs),
    /// End it: the active bundle decides for everybody again
    Abort(EndArgs),
    /// Say which bundle decides for whom
    Status(StatusArgs),
}

/// Arguments of `bundle canary start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// The bundle's number
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    number: u64,
    /// For which part of the session trees
    #[arg(long, value_name = "PERCENT", value_parser = parse::share, required_unless_present = "label", conflicts_with = "label")]
    share: Option<Share>,
    /// For the session trees whose root was opened with this label
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    #[command(flatten)]
    expansion: ExpansionOption,
    #[command(flatten)]
    told: ToldArgs,
}

/// Arguments of `bundle canary widen`.
#[derive(Debug, Args)]
pub struct WidenArgs {
    /// For which part of the session trees
    #[arg(long, value_name = "PERCENT", value_parser = parse::share)]
    share: Share,
    #[command(flatten)]
    expansion: ExpansionOption,
    #[command(flatten)]
    told: ToldArgs,
}

/// Arguments of `bundle canary promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    #[command(flatten)]
    expansion: ExpansionOption,
    #[command(flatten)]
    told: ToldArgs,
}

/// Arguments of `bundle canary abort`.
#[derive(Debug, Args)]
pub struct EndArgs {
    #[command(flatten)]
    told: ToldArgs,
}

/// Arguments of `bundle canary status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Why, to whom, and how it is told.
#[derive(Debug, Args)]
struct ToldArgs {
    /// Why, for the trail
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    #[command(flatten)]
    status: StatusArgs,
}

#[derive(Debug, Serialize)]
struct CanaryJson<'a> {
    number: u64,
    beside: u64,
    share_ppm: u32,
    label: Option<&'a str>,
    message: &'a str,
    started_by: &'a str,
    started_at: Option<String>,
    /// Why this replica cannot use the bundle, and does not decide for its sessions.
    problem: Option<&'a str>,
    /// False when another bundle became active meanwhile, so that it decides for nobody.
    deciding: bool,
}

impl CanaryCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Start(StartArgs { number, share, label, expansion, told }) => {
                let link = told.status.admin.connect().await?;
                let share_ppm = share.map(Share::millionths).unwrap_or_default();
                let (label, message) = (label.unwrap_or_default(), told.message);
                let ExpansionOption { allow_expansion } = expansion;
                let request = RolloutServiceStartCanaryRequest { number, share_ppm, label, message, allow_expansion };
                let canary = link
                    .answer_of_long_work(link.rollouts_without_deadline().start_canary(request), WORK)
                    .await?
                    .canary;
                told.status.output.show(&canary.unwrap_or_default())
            }
            Self::Widen(WidenArgs { share, expansion, told }) => {
                let link = told.status.admin.connect().await?;
                let (share_ppm, message) = (share.millionths(), told.message);
                let ExpansionOption { allow_expansion } = expansion;
                let request = RolloutServiceWidenCanaryRequest { share_ppm, message, allow_expansion };
                let canary = link.answer(link.rollouts().widen_canary(request)).await?.canary;
                told.status.output.show(&canary.unwrap_or_default())
            }
            Self::Promote(PromoteArgs { expansion: ExpansionOption { allow_expansion }, told }) => {
                let link = told.status.admin.connect().await?;
                let request = RolloutServicePromoteCanaryRequest { message: told.message, allow_expansion };
                let number = link
                    .answer_of_long_work(link.rollouts_without_deadline().promote_canary(request), WORK)
                    .await?
                    .number;
                told.status.output.tell(number, "active")
            }
            Self::Abort(EndArgs { told }) => {
                let link = told.status.admin.connect().await?;
                let request = RolloutServiceAbortCanaryRequest { message: told.message };
                let number = link.answer(link.rollouts().abort_canary(request)).await?.number;
                told.status.output.tell(number, "no canary any more")
            }
            Self::Status(status) => {
                let link = status.admin.connect().await?;
                let canary = link.answer(link.rollouts().get_canary(RolloutServiceGetCanaryRequest {})).await?.canary;
                status.output.show(&canary.unwrap_or_default())
            }
        }
    }
}

impl Format {
    fn show(self, canary: &Canary) -> Result<(), Failure> {
        match self {
            Self::Json => output::print_json(&CanaryJson::from(canary)),
            Self::Table => output::print(&render(canary)),
        }
    }

    fn tell(self, number: u64, what: &str) -> Result<(), Failure> {
        match self {
            Self::Json => output::print_json(&serde_json::json!({ "number": number })),
            Self::Table => output::print(&format!("bundle {number} is {}\n", paint(GOOD, what))),
        }
    }
}

impl<'a> From<&'a Canary> for CanaryJson<'a> {
    fn from(canary: &'a Canary) -> Self {
        let some = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        Self {
            number: canary.number,
            beside: canary.beside,
            share_ppm: canary.share_ppm,
            label: some(&canary.label),
            message: &canary.message,
            started_by: &canary.started_by,
            started_at: canary.started_at.map(|time| time.to_string()),
            problem: some(&canary.problem),
            deciding: canary.deciding,
        }
    }
}

fn render(canary: &Canary) -> String {
    let Canary { number, beside, .. } = canary;
    let whose = if canary.label.is_empty() {
        let share = Share::of_millionths(canary.share_ppm).unwrap_or(Share::NONE);
        format!("{share} of the session trees")
    } else {
        format!("session trees with the label {}", output::plain(&canary.label))
    };
    let state = if canary.deciding {
        format!("decides for {whose}, bundle {beside} for the others")
    } else {
        "decides for nobody: another bundle became active".to_owned()
    };
    let (since, by) = (shown_time(canary.started_at.as_ref()), output::plain(&canary.started_by));
    let mut text = format!("bundle {number} {state} (since {since}, by {by})\n");
    if !canary.problem.is_empty() {
        // Writing to a String cannot fail.
        let problem = output::plain(&canary.problem);
        let _ = writeln!(text, "this replica cannot use it, and refuses their checks: {problem}");
    }
    text
}
