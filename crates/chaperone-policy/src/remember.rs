//! From a decision's effects to what is remembered afterwards.

use std::sync::Arc;

use crate::decision::{Decision, Outcome, Reason};
use crate::effects::{Effect, Level};
use crate::fact::ResultFacts;
use crate::ids::DecisionId;
use crate::memory::{Change, ChangeError, Deferred, Memory, MemoryLimits, Wait};
use crate::session::SessionChain;
use crate::timestamp::Timestamp;

/// Which decision it is that leaves something, and under what limits.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// The decision's id, by which its outcome is reported.
    pub decision: DecisionId,
    /// The facts that a report may tell of its action.
    pub results: Option<&'a ResultFacts>,
    /// When.
    pub now: Timestamp,
    /// How much is remembered at most.
    pub limits: &'a MemoryLimits,
    /// By how many points the risk decays.
    pub risk_decay_per_hour: u32,
}

/// What a decision leaves of a chain's memories: the decision itself, and the chain as the next decision must see it; `None` where
/// nothing changes.
///
/// Pure: equal arguments give equal results. An allow whose effects do not fit is a denial with [`Reason::MemoryFull`], and changes
/// nothing: nothing is forgotten to make room. A denial keeps its reason, and those of its effects that fit.
pub fn remember(
    mut decision: Decision,
    chain: &SessionChain,
    occasion: &Occasion<'_>,
) -> (Decision, Option<SessionChain>) {
    let Occasion { now, limits, risk_decay_per_hour, .. } = *occasion;
    let mut memories: Vec<Arc<Memory>> = chain.memories().cloned().collect();
    for effect in &decision.effects {
        let (level, applied) = match effect {
            Effect::Remember(level, change) => {
                let memory = memory_mut(&mut memories, *level);
                (*level, memory.map(|memory| memory.apply(change, now, limits, risk_decay_per_hour)))
            }
            Effect::Await(wait) => {
                decision.report_until = Some(now.plus(limits.report_wait));
                (wait.level, Some(hold(&mut memories, wait, occasion)))
            }
            Effect::Revoke { .. } | Effect::Alert(_) => continue,
        };
        if let Some(Err(error)) = applied
            && decision.outcome == Outcome::Allow
        {
            return (full(level, &error), None);
        }
    }
    let mut changed = false;
    for (memory, before) in memories.iter_mut().zip(chain.memories()) {
        if memory == before {
            // What is there already is not written again: whoever stores the memories tells them apart by their place.
            *memory = Arc::clone(before);
        } else {
            Arc::make_mut(memory).touch(now);
            changed = true;
        }
    }
    let after = changed.then(|| chain.with_memories(memories)).flatten();
    (decision, after)
}

/// The memory of a level, copied once: the chain keeps what was.
///
/// INVARIANT (whole chain): a chain has a session's memory, a tree's and a principal's, so that there always is one.
fn memory_mut(memories: &mut [Arc<Memory>], level: Level) -> Option<&mut Memory> {
    let place = match level {
        Level::Session => 0,
        Level::Tree => memories.len().saturating_sub(2),
        Level::Principal => memories.len().saturating_sub(1),
    };
    memories.get_mut(place).map(Arc::make_mut)
}

/// Keeps what waits for a report; an amount that is reserved counts from now on.
fn hold(memories: &mut [Arc<Memory>], wait: &Wait, occasion: &Occasion<'_>) -> Result<(), ChangeError> {
    let Occasion { decision, results, now, limits, risk_decay_per_hour } = *occasion;
    let mut wait = wait.clone();
    match &mut wait.what {
        Deferred::Reserved(counter, amount, granule) => {
            if let Some(memory) = memory_mut(memories, wait.level) {
                memory.apply(&Change::Count(counter.clone(), *amount), now, limits, risk_decay_per_hour)?;
                *granule = memory.newest_granule(counter);
            }
        }
        // It is stored from now on.
        Deferred::Remember(set, value) => Memory::check_value(set, value, limits)?,
        Deferred::Label(_)
        | Deferred::Count(..)
        | Deferred::Risk(_)
        | Deferred::CountFact(..)
        | Deferred::RememberFact(..) => {}
    }
    let Some(memory) = memory_mut(memories, Level::Session) else { return Ok(()) };
    memory.await_report(decision, now.plus(limits.report_wait), results, wait, limits)
}

fn full(level: Level, error: &ChangeError) -> Decision {
    Decision { detail: Some(format!("{level}: {error}")), ..Decision::deny(Reason::MemoryFull) }
}
