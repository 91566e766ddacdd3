//! What would be remembered if the candidate had decided, where that is something else than what is.

use std::collections::HashMap;
use std::sync::Arc;

use chaperone_policy::{Level, Memory, MemoryKey, SessionChain};

/// How many memories are kept, of those that were used last; up to as many of those before them are, too.
const MEMORIES_MAX: usize = 8_192;

/// Memories that differ from the real ones. All others are the real ones, with everything that others do to them.
#[derive(Debug, Default)]
pub(crate) struct CandidateMemories {
    /// Those that were used since `older` was last replaced.
    recent: HashMap<MemoryKey, Arc<Memory>>,
    older: HashMap<MemoryKey, Arc<Memory>>,
}

impl CandidateMemories {
    /// The chain as the candidate would find it. What people approved is as it really is.
    pub(crate) fn own(&mut self, chain: &SessionChain) -> Option<SessionChain> {
        if self.recent.is_empty() && self.older.is_empty() {
            return Some(chain.clone());
        }
        let memories = chain.memory_keys().zip(chain.memories()).map(|(key, real)| match self.find(&key) {
            Some(own) => Arc::new(own.with_grants_of(real)),
            None => Arc::clone(real),
        });
        chain.with_memories(memories.collect())
    }

    /// Keeps what differs after a decision on this chain: as the active bundle leaves it, and as the candidate would.
    pub(crate) fn keep(&mut self, active: &SessionChain, candidate: &SessionChain) {
        let after = active.memories().zip(candidate.memories());
        for (key, (active, candidate)) in candidate.memory_keys().zip(after) {
            if active != candidate || self.find(&key).is_some() {
                self.put(key, Arc::clone(candidate));
            }
        }
    }

    /// Keeps the memories of a chain's session, its tree and its principal, so that a report on what was decided there finds them.
    pub(crate) fn keep_own(&mut self, candidate: &SessionChain) {
        let memories = candidate.memory_keys().zip(candidate.memories());
        // Those of the sessions that it was delegated from change by no report.
        let of_report = memories.enumerate().filter(|(place, (key, _))| *place == 0 || key.level() != Level::Session);
        for (_, (key, memory)) in of_report {
            if self.find(&key).is_none() {
                self.put(key, Arc::clone(memory));
            }
        }
    }

    /// Replaces one of those that differ.
    pub(crate) fn replace(&mut self, key: MemoryKey, memory: Memory) {
        if self.find(&key).is_some() {
            self.put(key, Arc::new(memory));
        }
    }

    /// One of those that differ.
    pub(crate) fn find(&mut self, key: &MemoryKey) -> Option<Arc<Memory>> {
        if let Some(memory) = self.recent.get(key) {
            return Some(Arc::clone(memory));
        }
        let memory = self.older.remove(key)?;
        self.put(key.clone(), Arc::clone(&memory));
        Some(memory)
    }

    fn put(&mut self, key: MemoryKey, memory: Arc<Memory>) {
        if self.recent.len() >= MEMORIES_MAX && !self.recent.contains_key(&key) {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, memory);
    }
}
