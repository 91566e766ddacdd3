//! Cedar's extension values as numbers: `ipaddr`, `decimal`, `datetime` and `duration`.
//!
//! What texts are accepted, and what overflows, is Cedar's; its `tests` hold them to it.

mod datetime;
mod decimal;
mod duration;
mod ip;
#[cfg(test)]
mod tests;

pub(crate) use datetime::{datetime_offset, duration_since, parse_datetime, to_date, to_time};
pub(crate) use decimal::parse_decimal;
pub(crate) use duration::{parse_duration, to_days, to_hours, to_milliseconds, to_minutes, to_seconds};
pub(crate) use ip::IpRange;

/// The value of a text of decimal digits alone; `None` for anything else, and for what does not fit.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    // `parse` alone would take a sign.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
