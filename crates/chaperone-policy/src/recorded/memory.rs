//! Memories, without what the mapping does not let into records.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{StateError, json};
use crate::bundle::Bundle;
use crate::effects::Level;
use crate::ids::ApprovalId;
use crate::memory::{ApprovalGrant, Counter, Memory, MemoryName, RememberedSet, Risk};

/// What decisions read of a memory.
///
/// Left out is what they do not read: the ids of signals, what waits for reports, and when it was last changed; and what the mapping does
/// not let into records: sets of which a value may come from an attribute or fact that is hashed or dropped, and approvals of actions
/// with such attributes, whose digest could be guessed. Those have their names here.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryState<'a> {
    #[serde(default, skip_serializing_if = "is_none")]
    labels: Cow<'a, BTreeSet<SmolStr>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    counters: BTreeMap<Cow<'a, MemoryName>, Cow<'a, Counter>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sets: BTreeMap<Cow<'a, MemoryName>, Cow<'a, RememberedSet>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    risk: Option<Risk>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    grants: BTreeMap<ApprovalId, Cow<'a, ApprovalGrant>>,
    /// Sets that are not here.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    dropped_sets: BTreeSet<Cow<'a, MemoryName>>,
    /// How many approvals are not here.
    #[serde(default, skip_serializing_if = "is_zero")]
    dropped_grants: u32,
    /// How many decisions wait for reports.
    #[serde(default, skip_serializing_if = "is_zero")]
    awaited: u32,
}

#[expect(clippy::ptr_arg, reason = "serde hands over a reference to the field")]
fn is_none(names: &Cow<'_, BTreeSet<SmolStr>>) -> bool {
    names.is_empty()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference to the field")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl<'a> MemoryState<'a> {
    /// Of a memory of this level, as far as the bundle lets it into records; `None` where there is nothing to be read of it.
    pub fn of(memory: &'a Memory, level: Level, bundle: &Bundle) -> Option<Self> {
        if memory.is_empty() {
            return None;
        }
        let is_kept = |name: &MemoryName| bundle.keeps_set(level, name);
        let (sets, dropped): (Vec<_>, Vec<_>) = memory.sets().partition(|(name, _)| is_kept(name));
        let (grants, withheld): (Vec<_>, Vec<_>) =
            memory.grants().partition(|(_, grant)| bundle.keeps_attributes(&grant.action));
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let state = Self {
            labels: Cow::Borrowed(memory.labels()),
            counters: memory
                .counters()
                .iter()
                .map(|(name, counter)| (Cow::Borrowed(name), Cow::Borrowed(counter)))
                .collect(),
            sets: sets.into_iter().map(|(name, set)| (Cow::Borrowed(name), Cow::Borrowed(set))).collect(),
            risk: memory.risk_part(),
            grants: grants.into_iter().map(|(id, grant)| (id, Cow::Borrowed(grant))).collect(),
            dropped_sets: dropped.into_iter().map(|(name, _)| Cow::Borrowed(name)).collect(),
            dropped_grants: count(withheld.len()),
            awaited: count(memory.awaited().count()),
        };
        (state != Self::default()).then_some(state)
    }

    /// The text.
    pub fn text(&self) -> String {
        json(self)
    }

    /// From a text.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<MemoryState<'static>, StateError> {
        serde_json::from_str(text).map_err(|error| StateError::new("memory", &error))
    }

    /// Sets that are not here, though there were any.
    pub fn dropped_sets(&self) -> impl Iterator<Item = &MemoryName> {
        self.dropped_sets.iter().map(Cow::as_ref)
    }

    /// How many approvals are not here, though there were any.
    pub const fn dropped_grants(&self) -> u32 {
        self.dropped_grants
    }

    /// How many decisions waited for reports of their outcomes.
    pub const fn awaited(&self) -> u32 {
        self.awaited
    }

    /// The memory, with what is here of it.
    pub fn into_memory(self) -> Memory {
        Memory::of_parts(
            self.labels.into_owned(),
            self.counters.into_iter().map(|(name, counter)| (name.into_owned(), counter.into_owned())).collect(),
            self.sets.into_iter().map(|(name, set)| (name.into_owned(), set.into_owned())).collect(),
            self.risk,
            self.grants.into_iter().map(|(id, grant)| (id, grant.into_owned())).collect(),
        )
    }
}
