//! SHA-256 as records write it: 64 hexadecimal digits in lower case.

use std::borrow::Cow;

use serde::{Deserialize as _, Deserializer, Serializer, de};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The text of a digest.
pub(super) fn text(digest: &[u8; 32]) -> String {
    let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or_default());
    digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The digest of a text; `None` when it is none.
pub(super) fn digest(text: &str) -> Option<[u8; 32]> {
    let value = |digit: &u8| DIGITS.iter().position(|own| own == digit).and_then(|place| u8::try_from(place).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        *byte = value(high)? << 4 | value(low)?;
    }
    Some(digest)
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
pub(super) fn serialize<S: Serializer>(digest: &Option<[u8; 32]>, serializer: S) -> Result<S::Ok, S::Error> {
    match digest {
        Some(digest) => serializer.serialize_str(&text(digest)),
        None => serializer.serialize_none(),
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 32]>, D::Error> {
    let found = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    found.map(|found| digest(&found).ok_or_else(|| de::Error::custom("a digest has 64 hexadecimal digits"))).transpose()
}
