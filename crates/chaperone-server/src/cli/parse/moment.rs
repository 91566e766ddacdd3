//! Moments: a time, or how long ago.

use std::time::Duration;

use prost_types::Timestamp;

use super::{duration, to_wire};

/// A moment that an option names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    /// That long before the command runs.
    Ago(Duration),
    /// A time.
    At(Timestamp),
}

impl Moment {
    /// The time, when it is now `now`.
    pub fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(duration) => {
                let back = to_wire(duration);
                let mut time =
                    Timestamp { seconds: now.seconds.saturating_sub(back.seconds), nanos: now.nanos - back.nanos };
                time.normalize();
                time
            }
        }
    }
}

/// Reads a duration, such as `1h`, or an RFC 3339 time, such as `2026-01-31T12:00:00Z`.
pub fn moment(text: &str) -> Result<Moment, String> {
    // Only a time has a dash.
    if !text.contains('-') {
        return duration(text).map(Moment::Ago);
    }
    text.parse().map(Moment::At).map_err(|_| {
        format!("`{text}` is not a time; write it like 2026-01-31T12:00:00Z, or how long ago it is, like 1h30m")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp { seconds: 1_769_860_800, nanos: 0 };

    #[test]
    fn moment_is_a_time_or_how_long_ago() {
        for (text, shown) in [
            ("1h", "2026-01-31T11:00:00Z"),
            ("1s500ms", "2026-01-31T11:59:58.500Z"),
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05+01:00", "2026-01-02T02:04:05Z"),
        ] {
            assert_eq!(moment(text).expect(text).before(NOW).to_string(), shown, "{text}");
        }
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "-1h", "1w"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
