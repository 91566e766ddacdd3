//! Times and durations as people read them.

use std::fmt::Write as _;

use chaperone_policy::Timestamp as Moment;
use prost_types::{Duration, Timestamp};

/// A moment in UTC to the second, as `2026-01-31T12:00:00Z`; empty when there is none.
pub fn shown_time(time: Option<&Timestamp>) -> String {
    time.map(|time| Timestamp { nanos: 0, ..*time }.to_string()).unwrap_or_default()
}

/// A moment in UTC to the millisecond, as `2026-01-31T12:00:00.250Z`.
pub fn shown_moment(at: Moment) -> String {
    let millis = at.as_micros().div_euclid(1_000);
    let seconds = Timestamp { seconds: millis.div_euclid(1_000), nanos: 0 }.to_string();
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), millis.rem_euclid(1_000))
}

/// A duration in units, as `1h30m`; empty when there is none.
pub fn shown_duration(duration: Option<&Duration>) -> String {
    let Some(mut rest) = duration.map(|duration| duration.seconds.max(0)) else { return String::new() };
    let mut text = String::new();
    for (unit, seconds) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest / seconds > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, "{}{unit}", rest / seconds);
            rest %= seconds;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_to_the_second() {
        let time = Timestamp { seconds: 1_769_860_800, nanos: 123_456_789 };
        assert_eq!(shown_time(Some(&time)), "2026-01-31T12:00:00Z");
        assert_eq!(shown_time(None), "");
    }

    #[test]
    fn moments_of_records_are_shown_to_the_millisecond() {
        assert_eq!(shown_moment(Moment::from_micros(1_769_860_800_250_999)), "2026-01-31T12:00:00.250Z");
        assert_eq!(shown_moment(Moment::from_micros(-1)), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn durations_are_shown_in_units() {
        for (seconds, text) in [(0, "0s"), (90, "1m30s"), (3_600, "1h"), (90_061, "1d1h1m1s"), (-5, "0s")] {
            assert_eq!(shown_duration(Some(&Duration { seconds, nanos: 0 })), text);
        }
    }
}
