//! `chaperone bundle shadow`: a bundle beside the active one, on live traffic.

use std::collections::BTreeMap;

use chaperone_api::chaperone::v1::{
    RolloutServiceGetShadowRequest, RolloutServiceGetShadowResponse, RolloutServiceStartShadowRequest,
    RolloutServiceStopShadowRequest, Shadow,
};
use chaperone_store::Share;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::connect::AdminOptions;
use crate::cli::differences::{self, GroupJson};
use crate::cli::failure::{Failure, Verdict};
use crate::cli::output::{self, Cell, Format, GOOD, Table, WARN, paint};
use crate::cli::parse;
use crate::cli::time::shown_time;

const START_HELP: &str = "\
Every decision, or those of a share of the session trees, is made again by this bundle after it was answered, on every
replica. Nobody is answered by it, and nothing of what it would do is done.

Examples:
  chaperone bundle shadow start 8
  chaperone bundle shadow start 8 --share 10% --message 'new export rules'

Exit codes: 0 it began, 2 it was refused, or the server could not be reached.";

const STATUS_HELP: &str = "\
Examples:
  chaperone bundle shadow status
  chaperone bundle shadow status --output json

It tells of the replica that is asked; the metrics chaperone_shadow_* of all replicas tell of all.
Exit codes: 0 no difference, 1 differences, 2 there is no shadow, or the server could not be reached.";

/// Have a bundle decide beside the active one, on live traffic, without answering anybody
#[derive(Debug, Subcommand)]
pub enum ShadowCommand {
    /// Begin, on every replica; the one that there is gives way
    #[command(after_help = START_HELP)]
    Start(StartArgs),
    /// Say what it would have decided otherwise
    #[command(after_help = STATUS_HELP)]
    Status(StatusArgs),
    /// End it
    Stop(StopArgs),
}

/// Arguments of `bundle shadow start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// The bundle's number
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    number: u64,
    /// For which part of the session trees
    #[arg(long, value_name = "PERCENT", default_value = "100%", value_parser = parse::share)]
    share: Share,
    /// Why, for the trail
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Arguments of `bundle shadow status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Arguments of `bundle shadow stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Why, for the trail
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    #[command(flatten)]
    admin: AdminOptions,
}

#[derive(Debug, Serialize)]
struct ShadowJson<'a> {
    number: u64,
    share_ppm: u32,
    message: &'a str,
    started_by: &'a str,
    started_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct StatusJson<'a> {
    #[serde(flatten)]
    shadow: ShadowJson<'a>,
    /// Why this replica compares nothing.
    problem: Option<&'a str>,
    compared_count: u64,
    difference_count: u64,
    dropped_count: u64,
    untold: BTreeMap<&'a str, u64>,
    groups: Vec<GroupJson>,
}

impl ShadowCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<Verdict, Failure> {
        match self {
            Self::Start(args) => args.run().await.map(|()| Verdict::Yes),
            Self::Status(args) => args.run().await,
            Self::Stop(args) => args.run().await.map(|()| Verdict::Yes),
        }
    }
}

impl StartArgs {
    async fn run(self) -> Result<(), Failure> {
        let link = self.admin.connect().await?;
        let request = RolloutServiceStartShadowRequest {
            number: self.number,
            share_ppm: Some(self.share.millionths()),
            message: self.message,
        };
        let shadow = link.answer(link.rollouts().start_shadow(request)).await?.shadow.unwrap_or_default();
        match self.output {
            Format::Json => output::print_json(&ShadowJson::from(&shadow)),
            Format::Table => {
                let state = paint(GOOD, "shadows the active one");
                output::print(&format!("bundle {} {state} for {} of the session trees\n", shadow.number, self.share))
            }
        }
    }
}

impl StatusArgs {
    async fn run(self) -> Result<Verdict, Failure> {
        let link = self.admin.connect().await?;
        let status = link.answer(link.rollouts().get_shadow(RolloutServiceGetShadowRequest {})).await?;
        match self.output {
            Format::Json => output::print_json(&StatusJson::from(&status))?,
            Format::Table => output::print(&render(&status))?,
        }
        Ok(if status.difference_count == 0 { Verdict::Yes } else { Verdict::No })
    }
}

impl StopArgs {
    async fn run(self) -> Result<(), Failure> {
        let link = self.admin.connect().await?;
        let request = RolloutServiceStopShadowRequest { message: self.message };
        link.answer(link.rollouts().stop_shadow(request)).await?;
        output::print("there is no shadow any more\n")
    }
}

impl<'a> From<&'a Shadow> for ShadowJson<'a> {
    fn from(shadow: &'a Shadow) -> Self {
        Self {
            number: shadow.number,
            share_ppm: shadow.share_ppm,
            message: &shadow.message,
            started_by: &shadow.started_by,
            started_at: shadow.started_at.map(|time| time.to_string()),
        }
    }
}

impl<'a> From<&'a RolloutServiceGetShadowResponse> for StatusJson<'a> {
    fn from(status: &'a RolloutServiceGetShadowResponse) -> Self {
        static NONE: Shadow =
            Shadow { number: 0, share_ppm: 0, message: String::new(), started_by: String::new(), started_at: None };
        Self {
            shadow: status.shadow.as_ref().unwrap_or(&NONE).into(),
            problem: Some(status.problem.as_str()).filter(|problem| !problem.is_empty()),
            compared_count: status.compared_count,
            difference_count: status.difference_count,
            dropped_count: status.dropped_count,
            untold: status.untold.iter().map(|(code, count)| (code.as_str(), *count)).collect(),
            groups: status.groups.iter().map(GroupJson::from).collect(),
        }
    }
}

fn render(status: &RolloutServiceGetShadowResponse) -> String {
    let shadow = status.shadow.clone().unwrap_or_default();
    let share = Share::of_millionths(shadow.share_ppm).unwrap_or(Share::ALL);
    let mut facts = Table::of_facts();
    facts
        .fact("share", format!("{share} of the session trees"))
        .fact("since", shown_time(shadow.started_at.as_ref()))
        .fact("by", &shadow.started_by)
        .fact("message", &shadow.message)
        .fact("compared", status.compared_count.to_string())
        .fact("differences", status.difference_count.to_string());
    if !status.problem.is_empty() {
        facts.fact("problem", Cell::new(WARN, &status.problem));
    }
    if status.dropped_count > 0 {
        facts.fact("dropped", Cell::new(WARN, &status.dropped_count.to_string()));
    }
    for (code, count) in status.untold.iter().collect::<BTreeMap<_, _>>() {
        facts.fact("untold", format!("{count} {code}"));
    }
    let groups = differences::table(status.groups.iter().map(GroupJson::from));
    format!("bundle {} shadows the active one\n{}{groups}", shadow.number, facts.render())
}
