//! Random types and values: from few of each, so that they meet, and from the ends of their ranges.

use serde_json::{Value as Json, json};

use super::chance::Chance;
use super::world::World;
use crate::shape::{Field, Fields, Type};
use crate::value::{Attributes, EntityRef, Value};

/// Names of attributes. Some are not identifiers, or are words of the language.
const NAMES: [&str; 12] =
    ["a", "b", "c", "name", "level", "owner", "suspended", "request", "is", "if", "a b", "\u{e9}\"'"];
const STRINGS: [&str; 14] =
    ["", "a", "b", "ab", "aab", "abab", "*", "a*b", "\\", "\"", "\u{e9}", "\n", "user:x", "user:y"];
const LONGS: [i64; 14] =
    [0, 1, -1, 2, 3, 7, -3, 10, 100, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1, 3_037_000_500];
const IPS: [&str; 16] = [
    "10.0.0.1",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.0.0.1/32",
    "127.0.0.1",
    "127.0.0.0/8",
    "127.0.0.0/7",
    "224.0.0.1",
    "224.0.0.0/3",
    "0.0.0.0/0",
    "::1",
    "::/0",
    "::ffff:a00:1",
    "ff00::/8",
    "ff00::/7",
    "2001:db8::/32",
];
const DECIMALS: [&str; 9] =
    ["0.0", "-0.0", "1.5", "1.50", "1.4999", "-1.5", "922337203685477.5807", "-922337203685477.5808", "12.0001"];
const DATETIMES: [&str; 9] = [
    "1970-01-01",
    "2026-01-31T12:00:00Z",
    "2026-01-31T12:00:00.001Z",
    "2026-01-31T13:00:00+0100",
    "2026-01-31",
    "0000-01-01",
    "9999-12-31T23:59:59.999Z",
    "1969-12-31T23:59:59.999Z",
    "2024-02-29T00:00:00Z",
];
const DURATIONS: [&str; 11] = [
    "0ms",
    "1ms",
    "-1ms",
    "1h",
    "60m",
    "1d",
    "-1d",
    "1d1h1m1s1ms",
    "9223372036854775807ms",
    "-9223372036854775808ms",
    "106751991167d",
];

/// A type of an attribute. Records and sets get simpler the deeper they are.
pub(super) fn ty(chance: &mut Chance, entities: &[String], depth: usize) -> Type {
    match chance.below(if depth == 0 { 12 } else { 17 }) {
        0 | 1 => Type::Bool,
        2 | 3 => Type::Long,
        4 | 5 => Type::String,
        6 | 7 => Type::Entity(chance.pick(entities).into()),
        8 => Type::Ip,
        9 => Type::Decimal,
        10 => Type::Datetime,
        11 => Type::Duration,
        12..=14 => Type::Set(Box::new(ty(chance, entities, depth - 1))),
        _ => Type::Record(fields(chance, entities, 3, depth - 1)),
    }
}

/// Up to so many fields.
pub(super) fn fields(chance: &mut Chance, entities: &[String], most: usize, depth: usize) -> Fields {
    (0..chance.between(0, most))
        .map(|_| {
            let name = *chance.choose(&NAMES);
            let ty = if name == "suspended" { Type::Bool } else { ty(chance, entities, depth) };
            (name.into(), Field { ty, required: chance.percent(60) })
        })
        .collect()
}

/// A value of a type.
pub(super) fn value(chance: &mut Chance, world: &World, ty: &Type) -> Value {
    match ty {
        Type::Bool => Value::Bool(chance.percent(60)),
        Type::Long if chance.percent(10) => Value::Long(i64::from_ne_bytes(chance.number().to_ne_bytes())),
        Type::Long => Value::Long(*chance.choose(&LONGS)),
        Type::String => Value::String((*chance.choose(&STRINGS)).into()),
        Type::Entity(kind) => Value::Entity(world.entity(chance, kind)),
        Type::Set(element) => {
            // Some are large enough to be hashed.
            let most = if chance.percent(5) { 40 } else { 4 };
            Value::Set((0..chance.between(0, most)).map(|_| value(chance, world, element)).collect())
        }
        Type::Record(fields) => Value::Record(record(chance, world, fields)),
        Type::Ip => Value::Ip((*chance.choose(&IPS)).into()),
        Type::Decimal => Value::Decimal((*chance.choose(&DECIMALS)).into()),
        Type::Datetime => Value::Datetime((*chance.choose(&DATETIMES)).into()),
        Type::Duration => Value::Duration((*chance.choose(&DURATIONS)).into()),
    }
}

/// Values for fields; the optional ones are there or not.
pub(super) fn record(chance: &mut Chance, world: &World, fields: &Fields) -> Attributes {
    let mut values = Attributes::new();
    for (name, field) in fields {
        if field.required || chance.percent(60) {
            let value = match name.as_str() {
                // Or nobody would ever act.
                "suspended" => Value::Bool(chance.percent(3)),
                _ => value(chance, world, &field.ty),
            };
            values.insert(name.clone(), value);
        }
    }
    values
}

/// As Cedar's JSON format has it.
pub(super) fn json(value: &Value) -> Json {
    let extension = |function: &str, text: &str| json!({ "__extn": { "fn": function, "arg": text } });
    match value {
        Value::Bool(value) => json!(value),
        Value::Long(value) => json!(value),
        Value::String(text) => json!(text.as_str()),
        Value::Entity(entity) => json!({ "__entity": uid_json(entity) }),
        Value::Set(values) => values.iter().map(json).collect(),
        Value::Record(fields) => record_json(fields),
        Value::Ip(text) => extension("ip", text),
        Value::Decimal(text) => extension("decimal", text),
        Value::Datetime(text) => extension("datetime", text),
        Value::Duration(text) => extension("duration", text),
    }
}

/// As Cedar's JSON format has it.
pub(super) fn record_json(fields: &Attributes) -> Json {
    fields.iter().map(|(name, value)| (name.to_string(), json(value))).collect()
}

/// As Cedar's JSON format has it.
pub(super) fn uid_json(entity: &EntityRef) -> Json {
    json!({ "type": entity.kind.as_str(), "id": entity.id.as_str() })
}

/// As a policy writes it; `None` for an empty set, which has no type there.
pub(super) fn literal(value: &Value) -> Option<String> {
    let extension = |function: &str, text: &str| format!("{function}({})", quoted(text));
    Some(match value {
        Value::Bool(value) => value.to_string(),
        Value::Long(value) if *value < 0 => format!("({value})"),
        Value::Long(value) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Entity(entity) => entity.to_string(),
        Value::Set(values) if values.is_empty() => return None,
        Value::Set(values) => {
            format!("[{}]", values.iter().map(literal).collect::<Option<Vec<_>>>()?.join(", "))
        }
        Value::Record(fields) => {
            let fields = fields.iter().map(|(name, value)| Some(format!("{}: {}", quoted(name), literal(value)?)));
            format!("{{{}}}", fields.collect::<Option<Vec<_>>>()?.join(", "))
        }
        Value::Ip(text) => extension("ip", text),
        Value::Decimal(text) => extension("decimal", text),
        Value::Datetime(text) => extension("datetime", text),
        Value::Duration(text) => extension("duration", text),
    })
}

/// A string as a policy writes it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

/// Whether every value of a type can be written in a policy: a record in a policy has every field that it ever has.
pub(super) fn is_writable(ty: &Type) -> bool {
    match ty {
        Type::Set(element) => is_writable(element),
        Type::Record(fields) => fields.values().all(|field| field.required && is_writable(&field.ty)),
        _ => true,
    }
}
