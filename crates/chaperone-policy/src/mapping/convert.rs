//! Text to values of the types that the schema declares.

use std::net::IpAddr;

use smol_str::SmolStr;

use crate::compiled::Datum;
use crate::compiled::extension::{IpRange, parse_datetime, parse_decimal, parse_duration};
use crate::shape::Type;

/// A type whose values can be written as text in one way only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TextType {
    Bool,
    Long,
    String,
    Ip,
    Decimal,
    Datetime,
    Duration,
}

impl TextType {
    /// The type, if its values can be written as text. How an entity, a set or a record is written would be a guess.
    pub(super) const fn of(ty: &Type) -> Option<Self> {
        match ty {
            Type::Bool => Some(Self::Bool),
            Type::Long => Some(Self::Long),
            Type::String => Some(Self::String),
            Type::Ip => Some(Self::Ip),
            Type::Decimal => Some(Self::Decimal),
            Type::Datetime => Some(Self::Datetime),
            Type::Duration => Some(Self::Duration),
            Type::Entity(_) | Type::Set(_) | Type::Record(_) => None,
        }
    }

    /// What a text must be to become a value of this type.
    pub(super) const fn expectation(self) -> &'static str {
        match self {
            Self::Bool => "`true` or `false`",
            Self::Long => "a 64-bit decimal integer",
            Self::String => "text",
            Self::Ip => "an IP address or range",
            Self::Decimal => "a decimal with one to four digits after the point",
            Self::Datetime => "a date, or a date and time with `Z` or an offset",
            Self::Duration => "a duration such as `1h30m`",
        }
    }

    /// The value that a text stands for.
    ///
    /// The extension types accept a subset of what Cedar's constructors accept, so that no policy ever meets a value that fails.
    pub(super) fn convert(self, text: &str) -> Option<Datum> {
        match self {
            Self::Bool => match text {
                "true" => Some(Datum::Bool(true)),
                "false" => Some(Datum::Bool(false)),
                _ => None,
            },
            Self::Long => long(text).map(Datum::Long),
            Self::String => Some(Datum::String(SmolStr::new(text))),
            Self::Ip => is_ip(text).then(|| IpRange::parse(text))?.map(Datum::Ip),
            Self::Decimal => is_decimal(text).then(|| parse_decimal(text))?.map(Datum::Decimal),
            Self::Datetime => is_datetime(text).then(|| parse_datetime(text))?.map(Datum::Datetime),
            Self::Duration => is_duration(text).then(|| parse_duration(text))?.map(Datum::Duration),
        }
    }
}

/// Decimal digits without sign or leading zeros, behind an optional minus; no `-0`.
fn long(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = is_digits(digits) && (!digits.starts_with('0') || text == "0");
    if canonical { text.parse().ok() } else { None }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_ip(text: &str) -> bool {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    // Cedar refuses IPv4 inside IPv6.
    if address.contains(':') && address.contains('.') {
        return false;
    }
    let bits_max = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    prefix.is_none_or(|prefix| long(prefix).is_some_and(|bits| (0..=bits_max).contains(&bits)))
}

/// `-?` digits `.` one to four digits, within 64 bits of ten-thousandths.
fn is_decimal(text: &str) -> bool {
    let Some((whole, fraction)) = text.split_once('.') else {
        return false;
    };
    let (sign, digits) = match whole.strip_prefix('-') {
        Some(digits) => (-1_i128, digits),
        None => (1, whole),
    };
    if !is_digits(digits) || !is_digits(fraction) || fraction.len() > 4 {
        return false;
    }
    let scaled = format!("{digits}{fraction:0<4}").parse::<i128>().ok().and_then(|units| units.checked_mul(sign));
    scaled.is_some_and(|units| i64::try_from(units).is_ok())
}

/// `2026-01-31`, `2026-01-31T12:00:00Z`, with milliseconds, with an offset `+0200` in place of the `Z`.
fn is_datetime(text: &str) -> bool {
    let Some((date, time)) = text.split_at_checked(10) else {
        return false;
    };
    if !is_date(date) {
        return false;
    }
    if time.is_empty() {
        return true;
    }
    let Some((clock, zone)) = time.split_at_checked(9) else {
        return false;
    };
    let clock = match clock.as_bytes() {
        [b'T', h1, h2, b':', m1, m2, b':', s1, s2] => {
            below([*h1, *h2], 24) && below([*m1, *m2], 60) && below([*s1, *s2], 60)
        }
        _ => false,
    };
    let zone = match zone.as_bytes() {
        [b'.', a, b, c, zone @ ..] if [a, b, c].iter().all(|byte| byte.is_ascii_digit()) => zone,
        zone => zone,
    };
    let zone = match zone {
        [b'Z'] => true,
        [b'+' | b'-', h1, h2, m1, m2] => below([*h1, *h2], 24) && below([*m1, *m2], 60),
        _ => false,
    };
    clock && zone
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    if (year.len(), month.len(), day.len()) != (4, 2, 2) || ![year, month, day].into_iter().all(is_digits) {
        return false;
    }
    let (Ok(year), Ok(month), Ok(day)) = (year.parse(), month.parse::<u8>(), day.parse()) else {
        return false;
    };
    time::Month::try_from(month).is_ok_and(|month| time::Date::from_calendar_date(year, month, day).is_ok())
}

/// Whether two digits are a number below `end`.
const fn below(digits: [u8; 2], end: u8) -> bool {
    let [tens, ones] = digits;
    tens.is_ascii_digit() && ones.is_ascii_digit() && (tens - b'0') * 10 + (ones - b'0') < end
}

/// Days, hours, minutes, seconds and milliseconds, each at most once and in this order, within 64 bits of milliseconds.
fn is_duration(text: &str) -> bool {
    const UNITS: [(&str, i128); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1_i128, rest),
        None => (1, text),
    };
    let mut units = UNITS.iter();
    let mut total = 0_i128;
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let Some((digits, after)) = rest.split_at_checked(rest.bytes().take_while(u8::is_ascii_digit).count()) else {
            return false;
        };
        let unit = after.split_at(after.bytes().take_while(u8::is_ascii_lowercase).count()).0;
        let Some((_, milliseconds)) = units.find(|(name, _)| *name == unit) else {
            return false;
        };
        let Ok(number) = digits.parse::<i64>() else {
            return false;
        };
        total += sign * i128::from(number) * milliseconds;
        rest = after.strip_prefix(unit).unwrap_or_default();
    }
    i64::try_from(total).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    use cedar_policy::RestrictedExpression;
    use proptest::prelude::*;

    const EXTENSIONS: [(TextType, &str); 4] = [
        (TextType::Ip, "ip"),
        (TextType::Decimal, "decimal"),
        (TextType::Datetime, "datetime"),
        (TextType::Duration, "duration"),
    ];

    /// Whether Cedar can evaluate the constructor on this text.
    fn cedar_accepts(constructor: &str, text: &str) -> bool {
        let expression = format!("{constructor}(\"{}\")", text.escape_debug());
        expression
            .parse::<RestrictedExpression>()
            .is_ok_and(|expression| cedar_policy::Context::from_pairs([("value".to_owned(), expression)]).is_ok())
    }

    /// Else the law below would hold of nothing.
    #[test]
    fn cedar_tells_valid_from_invalid() {
        for (_, constructor) in EXTENSIONS {
            assert!(!cedar_accepts(constructor, "x"), "{constructor}");
        }
        assert!(cedar_accepts("ip", "10.0.0.1") && cedar_accepts("duration", "1h"));
    }

    #[test]
    fn only_the_canonical_spelling_of_a_long_is_accepted() {
        for (text, value) in [("0", 0), ("42", 42), ("-7", -7), ("9223372036854775807", i64::MAX)] {
            assert_eq!(TextType::Long.convert(text), Some(Datum::Long(value)));
        }
        for text in ["", "-", "+1", "01", "-0", "00", " 1", "1 ", "1.0", "1e3", "0x1", "٣", "9223372036854775808"] {
            assert_eq!(TextType::Long.convert(text), None, "{text}");
        }
    }

    #[test]
    fn booleans_are_two_words() {
        assert_eq!(TextType::Bool.convert("true"), Some(Datum::Bool(true)));
        for text in ["True", "1", "yes", ""] {
            assert_eq!(TextType::Bool.convert(text), None, "{text}");
        }
    }

    #[test]
    fn usual_extension_values_are_accepted() {
        let cases = [
            (TextType::Ip, &["10.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32", "0.0.0.0/0"] as &[_]),
            (TextType::Decimal, &["1.5", "-0.0001", "922337203685477.5807", "-922337203685477.5808"]),
            (TextType::Datetime, &["2026-01-31", "2024-02-29T23:59:59Z", "2026-01-31T12:00:00.123+0200"]),
            (TextType::Duration, &["1h30m", "-2d", "5ms", "1d2h3m4s5ms"]),
        ];
        for (ty, texts) in cases {
            for text in texts {
                assert!(ty.convert(text).is_some(), "{ty:?} {text}");
            }
        }
    }

    #[test]
    fn malformed_extension_values_are_refused() {
        let cases = [
            (TextType::Ip, &["", "10.0.0", "10.0.0.01", "10.0.0.0/33", "::ffff:1.2.3.4", "1.2.3.4/", "a"] as &[_]),
            (TextType::Decimal, &["", "1", "1.", ".5", "1.00000", "+1.0", "922337203685477.5808", "--1.0"]),
            (
                TextType::Datetime,
                &["", "2026-02-30", "2026-1-1", "2026-01-31T24:00:00Z", "2026-01-31T12:00:00", "2026-01-31Z"],
            ),
            (TextType::Duration, &["", "-", "1", "m", "1m1h", "1h1h", "1x", "99999999999999999999d", "1H"]),
        ];
        for (ty, texts) in cases {
            for text in texts {
                assert_eq!(ty.convert(text), None, "{ty:?} {text}");
            }
        }
    }

    proptest! {
        /// A value that the mapping accepts never fails inside a policy.
        #[test]
        fn accepted_extension_values_are_valid_in_cedar(
            text in "(-?[0-9]{1,20}(\\.[0-9]{1,5})?|-?([0-9]{1,19}[dhms]{1,2}){1,3}|[0-9]{4}-[01][0-9]-[0-3][0-9](T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{3})?(Z|[+-][0-9]{4}))?|[0-9a-f:.]{1,40}(/[0-9]{1,3})?|[0-9]{1,3}(\\.[0-9]{1,3}){3}(/[0-9]{1,2})?)"
        ) {
            for (ty, constructor) in EXTENSIONS {
                if ty.convert(&text).is_some() {
                    prop_assert!(cedar_accepts(constructor, &text), "{constructor} {text}");
                }
            }
        }

        #[test]
        fn conversion_is_total(text in "\\PC{0,40}") {
            for ty in [TextType::Bool, TextType::Long, TextType::String, TextType::Ip, TextType::Decimal, TextType::Datetime, TextType::Duration] {
                let _ = ty.convert(&text);
            }
        }
    }
}
