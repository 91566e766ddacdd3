//! What waits for an outcome report, from the decision until the report or the end of the wait.
//!
//! All of it stands in the session's memory, whatever level it is about: a report is then settled once because that one memory is compared
//! and set, and the memory of a principal does not grow with what its sessions wait for.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::Memory;
use super::amount::Amount;
use super::change::ChangeError;
use super::limits::{CLOCK_SKEW_MAX, MemoryLimits};
use super::name::MemoryName;
use crate::effects::Level;
use crate::fact::{FactType, ResultFacts};
use crate::ids::DecisionId;
use crate::step_up::AttributesDigest;
use crate::timestamp::Timestamp;
use crate::value::Value;

/// What became of an allowed action.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reported {
    /// It was done.
    Executed,
    /// It was not done, or came to nothing.
    Failed,
}

impl Reported {
    /// As annotations and answers write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::Failed => "failed",
        }
    }

    /// Reads what [`as_str`](Self::as_str) writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Executed, Self::Failed].into_iter().find(|reported| reported.as_str() == text)
    }
}

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One effect that waits for a report. It holds everything that is needed when that comes: another bundle may be active by then.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Which report it is for.
    pub on: Reported,
    /// Whose memory it changes.
    pub level: Level,
    /// What it does.
    pub what: Deferred,
}

/// What an effect does that waits for a report.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deferred {
    /// Counts already, so that a budget is never passed. The other report gives it back; without any it stays spent. With the granule
    /// that it was added to, once it was, where the counter has any.
    Reserved(MemoryName, Amount, Option<i64>),
    /// Adds a label.
    Label(SmolStr),
    /// Adds to a counter.
    Count(MemoryName, Amount),
    /// Adds a value to a set.
    Remember(MemoryName, Value),
    /// Moves the risk.
    Risk(i8),
    /// Adds to a counter what the report tells under this name.
    CountFact(MemoryName, SmolStr, FactType),
    /// Adds to a set what the report tells under this name.
    RememberFact(MemoryName, SmolStr, FactType),
}

impl Deferred {
    /// The fact that it needs, with its type.
    pub fn fact(&self) -> Option<(&SmolStr, &FactType)> {
        match self {
            Self::CountFact(_, fact, ty) | Self::RememberFact(_, fact, ty) => Some((fact, ty)),
            Self::Reserved(..) | Self::Label(_) | Self::Count(..) | Self::Remember(..) | Self::Risk(_) => None,
        }
    }
}

/// What one decision left to wait.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitedReport {
    /// When the wait is over.
    until: Timestamp,
    /// The facts that the mapping named for the action when it was allowed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    facts: ResultFacts,
    /// In the order of the decision's effects.
    waits: Vec<Wait>,
    /// What was reported. It is known until the wait would have been over, so that the same report is answered alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<Told>,
}

/// What waits in one memory, by decision.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct AwaitedReports(BTreeMap<DecisionId, AwaitedReport>);

/// A report that came.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    pub(crate) outcome: Reported,
    /// Of its facts.
    pub(crate) facts: AttributesDigest,
}

impl AwaitedReport {
    /// When the wait is over.
    pub const fn until(&self) -> Timestamp {
        self.until
    }

    /// What was reported; `None` while nothing was.
    pub fn reported(&self) -> Option<Reported> {
        self.told.map(|told| told.outcome)
    }

    /// What waits, or waited, in the order of the decision's effects.
    pub fn waits(&self) -> impl Iterator<Item = &Wait> {
        self.waits.iter()
    }

    /// Whether the wait is over at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until <= now
    }

    /// The same with those of its waits of which `is_part` says so.
    pub(crate) fn part(&self, is_part: impl Fn(&Wait) -> bool) -> Self {
        let waits = self.waits.iter().filter(|wait| is_part(wait)).cloned().collect();
        Self { waits, ..self.clone() }
    }

    pub(crate) const fn told(&self) -> Option<Told> {
        self.told
    }

    pub(crate) const fn facts(&self) -> &ResultFacts {
        &self.facts
    }
}

impl Memory {
    /// What decisions of this session left to wait for reports, by decision; some of it may be over or reported.
    pub fn awaited(&self) -> impl Iterator<Item = (DecisionId, &AwaitedReport)> {
        self.awaited.iter().flat_map(|awaited| &awaited.0).map(|(id, awaited)| (*id, awaited))
    }

    /// What this decision left to wait.
    pub fn awaited_by(&self, decision: DecisionId) -> Option<&AwaitedReport> {
        self.awaited.as_ref()?.0.get(&decision)
    }

    /// Notes that an effect of a decision waits until `until`, beside those that it left already.
    ///
    /// # Errors
    /// [`ChangeError::Full`] when so many decisions wait: what waits is never forgotten. What was reported gives way, the oldest first:
    /// nothing is owed for it any more, and the same report again would only be answered that nothing waits.
    pub(crate) fn await_report(
        &mut self,
        decision: DecisionId,
        until: Timestamp,
        facts: Option<&ResultFacts>,
        wait: Wait,
        limits: &MemoryLimits,
    ) -> Result<(), ChangeError> {
        let known = &mut self.awaited.get_or_insert_default().0;
        if !known.contains_key(&decision) && known.len() >= limits.reports {
            // Decision ids are in the order of time.
            let reported = known.iter().find(|(_, awaited)| awaited.told.is_some()).map(|(id, _)| *id);
            let Some(reported) = reported else {
                return Err(ChangeError::Full {
                    what: "outcome report",
                    name: decision.to_string().into(),
                    limit: limits.reports,
                });
            };
            known.remove(&reported);
        }
        let nothing = || AwaitedReport { until, facts: ResultFacts::new(), waits: Vec::new(), told: None };
        let awaited = known.entry(decision).or_insert_with(nothing);
        for (name, ty) in facts.into_iter().flatten() {
            awaited.facts.entry(name.clone()).or_insert_with(|| ty.clone());
        }
        awaited.waits.push(wait);
        Ok(())
    }

    /// Notes that a decision was reported.
    pub(crate) fn note_report(&mut self, decision: DecisionId, told: Told) {
        if let Some(awaited) = self.awaited.as_mut().and_then(|awaited| awaited.0.get_mut(&decision)) {
            awaited.told = Some(told);
        }
    }

    /// Drops what no clock finds waiting any more. What it reserved stays spent.
    pub(super) fn drop_overdue(&mut self, now: Timestamp) {
        if let Some(awaited) = &mut self.awaited {
            awaited.0.retain(|_, awaited| !awaited.is_over(now.minus(CLOCK_SKEW_MAX)));
            if awaited.0.is_empty() {
                self.awaited = None;
            }
        }
    }
}
