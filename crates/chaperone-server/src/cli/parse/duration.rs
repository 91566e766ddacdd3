//! Durations with units: `90s`, `10m`, `1h30m`, `7d`.

use std::time::Duration;

/// Units in falling order, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration: whole numbers with units in falling order, each at most once; longer than nothing.
pub fn duration(text: &str) -> Result<Duration, String> {
    let malformed = || format!("`{text}` is not a duration; write it with units, such as 90s, 10m, 1h30m or 7d");
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total_ms: u64 = 0;
    while !rest.is_empty() {
        let digits_end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
        let (digits, after) = rest.split_at(digits_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (name, remaining) = after.split_at(unit_end);
        // Taking from one iterator holds the order and lets no unit come twice.
        let (_, unit_ms) = units.find(|(unit, _)| *unit == name).ok_or_else(malformed)?;
        let count: u64 = digits.parse().map_err(|_| malformed())?;
        total_ms = count
            .checked_mul(*unit_ms)
            .and_then(|part| total_ms.checked_add(part))
            .ok_or_else(|| format!("`{text}` is too long"))?;
        rest = remaining;
    }
    if total_ms == 0 { Err(malformed()) } else { Ok(Duration::from_millis(total_ms)) }
}

/// The same in the API's form.
pub fn to_wire(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        // 2^63 seconds are more than milliseconds in 64 bits can say.
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h30m", 5_400), ("7d", 604_800), ("1d1h1m1s", 90_061)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("1s500ms"), Ok(Duration::from_millis(1_500)));
    }

    #[test]
    fn bare_zero_misordered_and_huge_durations_are_refused() {
        for text in ["", "10", "0s", "h", "30m1h", "1h1h", "-1h", "1.5h", "1 h", "1w", "1µs", "99999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
