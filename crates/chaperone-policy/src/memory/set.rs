//! Values that decisions met.

use std::cmp::Reverse;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::canonical::canonical;
use super::limits::CLOCK_SKEW_MAX;
use crate::timestamp::Timestamp;
use crate::value::Value;

/// Values that decisions met, each with when it was last seen.
///
/// A value is there for exactly the window after it was last seen, the end included; without a window for ever. A clock that goes back
/// never shortens that.
///
/// Values are told apart as Cedar does: `decimal("1.5")` and `decimal("1.50")` are one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Vec<(Value, Timestamp)>", into = "Vec<(Value, Timestamp)>")]
pub struct RememberedSet {
    /// In the order of the values, each once.
    seen: Vec<Seen>,
}

/// There is no room for another value.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the set is full")]
pub struct LimitReached;

#[derive(Clone, Debug, Eq, PartialEq)]
struct Seen {
    value: Value,
    /// Last seen; in a set without a window, first seen: nothing there depends on the time, and a memory that does not change is
    /// not written.
    at: Timestamp,
}

impl RememberedSet {
    /// Adds `value`, or renews it. `window` is that of the set's name, `max` how many values may count at `now`.
    ///
    /// # Errors
    /// When so many count already, and `value` is none of them. The set is then as it was.
    pub fn add(
        &mut self,
        value: &Value,
        window: Option<Duration>,
        now: Timestamp,
        max: usize,
    ) -> Result<(), LimitReached> {
        let value = canonical(value);
        let place = self.place(&value);
        let is_there = place.is_ok_and(|place| self.seen.get(place).is_some_and(|seen| seen.counts(window, now)));
        if !is_there && self.values(window, now).count() >= max {
            return Err(LimitReached);
        }
        match place.ok().and_then(|place| self.seen.get_mut(place)) {
            Some(seen) if window.is_some() => seen.at = seen.at.max(now),
            Some(_) => {}
            None => self.insert(Seen { value, at: now }, window, now, max),
        }
        self.seen.retain(|seen| seen.counts(window, now.minus(CLOCK_SKEW_MAX)));
        Ok(())
    }

    /// Adds what is there in another one, each value with the later time of both. `window` is that of the set's name, `max` how many values
    /// may count at `now`.
    ///
    /// # Errors
    /// When there is no room for all of it. What fits is added, the latest first.
    pub(super) fn join(
        &mut self,
        other: &Self,
        window: Option<Duration>,
        now: Timestamp,
        max: usize,
    ) -> Result<(), LimitReached> {
        let mut latest: Vec<_> = other.seen.iter().filter(|seen| seen.counts(window, now)).collect();
        latest.sort_by_key(|seen| Reverse(seen.at));
        let mut joined = Ok(());
        for Seen { value, at } in latest {
            match self.place(value) {
                Ok(place) => {
                    if let Some(known) = self.seen.get_mut(place) {
                        // Without a window it is when the value was first seen.
                        known.at = if window.is_some() { known.at.max(*at) } else { known.at.min(*at) };
                    }
                }
                Err(_) if self.values(window, now).count() >= max => joined = Err(LimitReached),
                Err(_) => self.insert(Seen { value: value.clone(), at: *at }, window, now, max),
            }
        }
        joined
    }

    /// The values that are there at `now`, in their order. `window` is that of the set's name.
    pub fn values(&self, window: Option<Duration>, now: Timestamp) -> impl Iterator<Item = &Value> {
        self.seen.iter().filter(move |seen| seen.counts(window, now)).map(|seen| &seen.value)
    }

    /// Whether `value` is there at `now`. `window` is that of the set's name.
    pub fn contains(&self, value: &Value, window: Option<Duration>, now: Timestamp) -> bool {
        let seen = self.place(&canonical(value)).ok().and_then(|place| self.seen.get(place));
        seen.is_some_and(|seen| seen.counts(window, now))
    }

    /// Every value, whether or not it has left the window by now, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Value> {
        self.seen.iter().map(|seen| &seen.value)
    }

    /// Until when every value is there; `None`: for ever.
    pub(crate) fn whole_until(&self, window: Option<Duration>) -> Option<Timestamp> {
        let oldest = self.seen.iter().map(|seen| seen.at).min()?;
        window.map(|window| oldest.plus(window))
    }

    /// Whether nothing in it is there any more, by anyone's clock.
    pub(super) fn is_spent(&self, window: Option<Duration>, now: Timestamp) -> bool {
        self.values(window, now.minus(CLOCK_SKEW_MAX)).next().is_none()
    }

    /// Where `value`, in canonical form, is, or would be.
    fn place(&self, value: &Value) -> Result<usize, usize> {
        self.seen.binary_search_by(|seen| seen.value.cmp(value))
    }

    /// What is kept for other clocks only gives way when there is no room.
    fn insert(&mut self, added: Seen, window: Option<Duration>, now: Timestamp, max: usize) {
        if self.seen.len() >= max {
            self.seen.retain(|seen| seen.counts(window, now));
        }
        let (Ok(place) | Err(place)) = self.place(&added.value);
        self.seen.insert(place, added);
    }
}

impl Seen {
    fn counts(&self, window: Option<Duration>, now: Timestamp) -> bool {
        window.is_none_or(|window| self.at >= now.minus(window))
    }
}

impl From<RememberedSet> for Vec<(Value, Timestamp)> {
    fn from(set: RememberedSet) -> Self {
        set.seen.into_iter().map(|seen| (seen.value, seen.at)).collect()
    }
}

impl From<Vec<(Value, Timestamp)>> for RememberedSet {
    /// In whatever order: that of values may have been another when they were stored.
    fn from(stored: Vec<(Value, Timestamp)>) -> Self {
        let mut seen: Vec<Seen> = stored.into_iter().map(|(value, at)| Seen { value: canonical(&value), at }).collect();
        // The latest first, which is the one that stays.
        seen.sort_unstable_by(|one, other| one.value.cmp(&other.value).then(other.at.cmp(&one.at)));
        seen.dedup_by(|later, first| later.value == first.value);
        Self { seen }
    }
}
