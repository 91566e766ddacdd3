//! A bundle that decides in place of those that did, and what it would remember.

use std::sync::Arc;

use chaperone_policy::{DecisionId, MemoryKey, MemoryLimits, SessionChain, Timestamp, Wait};

use super::reports::{Left, Report, Settled, Waiting};
use super::rules::Rules;
use crate::differences::CandidateMemories;

/// A bundle to decide by in place of those that did, and what it would remember by now.
pub struct Trial<'a> {
    /// The bundle.
    pub rules: &'a Rules,
    /// What it would remember.
    pub(super) would: &'a mut WouldRemember,
}

/// What a candidate would remember.
#[derive(Debug, Default)]
pub(super) struct WouldRemember {
    /// Where that is something else than what was.
    memories: CandidateMemories,
    /// What of that waits for reports.
    waiting: Waiting,
}

impl WouldRemember {
    /// The chain as the candidate would find it.
    pub(super) fn own(&mut self, chain: &SessionChain) -> Option<SessionChain> {
        self.memories.own(chain)
    }

    /// Keeps what differs after a decision on this chain: as the bundle that decided leaves it, and as the candidate would.
    pub(super) fn keep(&mut self, decided: &SessionChain, candidate: &SessionChain) {
        self.memories.keep(decided, candidate);
    }

    /// Notes what a decision of the candidate at that time leaves to wait for a report, where it would remember something else of the session:
    /// what was remembered has the report. `own` is what the bundle that decided left. Takes the report if that came before.
    pub(super) fn leave(
        &mut self,
        rules: &Rules,
        decision: DecisionId,
        after: &SessionChain,
        own: impl FnOnce() -> Vec<Wait>,
        (at, limits): (Timestamp, MemoryLimits),
    ) {
        let session = after.session().id;
        let Some(awaited) = after.memories().next().and_then(|memory| memory.awaited_by(decision)) else { return };
        if self.memories.find(&MemoryKey::Session(session)).is_none() {
            return;
        }
        self.memories.keep_own(after);
        let left = Left { awaited: awaited.clone(), own: own(), session, at, limits, ends: [None; 3] };
        if let Some((left, report)) = self.waiting.leave(decision, left) {
            self.settle(rules, &left, &report);
        }
    }

    /// Takes the record of a report.
    pub(super) fn report(&mut self, rules: &Rules, report: Report) {
        if let Some((left, report)) = self.waiting.take(report) {
            self.settle(rules, &left, &report);
        }
    }

    /// What cannot be told of the report, or does not fit, is left out, as without one.
    fn settle(&mut self, rules: &Rules, left: &Left, report: &Report) {
        let memory = |key: &MemoryKey| self.memories.find(key).map(Arc::unwrap_or_clone).unwrap_or_default();
        let decay = rules.bundle().manifest().risk.decay_per_hour;
        let Ok(Settled { memories, .. }) = left.settle(report, memory, decay) else { return };
        for (key, memory) in memories {
            self.memories.replace(key, memory);
        }
    }
}
