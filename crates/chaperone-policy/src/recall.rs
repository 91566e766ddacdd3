//! What is remembered, as the decisions of one session read it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::compiled::{Datum, Set, Uid};
use crate::effects::{CounterKind, Level};
use crate::memory::{Amount, Memory, MemoryName, RememberedSet};
use crate::timestamp::Timestamp;
use crate::value::Value;

/// The memories of one chain: each session's, itself first; the tree's; the principal's.
#[derive(Debug, Default)]
pub(crate) struct Recollection {
    sessions: Vec<Arc<Memory>>,
    tree: Arc<Memory>,
    principal: Arc<Memory>,
    sets: [Sets; 3],
}

type Sets = BTreeMap<MemoryName, RecalledSet>;

/// A remembered set as conditions read it.
#[derive(Debug)]
struct RecalledSet {
    /// All of it, whether or not it has left the window by now.
    all: Set,
    /// Until when all of it counts; `None`: for ever.
    whole_until: Option<Timestamp>,
    /// What it was made of.
    source: RememberedSet,
}

impl Recollection {
    /// From memories in the order of a chain's keys; `None` when there are too few.
    pub(crate) fn new(mut memories: Vec<Arc<Memory>>) -> Option<Self> {
        let principal = memories.pop()?;
        let tree = memories.pop()?;
        let session = memories.first()?;
        let sets = [sets(session), sets(&tree), sets(&principal)];
        Some(Self { sessions: memories, tree, principal, sets })
    }

    /// One memory.
    pub(crate) fn memory(&self, level: Level) -> Option<&Arc<Memory>> {
        match level {
            Level::Session => self.sessions.first(),
            Level::Tree => Some(&self.tree),
            Level::Principal => Some(&self.principal),
        }
    }

    /// Each session's, itself first.
    pub(crate) fn sessions(&self) -> &[Arc<Memory>] {
        &self.sessions
    }

    /// All of them, in the order of a chain's keys.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Memory>> {
        self.sessions.iter().chain([&self.tree, &self.principal])
    }

    /// The risk: the highest of the session's and its ancestors'.
    pub(crate) fn risk(&self, decay_per_hour: u32, now: Timestamp) -> i64 {
        self.sessions.iter().map(|memory| memory.risk(decay_per_hour, now)).max().unwrap_or(0)
    }

    /// A counter's number, zero where nothing was counted.
    pub(crate) fn count(&self, level: Level, name: &MemoryName, kind: CounterKind, now: Timestamp) -> Amount {
        let amount = self.memory(level).and_then(|memory| memory.count(name, now)).unwrap_or(Amount::Whole(0));
        match kind {
            CounterKind::Whole => Amount::Whole(amount.to_whole_up()),
            CounterKind::Decimal => Amount::Decimal(amount.to_decimal()),
        }
    }

    /// A set's members.
    pub(crate) fn set(&self, level: Level, name: &MemoryName, now: Timestamp) -> Recalled<'_> {
        let [session, tree, principal] = &self.sets;
        let sets = match level {
            Level::Session => session,
            Level::Tree => tree,
            Level::Principal => principal,
        };
        let Some(set) = sets.get(name) else { return Recalled::Nothing };
        if set.whole_until.is_none_or(|until| now <= until) {
            return Recalled::All(&set.all);
        }
        Recalled::Some(set.source.values(name.window(), now).filter_map(datum).collect())
    }
}

/// What a remembered set holds at one time.
pub(crate) enum Recalled<'a> {
    Nothing,
    All(&'a Set),
    Some(Set),
}

fn sets(memory: &Memory) -> Sets {
    let recalled = |name: &MemoryName, source: &RememberedSet| RecalledSet {
        all: source.iter().filter_map(datum).collect(),
        whole_until: source.whole_until(name.window()),
        source: source.clone(),
    };
    memory.sets().map(|(name, set)| (name.clone(), recalled(name, set))).collect()
}

/// No value of another type is remembered.
fn datum(value: &Value) -> Option<Datum> {
    Some(match value {
        Value::Long(number) => Datum::Long(*number),
        Value::String(text) => Datum::String(text.clone()),
        Value::Entity(name) => Datum::Entity(Arc::new(Uid::new(name.clone()))),
        Value::Ip(text) => Datum::ip(text)?,
        Value::Bool(_)
        | Value::Set(_)
        | Value::Record(_)
        | Value::Decimal(_)
        | Value::Datetime(_)
        | Value::Duration(_) => return None,
    })
}
