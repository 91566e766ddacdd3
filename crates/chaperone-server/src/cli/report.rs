//! `chaperone report`: tells what became of an allowed action.

use std::collections::HashSet;

use chaperone_api::chaperone::v1::{Effect, ReportOutcome, ReportRequest, ReportResponse, ReportStatus, Value};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::check::{EffectJson, shown_effect};
use super::connect::DataOptions;
use super::failure::{Failure, Verdict};
use super::output::{self, Format, GOOD, Table, WARN, paint, plain};
use super::parse::{self, DecisionIdArg, SessionIdArg};

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone report 0198c0de-0000-7000-8000-000000000009 --session 0198c0de-0000-7000-8000-000000000001 executed
  chaperone report 0198c0de-0000-7000-8000-000000000009 --session 0198c0de-0000-7000-8000-000000000001 \\
      executed --fact rows:long=5 --output json

The same report again is answered the same and changes nothing, so that one that may have failed can be sent again.

Exit codes: 0 settled, 1 nothing waited or it came too late, 2 not taken (wrong arguments, another outcome was reported
before, or the server cannot be reached).";

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The decision's id, as `check` prints it
    #[arg(value_name = "DECISION_ID", value_parser = parse::decision_id)]
    decision: DecisionIdArg,
    /// What became of the action
    #[arg(value_enum)]
    outcome: OutcomeOption,
    /// The id of the session that the decision was for
    #[arg(long, value_name = "SESSION_ID", value_parser = parse::session_id)]
    session: SessionIdArg,
    /// A fact that came back: NAME=TEXT, or NAME:TYPE=VALUE such as rows:long=5 (repeatable; types: string, long, entity, ip,
    /// decimal)
    #[arg(long = "fact", value_name = "NAME[:TYPE]=VALUE", value_parser = parse::attribute)]
    facts: Vec<(String, Value)>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    data: DataOptions,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum OutcomeOption {
    /// It was done.
    Executed,
    /// It was not done, or came to nothing.
    Failed,
}

#[derive(Debug, Serialize)]
struct ReportJson<'a> {
    status: &'static str,
    effects: Vec<EffectJson<'a>>,
}

impl ReportArgs {
    /// Runs the command: yes where it was settled, no where nothing waited any more.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<Verdict, Failure> {
        let mut names = HashSet::new();
        if let Some((name, _)) = self.facts.iter().find(|(name, _)| !names.insert(name)) {
            return Err(Failure::Input(format!("the fact `{name}` is given twice")));
        }
        let outcome = match self.outcome {
            OutcomeOption::Executed => ReportOutcome::Executed,
            OutcomeOption::Failed => ReportOutcome::Failed,
        };
        let decision_id = self.decision.into_id();
        let request = ReportRequest {
            decision_id: decision_id.clone(),
            session_id: self.session.into_id()?,
            outcome: outcome.into(),
            facts: self.facts.into_iter().collect(),
        };
        let link = self.data.connect().await?;
        let response = link.answer(link.decisions().report(request)).await?;
        let verdict = verdict(&response)?;
        let effects = || response.effects.iter();
        match self.output {
            Format::Json => {
                let status = status_name(response.status());
                output::print_json(&ReportJson { status, effects: effects().map(EffectJson::from).collect() })?;
            }
            Format::Table => output::print(&explanation(&decision_id, response.status(), effects()))?,
        }
        Ok(verdict)
    }
}

fn verdict(response: &ReportResponse) -> Result<Verdict, Failure> {
    match ReportStatus::try_from(response.status) {
        Ok(ReportStatus::Settled) => Ok(Verdict::Yes),
        Ok(ReportStatus::NothingWaiting | ReportStatus::TooLate) => Ok(Verdict::No),
        Ok(ReportStatus::Unspecified) | Err(_) => Err(Failure::Input(format!(
            "the server answered with the status {}, which this version of chaperone does not know",
            response.status
        ))),
    }
}

fn explanation<'a>(decision: &str, status: ReportStatus, effects: impl Iterator<Item = &'a Effect>) -> String {
    let (style, text) = match status {
        ReportStatus::Settled => (GOOD, "settled"),
        ReportStatus::NothingWaiting => (WARN, "nothing waits for a report on this decision in this session"),
        ReportStatus::TooLate | ReportStatus::Unspecified => {
            (WARN, "too late: what was reserved stays spent, and what waited does not happen")
        }
    };
    let mut facts = Table::of_facts();
    for effect in effects {
        facts.fact("effect", shown_effect(effect));
    }
    format!("{} {}\n{}", plain(decision), paint(style, text), facts.render())
}

const fn status_name(status: ReportStatus) -> &'static str {
    match status {
        ReportStatus::Settled => "settled",
        ReportStatus::NothingWaiting => "nothing_waiting",
        ReportStatus::TooLate => "too_late",
        ReportStatus::Unspecified => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_settled_report_is_done() {
        let of = |status: i32| verdict(&ReportResponse { status, effects: Vec::new() });
        assert_eq!(of(ReportStatus::Settled.into()).expect("known"), Verdict::Yes);
        for status in [ReportStatus::NothingWaiting, ReportStatus::TooLate] {
            assert_eq!(of(status.into()).expect("known"), Verdict::No);
        }
        assert!(of(0).is_err() && of(99).is_err());
    }
}
