//! Cedar's extension values as numbers: `ipaddr`, `decimal`, `datetime` and `duration`.

mod ip;

pub(crate) use ip::IpRange;

/// The ten-thousandths of `decimal("12.50")`; `None` when Cedar refuses the text.
pub(crate) fn parse_decimal(_text: &str) -> Option<i64> {
    None
}

/// The milliseconds since the epoch of `datetime("2026-01-31T12:00:00Z")`; `None` when Cedar refuses the text.
pub(crate) fn parse_datetime(_text: &str) -> Option<i64> {
    None
}

/// The milliseconds of `duration("1h30m")`; `None` when Cedar refuses the text.
pub(crate) fn parse_duration(_text: &str) -> Option<i64> {
    None
}
