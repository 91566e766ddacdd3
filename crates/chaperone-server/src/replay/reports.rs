//! Reports of outcomes, from their records, for decisions that are made again.
//!
//! What waits for a report is told by the bundle that decides again; what was reported, by the record of the report, whatever the bundle before had waiting.

use std::collections::BTreeMap;

use chaperone_policy::{
    Attributes, AwaitedReport, DecisionId, Deferred, EntityRef, FactType, Memory, MemoryKey, MemoryLimits,
    OutcomeReport, Reported, ReportedMemories, SessionId, Timestamp, Value, Wait, settle_recorded,
};
use chaperone_trail::Acted;
use smol_str::SmolStr;

use super::obstacle::Obstacle;
use crate::effect_text::counted_to;
use crate::trail::acts;

/// How many decisions wait at the most, and how many reports wait for the records of their decisions.
const WAITING_MAX: usize = 100_000;

/// A report, as its record has it.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) decision: DecisionId,
    at: Timestamp,
    session: SessionId,
    tree: SessionId,
    principal: EntityRef,
    outcome: Reported,
    /// What it brought about then, in the words of policies.
    effects: Vec<String>,
}

/// What a decision left to wait for a report.
#[derive(Debug)]
pub(super) struct Left {
    /// What waits.
    pub(super) awaited: AwaitedReport,
    /// What the bundle that decided left to wait, in the order of its effects: what a report brought about then tells facts of it.
    pub(super) own: Vec<Wait>,
    /// The session that it was for.
    pub(super) session: SessionId,
    /// When it was made.
    pub(super) at: Timestamp,
    /// How much is remembered at most.
    pub(super) limits: MemoryLimits,
    /// When the session and its tree end at the latest; a principal does not.
    pub(super) ends: [Option<Timestamp>; 3],
}

/// What decisions left to wait for reports, each until its report; and reports that were read before their decisions, as those of another
/// chain may be.
///
/// Where there are too many, the oldest give way, and nothing is settled for them: what was reserved stays spent.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By the decisions' ids, which are in the order of time.
    left: BTreeMap<DecisionId, Left>,
    early: BTreeMap<DecisionId, Report>,
}

/// What a report leaves of the memories of the session, its tree and its principal.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) memories: [(MemoryKey, Memory); 3],
    /// What cannot be told of it.
    pub(super) untold: Option<Obstacle>,
}

impl Report {
    /// From its record; `None` of another act.
    pub(super) fn of(at: Timestamp, acted: &Acted<'_>) -> Option<Self> {
        if acted.act != acts::OUTCOME_REPORTED {
            return None;
        }
        let session = acted.session.as_ref()?;
        Some(Self {
            decision: acted.decision?,
            at,
            session: session.id,
            tree: session.tree,
            principal: acted.principal.as_deref()?.clone(),
            outcome: acts::outcome_of(&acted.note)?,
            effects: acted.effects.iter().map(|effect| effect.text.clone().into_owned()).collect(),
        })
    }

    fn keys(&self) -> [MemoryKey; 3] {
        let principal = self.principal.clone();
        [MemoryKey::Session(self.session), MemoryKey::Tree(self.tree), MemoryKey::Principal(principal)]
    }

    /// The facts that can be told from what the report brought about then: those that were counted. What else was reported is not on record.
    fn facts(&self, own: &[Wait]) -> Attributes {
        let brings = |wait: &&Wait| wait.on == self.outcome || matches!(wait.what, Deferred::Reserved(..));
        // One effect for each, in this order. Where it was not settled there are none.
        let brought: Vec<_> = own.iter().filter(brings).collect();
        if brought.len() != self.effects.len() {
            return Attributes::new();
        }
        let fact = |(wait, text): (&Wait, &String)| -> Option<(SmolStr, Value)> {
            let Deferred::CountFact(counter, fact, ty) = &wait.what else { return None };
            let amount = text.strip_prefix(&counted_to(wait.level, counter))?;
            let value = match ty {
                FactType::Long => Value::Long(amount.parse().ok()?),
                FactType::Decimal => Value::Decimal(amount.into()),
                FactType::String | FactType::Ip | FactType::Entity(_) => return None,
            };
            Some((fact.clone(), value))
        };
        brought.into_iter().zip(&self.effects).filter_map(fact).collect()
    }
}

impl Left {
    /// Settles it, in memories that `memory` gives.
    pub(super) fn settle(
        &self,
        report: &Report,
        mut memory: impl FnMut(&MemoryKey) -> Memory,
        risk_decay_per_hour: u32,
    ) -> Result<Settled, Obstacle> {
        let keys = report.keys();
        let [session, tree, principal] = keys.each_ref().map(&mut memory);
        let memories = ReportedMemories { session, tree, principal };
        let reported =
            OutcomeReport { decision: report.decision, outcome: report.outcome, facts: report.facts(&self.own) };
        // The clocks of replicas differ.
        let now = report.at.max(self.at);
        let settled = settle_recorded(&self.awaited, &reported, &memories, now, &self.limits, risk_decay_per_hour);
        let (after, untold) = settled.map_err(|_| Obstacle::Full)?;
        let ReportedMemories { session, tree, principal } = after;
        let [of_session, of_tree, of_principal] = keys;
        let memories = [(of_session, session), (of_tree, tree), (of_principal, principal)];
        Ok(Settled { memories, untold: untold.map(|name| Obstacle::FactMissing(name.to_string())) })
    }
}

impl Waiting {
    /// Notes what a decision left. Returns it with the report on it, where that was read before.
    pub(super) fn leave(&mut self, decision: DecisionId, left: Left) -> Option<(Left, Report)> {
        if let Some(report) = self.early.remove(&decision).filter(|report| report.session == left.session) {
            return Some((left, report));
        }
        self.left.insert(decision, left);
        if self.left.len() > WAITING_MAX {
            self.left.pop_first();
        }
        None
    }

    /// Takes what waits for a report. The first one stands: what comes after finds nothing. One that finds nothing is kept until its decision
    /// comes.
    pub(super) fn take(&mut self, report: Report) -> Option<(Left, Report)> {
        if self.left.get(&report.decision).is_some_and(|left| left.session == report.session) {
            return self.left.remove(&report.decision).map(|left| (left, report));
        }
        self.early.entry(report.decision).or_insert(report);
        if self.early.len() > WAITING_MAX {
            self.early.pop_first();
        }
        None
    }
}
