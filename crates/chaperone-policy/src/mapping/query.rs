//! Query strings: parameters that can be read in one way only.

use std::borrow::Cow;

use super::path::hex;
use super::reading::Reading;

/// How many parameters a query may have.
const PARAMETERS_MAX: usize = 256;

/// A query string whose every parameter decodes: `&` between parameters, `+` for a space, percent-escapes decoded once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Query<'a> {
    raw: &'a str,
}

/// Why a query has no single reading.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum QueryError {
    #[error("the query has more than {PARAMETERS_MAX} parameters")]
    TooManyParameters,
    #[error("the query has a character that must be percent-encoded")]
    IllegalCharacter,
    #[error("the query has a `;`")]
    Semicolon,
    #[error("the query has an invalid percent-escape")]
    InvalidEscape,
    #[error("the query is not UTF-8")]
    NotUtf8,
    #[error("the query has an encoded NUL")]
    Nul,
}

impl<'a> Query<'a> {
    /// Checks a query, without its `?`.
    pub(super) fn parse(raw: &'a str, semicolons: bool) -> Result<Self, QueryError> {
        let mut parameters = 1;
        let mut beyond_ascii = false;
        let mut bytes = raw.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'&' => parameters += 1,
                // Some servers separate parameters with it, others do not.
                b';' if !semicolons => return Err(QueryError::Semicolon),
                b'%' => match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                    (Some(0), Some(0)) => return Err(QueryError::Nul),
                    (Some(high), Some(_)) => beyond_ascii |= high >= 8,
                    _ => return Err(QueryError::InvalidEscape),
                },
                b'#' => return Err(QueryError::IllegalCharacter),
                _ if byte.is_ascii_graphic() => {}
                _ => return Err(QueryError::IllegalCharacter),
            }
        }
        if parameters > PARAMETERS_MAX {
            return Err(QueryError::TooManyParameters);
        }
        if beyond_ascii && std::str::from_utf8(&unescape(raw)).is_err() {
            return Err(QueryError::NotUtf8);
        }
        Ok(Self { raw })
    }

    /// The query as it was sent.
    pub(super) const fn raw(self) -> &'a str {
        self.raw
    }

    /// The value of a parameter, decoded; the empty text for one without `=`.
    pub(super) fn find(self, name: &str) -> Reading<'a> {
        if self.raw.is_empty() {
            return Reading::Absent;
        }
        let mut values = self.raw.split('&').filter_map(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (!parameter.is_empty() && decode(key) == name).then_some(value)
        });
        match (values.next(), values.next()) {
            (None, _) => Reading::Absent,
            (Some(value), None) => Reading::One(decode(value)),
            (Some(_), Some(_)) => Reading::Ambiguous,
        }
    }

    /// Every parameter with its value, decoded.
    pub(super) fn parameters(self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.raw.split('&').filter(|parameter| !parameter.is_empty()).map(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (decode(key), decode(value))
        })
    }

    /// Whether a parameter is there under another spelling of `name`, which a proxy that compares names as they are written does
    /// not take for it, while the upstream does.
    pub(super) fn is_disguised(self, name: &str) -> bool {
        self.raw.split('&').any(|parameter| {
            let key = parameter.split_once('=').map_or(parameter, |(key, _)| key);
            key != name && decode(key) == name
        })
    }
}

/// Decodes a part of a query that was checked as a whole.
fn decode(raw: &str) -> Cow<'_, str> {
    if raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        // Parts end at ASCII bytes, so each is as valid as the whole, and nothing is lost.
        Cow::Owned(String::from_utf8_lossy(&unescape(raw)).into_owned())
    } else {
        Cow::Borrowed(raw)
    }
}

fn unescape(raw: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => {
                if let (Some(high), Some(low)) = (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                    decoded.push(high << 4 | low);
                }
            }
            _ => decoded.push(byte),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(raw: &'a str, name: &str) -> Reading<'a> {
        Query::parse(raw, false).expect("a valid query").find(name)
    }

    #[test]
    fn parameter_is_decoded_once() {
        assert_eq!(find("a=1&b=x+y%2Bz&c", "b"), Reading::One("x y+z".into()));
        assert_eq!(find("a=%2525", "a"), Reading::One("%25".into()));
        assert_eq!(find("a=1&b=x&c", "c"), Reading::One("".into()));
        assert_eq!(find("a=b=c", "a"), Reading::One("b=c".into()));
        assert_eq!(find("n%C3%A4me=%C3%A4", "näme"), Reading::One("ä".into()));
        assert_eq!(find("a=1", "b"), Reading::Absent);
        assert_eq!(find("", ""), Reading::Absent);
    }

    #[test]
    fn repeated_parameter_is_ambiguous_however_its_name_is_written() {
        assert_eq!(find("a=1&a=1", "a"), Reading::Ambiguous);
        assert_eq!(find("format=csv&f%6frmat=json", "format"), Reading::Ambiguous);
        assert_eq!(find("a+b=1&a%20b=2", "a b"), Reading::Ambiguous);
    }

    #[test]
    fn query_with_two_readings_is_refused() {
        use QueryError as E;
        let cases = [
            ("a=%", E::InvalidEscape),
            ("a=%4", E::InvalidEscape),
            ("a=%zz", E::InvalidEscape),
            ("a=%ff", E::NotUtf8),
            ("a=%c3&b=%a4", E::NotUtf8),
            ("a=%00", E::Nul),
            ("a=1;b=2", E::Semicolon),
            ("a=1#b", E::IllegalCharacter),
            ("a=1 b", E::IllegalCharacter),
            ("a=ä", E::IllegalCharacter),
            ("a=\n", E::IllegalCharacter),
        ];
        for (query, error) in cases {
            assert_eq!(Query::parse(query, false).map(|_| ()), Err(error), "{query:?}");
        }
        assert!(Query::parse("a=1;b=2", true).is_ok());
    }

    #[test]
    fn number_of_parameters_is_bounded() {
        assert!(Query::parse(&"a&".repeat(PARAMETERS_MAX - 1), false).is_ok());
        assert!(Query::parse(&"a&".repeat(PARAMETERS_MAX), false).is_err());
    }
}
