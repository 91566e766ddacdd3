//! Durations, in milliseconds.

use super::digits;

/// The units of a duration's text in the order that they must come in, with their milliseconds.
const UNITS: [(&str, i128); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The milliseconds of `duration("1h30m")`; `None` when Cedar refuses the text.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    if rest.is_empty() {
        return None;
    }
    let mut units = UNITS.iter();
    let mut magnitude = 0_i128;
    while !rest.is_empty() {
        let (quantity, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        // Going on from the last unit keeps the order, and allows each only once.
        let (_, milliseconds) = units.find(|(name, _)| *name == unit)?;
        magnitude += i128::from(digits::<u64>(quantity)?) * milliseconds;
        rest = after;
    }
    i64::try_from(sign * magnitude).ok()
}

/// `toMilliseconds()` of a duration in milliseconds.
pub(crate) const fn to_milliseconds(duration: i64) -> i64 {
    duration
}

/// `toSeconds()` of a duration in milliseconds, rounded towards zero.
pub(crate) const fn to_seconds(duration: i64) -> i64 {
    duration / 1_000
}

/// `toMinutes()` of a duration in milliseconds, rounded towards zero.
pub(crate) const fn to_minutes(duration: i64) -> i64 {
    duration / 60_000
}

/// `toHours()` of a duration in milliseconds, rounded towards zero.
pub(crate) const fn to_hours(duration: i64) -> i64 {
    duration / 3_600_000
}

/// `toDays()` of a duration in milliseconds, rounded towards zero.
pub(crate) const fn to_days(duration: i64) -> i64 {
    duration / 86_400_000
}
