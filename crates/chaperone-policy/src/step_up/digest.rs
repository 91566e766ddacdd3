//! The one form of a request's attributes, and its digest: what an approval is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use smol_str::{SmolStr, format_smolstr};

use crate::compiled::{Datum, Symbols};
use crate::memory::{Amount, datetime_text};
use crate::request::Request;
use crate::value::{Attributes, Value};

/// So that no other text that is hashed anywhere can be taken for attributes.
const PREFIX: &[u8] = b"chaperone/attributes/1\n";

/// SHA-256 of a request's attributes in their canonical form.
///
/// The form is JSON: an object with the attributes that are there, by name, in the order of names; each value as an object with its
/// type, such as `{"long":5}` or `{"entity":{"type":"User","id":"ann"}}`; sets sorted, each member once; addresses, decimals, datetimes
/// and durations in one spelling each. So it is the same for values that Cedar finds equal, whatever the bundle, and another for others.
/// What it is taken over begins with `chaperone/attributes/1` and a line feed.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AttributesDigest([u8; 32]);

/// A text that is no digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a digest has 64 hexadecimal digits, in lower case")]
pub struct ParseDigestError;

impl AttributesDigest {
    /// Of attributes in canonical form.
    pub(crate) fn of(attributes: &Attributes) -> Self {
        let mut digest = Sha256::new_with_prefix(PREFIX);
        // Names, strings and numbers: there is nothing in them that cannot be written. If there were, nothing would be lifted.
        match serde_json::to_vec(attributes) {
            Ok(json) => digest.update(json),
            Err(_) => digest.update(b"unwritable"),
        }
        Self(digest.finalize().into())
    }
}

impl fmt::Display for AttributesDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AttributesDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AttributesDigest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(ParseDigestError),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(ParseDigestError);
        }
        let mut digest = [0; 32];
        for (place, [high, low]) in digest.iter_mut().zip(pairs) {
            *place = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(digest))
    }
}

impl Serialize for AttributesDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AttributesDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'_, str>>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The attributes of a request that are there, in canonical form, in the order of their names.
pub(crate) fn attributes<'a>(
    request: &'a Request,
    symbols: &'a Symbols,
) -> impl Iterator<Item = (&'a SmolStr, Value)> + use<'a> {
    let places = request.shape().into_iter().flat_map(|shape| shape.attributes.keys()).enumerate();
    places.filter_map(move |(place, name)| Some((name, value(request.value(place)?, symbols))))
}

/// A value in canonical form.
pub(crate) fn value(datum: &Datum, symbols: &Symbols) -> Value {
    match datum {
        Datum::Bool(value) => Value::Bool(*value),
        Datum::Long(value) => Value::Long(*value),
        Datum::String(text) => Value::String(text.clone()),
        Datum::Entity(uid) => Value::Entity(uid.name().clone()),
        Datum::Set(set) => {
            let mut members: Vec<Value> = set.iter().map(|member| value(member, symbols)).collect();
            // Not as the set has them: records there stand in the order of a schema's numbers.
            members.sort_unstable();
            members.dedup();
            Value::Set(members)
        }
        Datum::Record(record) => {
            Value::Record(record.iter().map(|(name, field)| (symbols.name(name), value(field, symbols))).collect())
        }
        Datum::Ip(range) => Value::Ip(range.to_smolstr()),
        Datum::Decimal(units) => Value::from(Amount::Decimal(*units)),
        // What is too far away for a text is still told apart.
        Datum::Datetime(milliseconds) => {
            Value::Datetime(datetime_text(*milliseconds).unwrap_or_else(|| format_smolstr!("{milliseconds}ms")))
        }
        Datum::Duration(milliseconds) => Value::Duration(format_smolstr!("{milliseconds}ms")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(attributes: &[(&str, Value)]) -> AttributesDigest {
        AttributesDigest::of(&attributes.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
    }

    #[test]
    fn digest_is_that_of_the_documented_form() {
        let attributes = [("rows", Value::Long(5)), ("format", Value::String("csv".into()))];
        let form = b"chaperone/attributes/1\n{\"format\":{\"string\":\"csv\"},\"rows\":{\"long\":5}}";
        assert_eq!(digest(&attributes).0, <[u8; 32]>::from(Sha256::digest(form)));
    }

    #[test]
    fn digest_is_read_as_it_is_written_and_in_no_other_way() {
        let digest = digest(&[("rows", Value::Long(5))]);
        let text = digest.to_string();
        assert_eq!(text.parse(), Ok(digest));
        for bad in ["", &text[1..], &text.to_uppercase(), &format!("{text}0"), &format!("+{}", &text[1..])] {
            assert_eq!(bad.parse::<AttributesDigest>(), Err(ParseDigestError), "{bad}");
        }
    }
}
