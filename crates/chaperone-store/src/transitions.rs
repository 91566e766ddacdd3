//! Transitions of memories, as both databases take them, and what became of them.

use std::collections::{BTreeMap, BTreeSet};

use chaperone_policy::MemoryKey;

use crate::error::StoreError;
use crate::feed::shard_of_memory;
use crate::rows::{stored_memory, stored_number};
use crate::store::{Committed, StoredMemory, Transition};

/// A memory to write or to compare, as the databases take it.
#[derive(Debug)]
pub(crate) struct Write {
    /// The place of its transition in the call.
    pub(crate) transition: i32,
    pub(crate) key: String,
    /// The version that was read; 0: none.
    pub(crate) version: i64,
    /// What it is to hold; `None`: only its version is compared.
    pub(crate) memory: Option<String>,
    /// Where in the feed it is named.
    pub(crate) shard: i16,
}

/// Everything that transitions write and compare.
///
/// # Errors
/// [`StoreError::Overlap`] when they write a memory twice.
pub(crate) fn writes_of(transitions: &[Transition]) -> Result<Vec<Write>, StoreError> {
    let mut keys: BTreeSet<&MemoryKey> = BTreeSet::new();
    let mut writes = Vec::with_capacity(transitions.iter().map(|transition| transition.writes.len()).sum());
    for (transition, place) in transitions.iter().zip(0_i32..) {
        for StoredMemory { key, version, memory } in &transition.writes {
            if !keys.insert(key) {
                return Err(StoreError::Overlap { key: key.clone() });
            }
            let text = key.to_string();
            writes.push(Write {
                transition: place,
                version: stored_number(*version),
                memory: Some(stored_memory(&text, memory)?),
                shard: shard_of_memory(key, &text),
                key: text,
            });
        }
        for (key, version) in &transition.reads {
            let (text, version) = (key.to_string(), stored_number(*version));
            writes.push(Write {
                transition: place,
                version,
                memory: None,
                shard: shard_of_memory(key, &text),
                key: text,
            });
        }
    }
    Ok(writes)
}

/// A memory that was not as it was read.
#[derive(Debug)]
pub(crate) enum Changed {
    /// Another changed it first: as it is stored now.
    Stored(StoredMemory),
    /// It has no row, and so nothing of it could be locked or written, whatever version was read.
    Missing(MemoryKey),
}

/// What became of each transition, when `changed` are the memories that were not as they were read.
pub(crate) fn outcomes(transitions: &[Transition], changed: Vec<Changed>) -> Vec<Committed> {
    let changed: BTreeMap<MemoryKey, Changed> =
        changed.into_iter().map(|changed| (changed.key().clone(), changed)).collect();
    let outcome = |transition: &Transition| {
        let writes = transition.writes.iter().map(|write| (&write.key, write.version));
        let compared = writes.chain(transition.reads.iter().map(|(key, version)| (key, *version)));
        let conflict = |(key, version)| match changed.get(key)? {
            Changed::Stored(stored) => (stored.version != version).then(|| stored.clone()),
            Changed::Missing(key) => Some(nothing_of(key.clone())),
        };
        let conflicts: Vec<_> = compared.filter_map(conflict).collect();
        if conflicts.is_empty() { Committed::Done } else { Committed::Conflict(conflicts) }
    };
    transitions.iter().map(outcome).collect()
}

impl Changed {
    fn key(&self) -> &MemoryKey {
        match self {
            Self::Stored(memory) => &memory.key,
            Self::Missing(key) => key,
        }
    }
}

impl From<Changed> for StoredMemory {
    fn from(changed: Changed) -> Self {
        match changed {
            Changed::Stored(memory) => memory,
            Changed::Missing(key) => nothing_of(key),
        }
    }
}

/// What is stored of each key, in their order, when `stored` are those that exist.
pub(crate) fn in_order_of(keys: &[MemoryKey], stored: Vec<StoredMemory>) -> Vec<StoredMemory> {
    let stored: BTreeMap<MemoryKey, StoredMemory> =
        stored.into_iter().map(|memory| (memory.key.clone(), memory)).collect();
    keys.iter().map(|key| stored.get(key).cloned().unwrap_or_else(|| nothing_of(key.clone()))).collect()
}

/// The memory of which nothing is stored.
pub(crate) fn nothing_of(key: MemoryKey) -> StoredMemory {
    StoredMemory { key, version: 0, memory: chaperone_policy::Memory::default() }
}
