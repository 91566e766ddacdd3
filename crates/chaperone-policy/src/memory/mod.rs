//! What Chaperone remembers of a session, of its tree and of its principal: labels, counters, sets, risk.
//!
//! Plain data and pure functions: who stores it, and how two that change it at once are told apart, is the store's matter.

mod key;
mod name;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use self::key::MemoryKey;
pub use self::name::{MemoryName, ParseMemoryNameError, WINDOW_MAX, WINDOW_MIN};
use crate::timestamp::Timestamp;
use crate::value::Value;

/// What is remembered of one session, tree or principal. The default is nothing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Memory {
    /// Sticky marks.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    labels: BTreeSet<SmolStr>,
    /// By name, such as `exports/1h`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    counters: BTreeMap<SmolStr, Counter>,
    /// By name, such as `documents/1h`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sets: BTreeMap<SmolStr, RememberedSet>,
    /// When a decision first and last changed this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used: Option<Used>,
}

/// When a decision first and last changed a memory.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Used {
    /// First.
    pub first: Timestamp,
    /// Last.
    pub last: Timestamp,
}

/// A number that decisions add to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counter {}

/// Values that decisions met.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RememberedSet {}

/// How much a counter counts: whole, or in ten-thousandths.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// Cedar's `Long`.
    Whole(i64),
    /// Cedar's `decimal`, in ten-thousandths.
    Decimal(i64),
}

/// One thing that a decision changes in a memory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// Adds a label.
    Label(SmolStr),
    /// Adds to a counter. Never negative: what was spent is not given back.
    Count(MemoryName, Amount),
    /// Adds a value to a set, or renews it there.
    Remember(MemoryName, Value),
    /// Moves the risk, between 0 and 100.
    Risk(i8),
}
