//! What one round of decisions would leave behind, and which of them hold or fail together.

use std::collections::HashMap;
use std::sync::Arc;

use chaperone_policy::{Bundle, Memory, MemoryKey, SessionChain, Timestamp};
use chaperone_store::{StoredMemory, Transition};

use super::committer::{Settled, Waiting};
use super::judge::Judgement;
use crate::replica::{CachedChain, MemoryCell, Versioned};

/// Whether decisions or signals change this memory. What nothing changes need not be compared, and so not be locked: many
/// sessions share a principal.
fn may_change(key: &MemoryKey, bundle: &Bundle) -> bool {
    match key {
        // Signals change these.
        MemoryKey::Session(_) | MemoryKey::Tree(_) => true,
        MemoryKey::Principal(_) => bundle.remembers_principals(),
    }
}

/// A memory in a round.
#[derive(Debug)]
struct Held {
    cell: Arc<MemoryCell>,
    /// As it was read.
    base: Versioned,
    /// As the decisions so far would leave it.
    memory: Arc<Memory>,
    /// The transition that changes it.
    transition: Option<usize>,
}

/// What a round would do.
#[derive(Debug, Default)]
pub(super) struct Round {
    held: HashMap<MemoryKey, Held>,
    /// Of each transition: its checks with their decisions, and what they read. One that was joined with another is empty.
    transitions: Vec<Draft>,
}

/// Checks with their decisions, in the order in which they were decided.
pub(super) type Checks = Vec<(Waiting, Settled)>;

#[derive(Debug, Default)]
struct Draft {
    checks: Checks,
    reads: Vec<MemoryKey>,
}

impl Round {
    /// The memories of a chain, as the round has them so far.
    pub(super) fn memories(&mut self, cached: &CachedChain) -> Vec<Arc<Memory>> {
        let memories = cached.cells().iter().map(|cell| {
            let held = self.held.entry(cell.key().clone()).or_insert_with(|| {
                let base = cell.latest().unwrap_or_default();
                Held { cell: Arc::clone(cell), memory: Arc::clone(&base.memory), base, transition: None }
            });
            Arc::clone(&held.memory)
        });
        memories.collect()
    }

    /// Notes a decision with what it leaves, in the transition of everything that it shares a changed memory with.
    pub(super) fn add(&mut self, waiting: Waiting, judgement: Judgement, before: &[Arc<Memory>], at: Timestamp) {
        let place = self.transitions.len();
        self.transitions.push(Draft::default());
        let cached = Arc::clone(&waiting.job.cached);
        let after: Vec<_> = judgement.after.iter().flat_map(SessionChain::memories).cloned().collect();
        for (number, (cell, before)) in cached.cells().iter().zip(before).enumerate() {
            let Some(held) = self.held.get_mut(cell.key()) else { continue };
            let changed = after.get(number).filter(|after| !Arc::ptr_eq(after, before));
            let known = held.transition;
            if let Some(after) = changed {
                held.memory = Arc::clone(after);
                held.transition = Some(place);
            }
            match known {
                // It was decided on what another check would leave: the two hold or fail together.
                Some(other) => self.join(other, place),
                None if changed.is_none() && may_change(cell.key(), &waiting.job.snapshot.bundle) => {
                    if let Some(draft) = self.transitions.get_mut(place) {
                        draft.reads.push(cell.key().clone());
                    }
                }
                None => {}
            }
        }
        if let Some(draft) = self.transitions.get_mut(place) {
            draft.checks.push((waiting, Settled { judgement, cached, at }));
        }
    }

    /// Makes one transition of two.
    fn join(&mut self, from: usize, into: usize) {
        if from == into {
            return;
        }
        let draft = self.transitions.get_mut(from).map(std::mem::take).unwrap_or_default();
        if let Some(whole) = self.transitions.get_mut(into) {
            // In the order in which they were decided: the older ones first.
            let later = std::mem::replace(&mut whole.checks, draft.checks);
            whole.checks.extend(later);
            whole.reads.extend(draft.reads);
        }
        for held in self.held.values_mut().filter(|held| held.transition == Some(from)) {
            held.transition = Some(into);
        }
    }

    /// The transitions, each with its place and its checks.
    pub(super) fn take_transitions(&mut self) -> Vec<(usize, Checks, Transition)> {
        let drafts = std::mem::take(&mut self.transitions);
        let held = drafts.into_iter().enumerate().filter(|(_, draft)| !draft.checks.is_empty());
        held.map(|(place, draft)| (place, draft.checks, self.transition(place, &draft.reads))).collect()
    }

    /// What one of the transitions writes, and what it relies on.
    fn transition(&self, place: usize, reads: &[MemoryKey]) -> Transition {
        let written = self.held.iter().filter(|(_, held)| held.transition == Some(place));
        let writes = written.map(|(key, held)| StoredMemory {
            key: key.clone(),
            version: held.base.version,
            memory: Memory::clone(&held.memory),
        });
        let mut reads: Vec<_> = reads
            .iter()
            .filter_map(|key| self.held.get(key).filter(|held| held.transition != Some(place)))
            .map(|held| (held.cell.key().clone(), held.base.version))
            .collect();
        reads.sort_unstable();
        reads.dedup();
        Transition { writes: writes.collect(), reads }
    }

    /// Makes known here what a transition stored.
    pub(super) fn publish(&self, place: usize) {
        for held in self.held.values().filter(|held| held.transition == Some(place)) {
            held.cell.publish(held.base.version + 1, Arc::clone(&held.memory));
        }
    }
}
