//! Days, each a partition of `trail_records`.

use std::fmt;

use chaperone_policy::Timestamp;
use time::{Date, Duration, Month};

use crate::stored_time::StoredTime;

/// What the name of a partition begins with.
const PREFIX: &str = "trail_records_";
const DAY_US: i64 = 86_400_000_000;
const EPOCH: Date = time::macros::date!(1970 - 01 - 01);

/// A day in UTC, of the years 1 to 9999.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Day(Date);

impl Day {
    /// The first that a partition can be of.
    pub(super) const FIRST: Self = Self(time::macros::date!(0001 - 01 - 01));

    /// The day of a moment; `None` where no calendar has it.
    pub(super) fn of(at: Timestamp) -> Option<Self> {
        let days = Duration::days(at.as_micros().div_euclid(DAY_US));
        let date = EPOCH.checked_add(days)?;
        (1..=9999).contains(&date.year()).then_some(Self(date))
    }

    /// The day of a partition; `None` for one that is no day of ours.
    pub(super) fn of_partition(name: &str) -> Option<Self> {
        let digits = name.strip_prefix(PREFIX)?;
        if digits.len() != 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let number: i32 = digits.parse().ok()?;
        let month = Month::try_from(u8::try_from(number / 100 % 100).ok()?).ok()?;
        let date = Date::from_calendar_date(number / 10_000, month, u8::try_from(number % 100).ok()?).ok()?;
        Some(Self(date))
    }

    /// The name of its partition.
    pub(super) fn partition(self) -> String {
        let (year, month, day) = self.0.to_calendar_date();
        format!("{PREFIX}{year:04}{:02}{day:02}", u8::from(month))
    }

    /// So many days later, or earlier; the last or first there is when that is too far.
    pub(super) fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(Duration::days(days.into())))
    }

    /// When it begins.
    pub(super) fn begin(self) -> StoredTime {
        let days = i64::from(self.0.to_julian_day()) - i64::from(EPOCH.to_julian_day());
        StoredTime(Timestamp::from_micros(days * DAY_US))
    }
}

impl fmt::Display for Day {
    /// As in RFC 3339.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.0.to_calendar_date();
        write!(f, "{year:04}-{:02}-{day:02}", u8::from(month))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_begins_at_midnight_and_is_read_from_its_partition() {
        for (micros, name) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (DAY_US - 1, "1970-01-01"),
            (951_782_400_000_000, "2000-02-29"),
            (1_763_769_600_000_000, "2025-11-22"),
            (-62_135_596_800_000_000, "0001-01-01"),
        ] {
            let day = Day::of(Timestamp::from_micros(micros)).expect("it is a day");
            assert_eq!(day.to_string(), name);
            let begin = day.begin().0.as_micros();
            assert!(begin <= micros && micros - begin < DAY_US, "{name}");
            assert_eq!(day.plus(1).begin().0.as_micros() - begin, DAY_US, "{name}");
            assert!(Day::of_partition(&day.partition()) == Some(day), "{name}");
        }
    }

    #[test]
    fn what_is_no_day_is_none() {
        for micros in [i64::MIN, -62_135_596_800_000_001, 253_402_300_800_000_000, i64::MAX] {
            assert!(Day::of(Timestamp::from_micros(micros)).is_none(), "{micros}");
        }
        for name in
            ["trail_records_default", "trail_records_2026112", "trail_records_20261322", "trail_records_20260230"]
        {
            assert!(Day::of_partition(name).is_none(), "{name}");
        }
        assert!(
            Day::of_partition("trail_records_+2026112").is_none() && Day::of_partition("records_20261122").is_none()
        );
    }
}
