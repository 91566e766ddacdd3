//! Points in time, in milliseconds since the epoch.

use time::{Date, Month, Time, UtcDateTime};

use super::digits;

const DAY_MS: i64 = 86_400_000;

/// The milliseconds since the epoch of `datetime("2026-01-31T12:00:00Z")`; `None` when Cedar refuses the text.
pub(crate) fn parse_datetime(text: &str) -> Option<i64> {
    let mut rest = Rest(text);
    let year = rest.number(4)?;
    rest.skip("-")?;
    let month = rest.number::<u8>(2)?;
    rest.skip("-")?;
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, rest.number(2)?).ok()?;
    if rest.0.is_empty() {
        return Some(milliseconds(date, Time::MIDNIGHT));
    }
    rest.skip("T")?;
    let hour = rest.number(2)?;
    rest.skip(":")?;
    let minute = rest.number(2)?;
    rest.skip(":")?;
    let second = rest.number(2)?;
    let millisecond = if rest.skip(".").is_some() { rest.number(3)? } else { 0 };
    let time = Time::from_hms_milli(hour, minute, second, millisecond).ok()?;
    let offset_ms = rest.offset()?;
    rest.0.is_empty().then(|| milliseconds(date, time) - offset_ms)
}

/// `offset()`; `None` when it overflows.
pub(crate) const fn datetime_offset(datetime: i64, duration: i64) -> Option<i64> {
    datetime.checked_add(duration)
}

/// `durationSince()`; `None` when it overflows.
pub(crate) const fn duration_since(datetime: i64, earlier: i64) -> Option<i64> {
    datetime.checked_sub(earlier)
}

/// `toDate()`: the midnight before; `None` when it overflows.
pub(crate) const fn to_date(datetime: i64) -> Option<i64> {
    datetime.checked_sub(to_time(datetime))
}

/// `toTime()`: the duration since the midnight before.
pub(crate) const fn to_time(datetime: i64) -> i64 {
    datetime.rem_euclid(DAY_MS)
}

fn milliseconds(date: Date, time: Time) -> i64 {
    let datetime = UtcDateTime::new(date, time);
    datetime.unix_timestamp() * 1_000 + i64::from(datetime.millisecond())
}

/// What of a text is still to be read.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    /// Skips this text, if it comes next.
    fn skip(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// Takes a number of exactly so many digits.
    fn number<T: std::str::FromStr>(&mut self, count: usize) -> Option<T> {
        let (number, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits(number)
    }

    /// Takes `Z`, or hours and minutes east or west of it, as milliseconds east.
    fn offset(&mut self) -> Option<i64> {
        if self.skip("Z").is_some() {
            return Some(0);
        }
        let sign = if self.skip("+").is_some() { 1 } else { self.skip("-").map(|()| -1)? };
        let hours: i64 = self.number(2).filter(|hours| *hours < 24)?;
        let minutes: i64 = self.number(2).filter(|minutes| *minutes < 60)?;
        Some(sign * (hours * 60 + minutes) * 60_000)
    }
}
