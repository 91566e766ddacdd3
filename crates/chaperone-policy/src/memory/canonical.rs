//! One form for each value, so that a remembered one is found again however it was written.

use smol_str::SmolStr;
use time::UtcDateTime;

use super::amount::Amount;
use crate::compiled::extension::{IpRange, parse_datetime, parse_duration};
use crate::value::Value;

/// `value` in the form in which it is remembered: equal for values that are equal to Cedar.
///
/// A text that Cedar would refuse stays as it is.
pub(crate) fn canonical(value: &Value) -> Value {
    match value {
        Value::Bool(_) | Value::Long(_) | Value::String(_) | Value::Entity(_) => value.clone(),
        Value::Set(values) => {
            let mut values: Vec<Value> = values.iter().map(canonical).collect();
            values.sort_unstable();
            values.dedup();
            Value::Set(values)
        }
        Value::Record(fields) => {
            Value::Record(fields.iter().map(|(name, value)| (name.clone(), canonical(value))).collect())
        }
        Value::Ip(text) => IpRange::parse(text).map_or_else(|| value.clone(), |range| Value::Ip(range.to_smolstr())),
        Value::Decimal(text) => Amount::parse_decimal(text).map_or_else(|| value.clone(), Value::from),
        Value::Datetime(text) => {
            parse_datetime(text).and_then(datetime_text).map_or_else(|| value.clone(), Value::Datetime)
        }
        Value::Duration(text) => parse_duration(text)
            .map_or_else(|| value.clone(), |duration| Value::Duration(format!("{duration}ms").into())),
    }
}

/// To the millisecond, in UTC; `None` where that has no text, as before the year 0.
pub(crate) fn datetime_text(milliseconds: i64) -> Option<SmolStr> {
    let moment = UtcDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000).ok()?;
    let (date, time) = (moment.date(), moment.time());
    let (year, month, day) =
        (u16::try_from(date.year()).ok().filter(|year| *year < 10_000)?, u8::from(date.month()), date.day());
    let (hour, minute, second, millisecond) = time.as_hms_milli();
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z").into())
}
