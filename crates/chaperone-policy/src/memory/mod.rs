//! What Chaperone remembers of a session, of its tree and of its principal: labels, counters, sets, risk;
//! what people approved for it, and what waits for reports of outcomes.
//!
//! Plain data and pure functions: who stores it, and how two that change it at once are told apart, is the store's matter.
//!
//! What it costs, beside texts of more than 23 bytes, of which each is shared by its copies (`tests/cost.rs` holds it to that):
//!
//! | part | bytes in memory | bytes of JSON |
//! | --- | --- | --- |
//! | a memory of nothing | 160 | 2 |
//! | a label | 24; the first 280, with room for 11 | its text and 3 |
//! | a counter over life | 72; the first 808, with room for 11 | its name, 13 and the digits |
//! | a counter over a window | 16 for each granule more: 1 KiB at 61, 2 KiB at 66 | its name, 12, and 5 and the digits for each granule: 0.4 to 1.6 KB |
//! | a set | 64; the first 720, with room for 11 | its name and 5 |
//! | what a person approved | 184; the first 2,040, with room for 11 | its texts and 220: some 280 |
//! | a decision that waits for a report | 112, and 104 for each effect; the first 1,248, with room for 11 | some 180 with one effect, 210 with two facts; 100 more when it was reported |
//! | a remembered value | 56, twice that after growing | its JSON and 20: some 70 for an entity |
//! | a signal's event id | as a remembered text: 56 | its text and 33 |

mod amount;
mod awaited;
mod canonical;
mod change;
mod counter;
mod fill;
mod grant;
mod key;
mod limits;
mod name;
mod risk;
mod set;
mod signal;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, de};
use smol_str::SmolStr;

pub use self::amount::Amount;
use self::awaited::AwaitedReports;
pub(crate) use self::awaited::Told;
pub use self::awaited::{AwaitedReport, Deferred, Reported, Wait};
pub(crate) use self::canonical::{canonical, datetime_text};
pub use self::change::{Change, ChangeError};
pub use self::counter::{CountError, Counter};
pub use self::grant::ApprovalGrant;
pub use self::key::{MemoryKey, ParseMemoryKeyError};
pub use self::limits::{CLOCK_SKEW_MAX, MemoryLimits};
pub use self::name::{MemoryName, ParseMemoryNameError, WINDOW_MAX, WINDOW_MIN, is_name};
pub(crate) use self::risk::Risk;
pub use self::set::{LimitReached, RememberedSet};
pub use self::signal::{SIGNAL_ID_BYTES_MAX, SIGNAL_WINDOW, SIGNALS_MAX};
use crate::ids::ApprovalId;
use crate::timestamp::Timestamp;

/// What is remembered of one session, tree or principal. The default is nothing.
///
/// As JSON it is stored. A field that is unknown is an error: it is a newer program's, and must not be lost.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Sticky marks.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    labels: BTreeSet<SmolStr>,
    /// By name, such as `exports/1h`.
    #[serde(default, deserialize_with = "counters", skip_serializing_if = "BTreeMap::is_empty")]
    counters: BTreeMap<MemoryName, Counter>,
    /// By name, such as `documents/1h`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sets: BTreeMap<MemoryName, RememberedSet>,
    /// Absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    risk: Option<Risk>,
    /// The event ids of signals. Few memories have any, so that the others only pay for a pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signals: Option<Box<RememberedSet>>,
    /// By the approval that gave each. None is stored with no use left.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    grants: BTreeMap<ApprovalId, ApprovalGrant>,
    /// What waits for reports of outcomes: a session's, whatever level it is about. Few memories have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    awaited: Option<Box<AwaitedReports>>,
    /// When a decision or a signal first and last changed this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used: Option<Used>,
}

/// When a decision or a signal first and last changed a memory.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// First.
    pub first: Timestamp,
    /// Last.
    pub last: Timestamp,
}

impl Memory {
    /// The labels. They only ever grow.
    pub const fn labels(&self) -> &BTreeSet<SmolStr> {
        &self.labels
    }

    /// Whether it has this label.
    pub fn has_label(&self, label: &str) -> bool {
        self.labels.contains(label)
    }

    /// How much counts at `now`; `None` when nothing was ever counted under this name, or nothing that was counts any more.
    pub fn count(&self, name: &MemoryName, now: Timestamp) -> Option<Amount> {
        self.counters.get(name).map(|counter| counter.total(name.window(), now))
    }

    /// The counters' names, with how much counts at `now`.
    pub fn counts(&self, now: Timestamp) -> impl Iterator<Item = (&MemoryName, Amount)> {
        self.counters.iter().map(move |(name, counter)| (name, counter.total(name.window(), now)))
    }

    /// The counters, by name.
    pub(crate) const fn counters(&self) -> &BTreeMap<MemoryName, Counter> {
        &self.counters
    }

    /// The risk as it was last moved.
    pub(crate) const fn risk_part(&self) -> Option<Risk> {
        self.risk
    }

    /// Of what decisions read, and nothing else.
    pub(crate) fn of_parts(
        labels: BTreeSet<SmolStr>,
        counters: BTreeMap<MemoryName, Counter>,
        sets: BTreeMap<MemoryName, RememberedSet>,
        risk: Option<Risk>,
        grants: BTreeMap<ApprovalId, ApprovalGrant>,
    ) -> Self {
        Self { labels, counters, sets, risk, grants, ..Self::default() }
    }

    /// The set of this name; `None` when nothing was ever remembered under it, or nothing that was is there any more.
    pub fn set(&self, name: &MemoryName) -> Option<&RememberedSet> {
        self.sets.get(name)
    }

    /// The sets, by name.
    pub fn sets(&self) -> impl Iterator<Item = (&MemoryName, &RememberedSet)> {
        self.sets.iter()
    }

    /// The risk at `now`, from 0 to 100, rounded up, when it decays by so many points an hour.
    pub fn risk(&self, decay_per_hour: u32, now: Timestamp) -> i64 {
        self.risk.map_or(0, |risk| risk.points(decay_per_hour, now))
    }

    /// When a decision or a signal first and last changed this; `None` when none did.
    pub const fn used(&self) -> Option<Used> {
        self.used
    }

    /// Whether it holds nothing at all, as one that was never stored.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Reads counters, each of the kind that its name says.
fn counters<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<MemoryName, Counter>, D::Error> {
    let counters = BTreeMap::<MemoryName, Counter>::deserialize(deserializer)?;
    match counters.iter().find(|(name, counter)| name.window().is_some() != counter.is_windowed()) {
        Some((name, _)) => Err(de::Error::custom(format_args!("counter `{name}` is not stored as its window says"))),
        None => Ok(counters),
    }
}
