//! Attribute values as other programs read them: plain JSON, without the names of Cedar's types.

use chaperone_policy::Value;
use serde_json::{Map, Value as Json};

use crate::event::Asked;

/// The attributes of an action. Extension values are their texts, and entities are written as Cedar writes them.
pub(super) fn attributes(asked: &Asked<'_>) -> Map<String, Json> {
    asked.attributes.iter().map(|(name, value)| (name.to_string(), plain(value))).collect()
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Long(value) => (*value).into(),
        Value::String(text)
        | Value::Ip(text)
        | Value::Decimal(text)
        | Value::Datetime(text)
        | Value::Duration(text) => text.as_str().into(),
        Value::Entity(entity) => entity.to_string().into(),
        Value::Set(values) => values.iter().map(plain).collect(),
        Value::Record(fields) => {
            fields.iter().map(|(name, value)| (name.to_string(), plain(value))).collect::<Map<_, _>>().into()
        }
    }
}
