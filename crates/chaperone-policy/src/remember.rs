//! From a decision's effects to what is remembered afterwards.

use std::sync::Arc;

use crate::decision::{Decision, Outcome, Reason};
use crate::effects::{Effect, Level};
use crate::memory::{ChangeError, Memory, MemoryLimits};
use crate::session::SessionChain;
use crate::timestamp::Timestamp;

/// What a decision leaves of a chain's memories: the decision itself, and the chain as the next decision must see it; `None` where
/// nothing changes.
///
/// Pure: equal arguments give equal results. An allow whose effects do not fit is a denial with [`Reason::MemoryFull`], and changes
/// nothing: nothing is forgotten to make room. A denial keeps its reason, and those of its effects that fit.
pub fn remember(
    decision: Decision,
    chain: &SessionChain,
    now: Timestamp,
    limits: &MemoryLimits,
    risk_decay_per_hour: u32,
) -> (Decision, Option<SessionChain>) {
    let mut memories: Vec<Arc<Memory>> = chain.memories().cloned().collect();
    let (tree, principal) = (memories.len().saturating_sub(2), memories.len().saturating_sub(1));
    for effect in &decision.effects {
        let Effect::Remember(level, change) = effect else { continue };
        let place = match level {
            Level::Session => 0,
            Level::Tree => tree,
            Level::Principal => principal,
        };
        // INVARIANT (whole chain): a chain has a session's memory, a tree's and a principal's.
        let Some(memory) = memories.get_mut(place) else { continue };
        // Copied once: the chain keeps what was.
        match Arc::make_mut(memory).apply(change, now, limits, risk_decay_per_hour) {
            Err(error) if decision.outcome == Outcome::Allow => return (full(*level, &error), None),
            Ok(()) | Err(_) => {}
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

fn full(level: Level, error: &ChangeError) -> Decision {
    Decision { detail: Some(format!("{level}: {error}")), ..Decision::deny(Reason::MemoryFull) }
}
