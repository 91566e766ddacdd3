//! `chaperone bundle rollout`, and the waiting of those who activate: which replica decides by what.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use chaperone_api::chaperone::v1::{PolicyServiceRolloutRequest, PolicyServiceRolloutResponse, ReplicaStatus};
use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use crate::cli::connect::{AdminOptions, Link};
use crate::cli::failure::{Failure, Verdict};
use crate::cli::output::{self, BAD, Cell, Format, GOOD, Table, WARN};
use crate::cli::time::shown_time;
use crate::config::parse_duration;

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone bundle rollout
  chaperone bundle rollout --output json

Exit codes: 0 every live replica serves the active bundle, 1 one does not, 2 it could not be told.";

/// How often the replicas are looked at.
const INTERVAL: Duration = Duration::from_millis(250);

/// How long to wait for replicas.
#[derive(Clone, Copy, Debug, Args)]
pub struct WaitOptions {
    /// How long to wait until every live replica serves the bundle; 0s is not at all
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_duration)]
    wait: Duration,
}

/// Arguments of `bundle rollout`.
#[derive(Debug, Args)]
pub struct RolloutArgs {
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

#[derive(Debug, Serialize)]
struct RolloutJson<'a> {
    active_number: Option<u64>,
    complete: bool,
    replicas: Vec<ReplicaJson<'a>>,
}

#[derive(Debug, Serialize)]
struct ReplicaJson<'a> {
    replica: &'a str,
    version: &'a str,
    number: Option<u64>,
    unusable: bool,
    seen_at: Option<String>,
}

impl RolloutArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<Verdict, Failure> {
        let link = self.admin.connect().await?;
        let rollout = read(&link).await?;
        let complete = late(&rollout, rollout.active_number).next().is_none();
        match self.output {
            Format::Json => output::print_json(&RolloutJson {
                active_number: some(rollout.active_number),
                complete,
                replicas: rollout.replicas.iter().map(ReplicaJson::from).collect(),
            })?,
            Format::Table => output::print(&table(&rollout))?,
        }
        Ok(if complete { Verdict::Yes } else { Verdict::No })
    }
}

impl<'a> From<&'a ReplicaStatus> for ReplicaJson<'a> {
    fn from(status: &'a ReplicaStatus) -> Self {
        Self {
            replica: &status.replica,
            version: &status.version,
            number: some(status.number),
            unusable: status.unusable,
            seen_at: status.seen_at.map(|time| time.to_string()),
        }
    }
}

impl WaitOptions {
    /// Waits until every live replica serves this bundle, and tells how far that is on standard error.
    ///
    /// # Errors
    /// `Input` when one does not in time, or another bundle was activated meanwhile.
    pub async fn until_served(self, link: &Link, number: u64) -> Result<(), Failure> {
        if self.wait.is_zero() {
            return Ok(());
        }
        let deadline = Instant::now() + self.wait;
        let mut told = String::new();
        loop {
            let rollout = read(link).await?;
            if rollout.active_number != number {
                let active = rollout.active_number;
                return Err(Failure::Input(format!("bundle {active} was activated meanwhile, in place of {number}")));
            }
            let late: Vec<String> = late(&rollout, number).map(lag).collect();
            let count = rollout.replicas.len();
            tell(&mut told, format!("{} of {count} replicas serve bundle {number}", count - late.len()));
            // A replica tells of itself once it has loaded: where none does, nobody decides by anything.
            if late.is_empty() && count > 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Failure::Input(too_late(number, self.wait, &late)));
            }
            tokio::time::sleep_until(deadline.min(Instant::now() + INTERVAL)).await;
        }
    }
}

async fn read(link: &Link) -> Result<PolicyServiceRolloutResponse, Failure> {
    link.answer(link.policies().rollout(PolicyServiceRolloutRequest {})).await
}

/// The replicas that do not decide by this bundle.
fn late(rollout: &PolicyServiceRolloutResponse, number: u64) -> impl Iterator<Item = &ReplicaStatus> {
    rollout.replicas.iter().filter(move |status| status.number != number || status.unusable)
}

fn lag(status: &ReplicaStatus) -> String {
    let name = output::plain(&status.replica);
    match status.number {
        number if status.unusable => format!("{name} cannot use bundle {number}; its log says why"),
        0 => format!("{name} serves none"),
        number => format!("{name} serves bundle {number}"),
    }
}

fn too_late(number: u64, wait: Duration, late: &[String]) -> String {
    let head = format!("bundle {number} is active, and after {wait:?} not every replica serves it");
    if late.is_empty() { format!("{head}: none tells of itself") } else { format!("{head}\n{}", late.join("\n")) }
}

/// Tells it when it is news; on a terminal only, for a log says how it ended.
fn tell(told: &mut String, text: String) {
    if *told != text && io::stderr().is_terminal() {
        output::note(&text);
    }
    *told = text;
}

/// A row a replica.
fn table(rollout: &PolicyServiceRolloutResponse) -> String {
    let mut table = Table::with_header(&["REPLICA", "BUNDLE", "STATE", "VERSION", "SEEN"]);
    for status in &rollout.replicas {
        let state = match status.number {
            _ if status.unusable => Cell::new(BAD, "unusable"),
            number if number == rollout.active_number => Cell::new(GOOD, "serving"),
            _ => Cell::new(WARN, "behind"),
        };
        table.row([
            Cell::from(&status.replica),
            some(status.number).map_or_else(|| "-".to_owned(), |number| number.to_string()).into(),
            state,
            Cell::from(&status.version),
            shown_time(status.seen_at.as_ref()).into(),
        ]);
    }
    table.render()
}

fn some(number: u64) -> Option<u64> {
    Some(number).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(replica: &str, number: u64, unusable: bool) -> ReplicaStatus {
        ReplicaStatus { replica: replica.to_owned(), number, unusable, ..ReplicaStatus::default() }
    }

    #[test]
    fn replicas_that_are_late_are_named_with_what_they_serve() {
        let replicas = vec![status("a", 7, false), status("b", 6, false), status("c", 0, false), status("d", 7, true)];
        let rollout = PolicyServiceRolloutResponse { active_number: 7, replicas };
        let late: Vec<String> = late(&rollout, 7).map(lag).collect();
        assert_eq!(late, ["b serves bundle 6", "c serves none", "d cannot use bundle 7; its log says why"]);
        assert!(
            too_late(7, Duration::from_mins(1), &late)
                .ends_with("serves it\nb serves bundle 6\nc serves none\nd cannot use bundle 7; its log says why")
        );
        let shown = anstream::adapter::strip_str(&table(&rollout)).to_string();
        assert!(shown.contains("a        7       serving") && shown.contains("b        6       behind"), "{shown}");
    }
}
