//! How risky a session looks.

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// How many microseconds an hour has.
const HOUR_US: u64 = 3_600_000_000;
/// The most, in points.
const POINTS_MAX: u64 = 100;

/// A risk between 0 and 100 points, and when it was that. It decays by so many points an hour as the caller says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Risk {
    /// In points, each cut into as many parts as an hour has microseconds: so decay needs no rounding, however often it is applied.
    parts: u64,
    /// When.
    at: Timestamp,
}

impl Risk {
    /// None, now.
    pub(super) const fn none(now: Timestamp) -> Self {
        Self { parts: 0, at: now }
    }

    /// The risk at `now` in whole points, rounded up.
    pub(super) fn points(self, decay_per_hour: u32, now: Timestamp) -> i64 {
        i64::try_from(self.parts_at(decay_per_hour, now).div_ceil(HOUR_US)).unwrap_or(i64::MAX)
    }

    /// Moved by so many points, after decay up to `now`. Where `now` is before the last move, nothing decays.
    #[must_use]
    pub(super) fn moved(self, points: i8, decay_per_hour: u32, now: Timestamp) -> Self {
        let parts = self.parts_at(decay_per_hour, now);
        let by = u64::from(points.unsigned_abs()) * HOUR_US;
        let parts = if points < 0 { parts.saturating_sub(by) } else { parts.saturating_add(by) };
        Self { parts: parts.min(POINTS_MAX * HOUR_US), at: self.at.max(now) }
    }

    /// Whether there is none, then and ever after.
    pub(super) const fn is_none(self) -> bool {
        self.parts == 0
    }

    fn parts_at(self, decay_per_hour: u32, now: Timestamp) -> u64 {
        let elapsed_us = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        let decay = u64::from(decay_per_hour).saturating_mul(elapsed_us);
        self.parts.min(POINTS_MAX * HOUR_US).saturating_sub(decay)
    }
}
