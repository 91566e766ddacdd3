//! Numbers that decisions add to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::amount::{Amount, UNITS_PER_ONE};
use super::limits::CLOCK_SKEW_MAX;
use super::stored::Stored;
use crate::timestamp::Timestamp;

/// Into how many granules a window is cut.
const GRANULES_PER_WINDOW: u32 = 60;
/// A shorter granule would only take room.
const GRANULE_MIN_US: i64 = 1_000_000;

/// A number that decisions add to: over the memory's life one sum, over a window a sum for each granule.
///
/// A granule is a sixtieth of the window, and at least a second. **An amount counts for at least the window after it was added, and
/// for at most the window and one granule**: a limit is never passed, and may hold for a granule longer than it says.
///
/// Where the clock goes back (another replica's was ahead), what is added goes to the newest granule, and so counts longer.
///
/// The unit is that of the amount that was added last. Where a new bundle changes it, what was counted is converted and rounded up.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Counter {
    pub(super) unit: Unit,
    pub(super) sums: Sums,
}

/// Why an amount is not added.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CountError {
    /// What was spent is not given back.
    #[error("a counter is never counted down")]
    Negative,
    /// The total would not fit 64 bits.
    #[error("a counter holds no more than 64 bits")]
    Overflow,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unit {
    Whole,
    Decimal,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Sums {
    Life(i64),
    /// With ascending indices.
    Granules(Vec<Granule>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Granule {
    /// How many granules there were since 1970 before this one began.
    pub(super) index: i64,
    pub(super) sum: i64,
}

impl Counter {
    /// Nothing counted, over a window or over the memory's life.
    pub const fn new(window: Option<Duration>) -> Self {
        let sums = if window.is_some() { Sums::Granules(Vec::new()) } else { Sums::Life(0) };
        Self { unit: Unit::Whole, sums }
    }

    /// Adds `amount`. `window` is that of the counter's name.
    ///
    /// # Errors
    /// When the amount is negative, or the total would not fit. The counter is then as it was.
    pub fn add(&mut self, amount: Amount, window: Option<Duration>, now: Timestamp) -> Result<(), CountError> {
        if amount.is_negative() {
            return Err(CountError::Negative);
        }
        let (unit, added) = match amount {
            Amount::Whole(number) => (Unit::Whole, number),
            Amount::Decimal(number) => (Unit::Decimal, number),
        };
        let sums = match (&self.sums, window) {
            (Sums::Granules(granules), Some(window)) => {
                let kept_from = now.minus(CLOCK_SKEW_MAX);
                let kept = granules.iter().filter(|granule| granule.counts(window, kept_from));
                let kept = kept.map(|granule| granule.converted(self.unit, unit)).collect::<Option<Vec<_>>>();
                let mut kept = kept.ok_or(CountError::Overflow)?;
                let total = kept.iter().try_fold(added, |total, granule| total.checked_add(granule.sum));
                total.ok_or(CountError::Overflow)?;
                add_to_newest(&mut kept, index(window, now), added);
                Sums::Granules(kept)
            }
            // A life's sum; or granules whose window is unknown, which stay as long as life.
            (sums, _) => {
                let total = convert(sums.all(), self.unit, unit).and_then(|sum| sum.checked_add(added));
                Sums::Life(total.ok_or(CountError::Overflow)?)
            }
        };
        self.sums = sums;
        self.unit = unit;
        Ok(())
    }

    /// Takes of each granule, or of a life's sum, the larger of both, in the unit of the other. `window` is that of the counter's name.
    ///
    /// # Errors
    /// When the total would not fit. The counter is then as it was.
    pub(super) fn join(&mut self, other: &Self, window: Option<Duration>, now: Timestamp) -> Result<(), CountError> {
        let own = |sum| convert(sum, self.unit, other.unit).ok_or(CountError::Overflow);
        let sums = match (&self.sums, &other.sums, window) {
            (Sums::Granules(granules), Sums::Granules(others), Some(window)) => {
                let mut sums: BTreeMap<i64, i64> = others.iter().map(|granule| (granule.index, granule.sum)).collect();
                for granule in granules {
                    let sum = sums.entry(granule.index).or_default();
                    *sum = own(granule.sum)?.max(*sum);
                }
                let kept_from = now.minus(CLOCK_SKEW_MAX);
                let joined = sums.into_iter().map(|(index, sum)| Granule { index, sum });
                let joined: Vec<_> = joined.filter(|granule| granule.counts(window, kept_from)).collect();
                let total = joined.iter().try_fold(0_i64, |total, granule| total.checked_add(granule.sum));
                total.ok_or(CountError::Overflow)?;
                Sums::Granules(joined)
            }
            (sums, others, _) => Sums::Life(own(sums.all())?.max(others.all())),
        };
        self.sums = sums;
        self.unit = other.unit;
        Ok(())
    }

    /// What counts at `now`. `window` is that of the counter's name.
    pub fn total(&self, window: Option<Duration>, now: Timestamp) -> Amount {
        let sum = match (&self.sums, window) {
            (Sums::Granules(granules), Some(window)) => {
                let counting = granules.iter().filter(|granule| granule.counts(window, now));
                counting.fold(0_i64, |total, granule| total.saturating_add(granule.sum))
            }
            (sums, _) => sums.all(),
        };
        match self.unit {
            Unit::Whole => Amount::Whole(sum),
            Unit::Decimal => Amount::Decimal(sum),
        }
    }

    /// Takes back an amount that was added to this granule, or to a life's sum. Never below zero: what has left the window is gone.
    ///
    /// In another unit it is rounded down, so that what others added never counts for less.
    pub(super) fn release(&mut self, amount: Amount, granule: Option<i64>) {
        let given = match (amount, self.unit) {
            (Amount::Whole(number), Unit::Whole) | (Amount::Decimal(number), Unit::Decimal) => number,
            (Amount::Whole(number), Unit::Decimal) => number.saturating_mul(UNITS_PER_ONE),
            (Amount::Decimal(number), Unit::Whole) => number.div_euclid(UNITS_PER_ONE),
        };
        match (&mut self.sums, granule) {
            (Sums::Life(sum), None) => *sum = sum.saturating_sub(given).max(0),
            (Sums::Granules(granules), Some(index)) => granules.retain_mut(|granule| {
                if granule.index == index {
                    granule.sum = granule.sum.saturating_sub(given).max(0);
                }
                granule.index != index || granule.sum > 0
            }),
            // A name has a window or has none.
            (Sums::Life(_), Some(_)) | (Sums::Granules(_), None) => {}
        }
    }

    /// The granule that was added to last: at or after the time of that.
    pub(super) fn newest_granule(&self) -> Option<i64> {
        match &self.sums {
            Sums::Life(_) => None,
            Sums::Granules(granules) => granules.last().map(|granule| granule.index),
        }
    }

    /// Whether it holds nothing, as one that was never there.
    pub(super) fn is_empty(&self) -> bool {
        match &self.sums {
            Sums::Life(sum) => *sum == 0,
            Sums::Granules(granules) => granules.is_empty(),
        }
    }

    /// Whether nothing in it counts any more, by anyone's clock.
    pub(super) fn is_spent(&self, window: Option<Duration>, now: Timestamp) -> bool {
        match (&self.sums, window) {
            (Sums::Granules(granules), Some(window)) => {
                !granules.iter().any(|granule| granule.counts(window, now.minus(CLOCK_SKEW_MAX)))
            }
            _ => false,
        }
    }

    /// Whether it counts over a window.
    pub(super) const fn is_windowed(&self) -> bool {
        matches!(self.sums, Sums::Granules(_))
    }
}

impl Sums {
    fn all(&self) -> i64 {
        match self {
            Self::Life(sum) => *sum,
            Self::Granules(granules) => granules.iter().fold(0, |total, granule| total.saturating_add(granule.sum)),
        }
    }
}

impl Granule {
    /// Whether an amount that was added at its end is still in the window.
    fn counts(self, window: Duration, now: Timestamp) -> bool {
        let end = self.index.saturating_add(1).saturating_mul(granule_us(window)).saturating_sub(1);
        Timestamp::from_micros(end) >= now.minus(window)
    }

    fn converted(self, from: Unit, to: Unit) -> Option<Self> {
        Some(Self { sum: convert(self.sum, from, to)?, ..self })
    }
}

fn add_to_newest(granules: &mut Vec<Granule>, index: i64, added: i64) {
    match granules.last_mut() {
        // At or after `now`. Saturates never: the total was checked.
        Some(newest) if newest.index >= index => newest.sum = newest.sum.saturating_add(added),
        // Nothing need be kept for nothing.
        _ if added == 0 => {}
        _ => granules.push(Granule { index, sum: added }),
    }
}

/// How long a granule of `window` is, in microseconds. Rounded up, so that the window never has more of them.
fn granule_us(window: Duration) -> i64 {
    let granule = window.as_micros().div_ceil(u128::from(GRANULES_PER_WINDOW));
    i64::try_from(granule).unwrap_or(i64::MAX).max(GRANULE_MIN_US)
}

fn index(window: Duration, now: Timestamp) -> i64 {
    now.as_micros().div_euclid(granule_us(window))
}

/// `None` when it would not fit: cut off, it would be less once it is converted back.
fn convert(number: i64, from: Unit, to: Unit) -> Option<i64> {
    match (from, to) {
        (Unit::Whole, Unit::Decimal) => number.checked_mul(UNITS_PER_ONE),
        (Unit::Decimal, Unit::Whole) => Some(Amount::Decimal(number).to_whole_up()),
        (Unit::Whole, Unit::Whole) | (Unit::Decimal, Unit::Decimal) => Some(number),
    }
}
