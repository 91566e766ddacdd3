//! Strict JSON, and Cedar's values in it.
//!
//! serde's own value type keeps the last of two equal keys and turns large integers into floats. Both would change what a
//! policy reads without a word, so this reader refuses them.

use std::collections::HashMap;
use std::fmt;

use chaperone_api::chaperone::v1::value::Kind;
use chaperone_api::chaperone::v1::{EntityRef, Value, ValueRecord, ValueSet};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// How deep values may nest. The protobuf decoder at the other end allows 100 messages; each level here takes three.
const DEPTH_MAX: usize = 24;

/// A JSON value without floats, null or repeated keys, in the order of the text.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Long(i64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Vec<(String, Json)>),
}

/// Reads one JSON value.
pub fn json(text: &[u8]) -> Result<Json, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, a 64-bit integer, a string, an array or an object (Cedar has no floats and no null)")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Long(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        i64::try_from(value)
            .map(Json::Long)
            .map_err(|_| E::custom(format!("{value} does not fit in 64 bits with a sign")))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut seen = std::collections::HashSet::new();
        let mut object = Vec::new();
        while let Some((key, value)) = entries.next_entry::<String, Json>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("the key `{key}` appears twice")));
            }
            object.push((key, value));
        }
        Ok(Json::Object(object))
    }
}

impl Json {
    /// Its entries, if it is an object.
    pub fn into_object(self) -> Option<Vec<(String, Json)>> {
        if let Self::Object(entries) = self { Some(entries) } else { None }
    }

    /// Its text, if it is a string.
    pub fn into_text(self) -> Option<String> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

/// A value in Cedar's JSON form; `__entity` and `__extn` mark what JSON has no type for.
pub fn cedar_value(json: Json) -> Result<Value, String> {
    value(json, 0)
}

/// The identity in `{"type": "Document", "id": "42"}`.
pub(in crate::cli) fn entity_uid(json: Json) -> Option<EntityRef> {
    let [one, two] = <[_; 2]>::try_from(json.into_object()?).ok()?;
    let (kind, id) = match (one, two) {
        ((a, kind), (b, id)) | ((b, id), (a, kind)) if a == "type" && b == "id" => (kind, id),
        _ => return None,
    };
    Some(EntityRef { r#type: kind.into_text()?, id: id.into_text()? })
}

fn value(json: Json, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err(format!("the value nests deeper than {DEPTH_MAX} levels"));
    }
    let kind = match json {
        Json::Bool(value) => Kind::Bool(value),
        Json::Long(value) => Kind::Long(value),
        Json::Text(value) => Kind::String(value),
        Json::List(items) => Kind::Set(ValueSet {
            values: items.into_iter().map(|item| value(item, depth + 1)).collect::<Result<_, _>>()?,
        }),
        Json::Object(entries) => object(entries, depth)?,
    };
    Ok(Value { kind: Some(kind) })
}

fn object(mut entries: Vec<(String, Json)>, depth: usize) -> Result<Kind, String> {
    if !entries.iter().any(|(key, _)| key.starts_with("__")) {
        let fields: Result<HashMap<_, _>, String> =
            entries.into_iter().map(|(key, item)| Ok((key, value(item, depth + 1)?))).collect();
        return Ok(Kind::Record(ValueRecord { fields: fields? }));
    }
    match (entries.pop(), entries.is_empty()) {
        (Some((key, uid)), true) if key == "__entity" => {
            entity_uid(uid).map(Kind::Entity).ok_or_else(|| "`__entity` takes {\"type\": …, \"id\": …}".to_owned())
        }
        (Some((key, call)), true) if key == "__extn" => extension(call),
        _ => Err("an object with `__entity` or `__extn` has this one key; no other key starts with `__`".to_owned()),
    }
}

fn extension(call: Json) -> Result<Kind, String> {
    let shape = || "`__extn` takes {\"fn\": …, \"arg\": …}".to_owned();
    let (mut function, mut argument) = (None, None);
    for (key, item) in call.into_object().ok_or_else(shape)? {
        match key.as_str() {
            "fn" => function = item.into_text(),
            "arg" => argument = item.into_text(),
            _ => return Err(shape()),
        }
    }
    let (Some(function), Some(argument)) = (function, argument) else { return Err(shape()) };
    match function.as_str() {
        "ip" => Ok(Kind::Ip(argument)),
        "decimal" => Ok(Kind::Decimal(argument)),
        "datetime" => Ok(Kind::Datetime(argument)),
        "duration" => Ok(Kind::Duration(argument)),
        other => Err(format!("Cedar has no extension function `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Kind, String> {
        json(text.as_bytes()).and_then(cedar_value).map(|value| value.kind.expect("a kind"))
    }

    #[test]
    fn every_type_of_cedar_is_read() {
        for (text, kind) in [
            ("true", Kind::Bool(true)),
            ("-5", Kind::Long(-5)),
            ("\"a\\u00e9\"", Kind::String("aé".into())),
            (r#"{"__entity":{"id":"42","type":"Document"}}"#, {
                Kind::Entity(EntityRef { r#type: "Document".into(), id: "42".into() })
            }),
            (r#"{"__extn":{"fn":"ip","arg":"10.0.0.1"}}"#, Kind::Ip("10.0.0.1".into())),
            (r#"{"__extn":{"fn":"duration","arg":"1h"}}"#, Kind::Duration("1h".into())),
            ("[1]", Kind::Set(ValueSet { values: vec![Value { kind: Some(Kind::Long(1)) }] })),
            (r#"{"a":1}"#, {
                Kind::Record(ValueRecord { fields: [("a".to_owned(), Value { kind: Some(Kind::Long(1)) })].into() })
            }),
        ] {
            assert_eq!(parsed(text), Ok(kind), "{text}");
        }
    }

    #[test]
    fn what_cedar_has_no_value_for_is_refused() {
        for text in [
            "null",
            "1.5",
            "9223372036854775808",
            r#"{"a":1,"a":2}"#,
            r#"{"__entity":{"type":"T"}}"#,
            r#"{"__entity":{"type":"T","id":"x","more":1}}"#,
            r#"{"__entity":{"type":"T","id":"x"},"b":1}"#,
            r#"{"__extn":{"fn":"exec","arg":"x"}}"#,
            r#"{"__expr":"1"}"#,
            &format!("{}{}", "[".repeat(60), "]".repeat(60)),
            &"[".repeat(100_000),
        ] {
            assert!(parsed(text).is_err(), "{text:.80}");
        }
    }
}
