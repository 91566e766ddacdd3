//! Messages of calls, written from what they hold: for tests, which say what a call carries.

use std::collections::HashMap;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::Method;
use crate::document::Node;

/// Writes a message that holds this, in the form in which [`decode`](super::decode) tells it. It is not framed.
///
/// # Errors
/// With what the message has no place for.
pub fn encode(method: &Method, message: &Node) -> Result<Vec<u8>, String> {
    Ok(written(&method.input(), message)?.encode_to_vec())
}

fn written(descriptor: &MessageDescriptor, node: &Node) -> Result<DynamicMessage, String> {
    let Node::Object(object) = node else { return Err(format!("`{}` is an object", descriptor.full_name())) };
    let mut message = DynamicMessage::new(descriptor.clone());
    for (name, node) in object.iter() {
        let field = descriptor.get_field_by_name(name);
        let field = field.ok_or_else(|| format!("`{}` has no field `{name}`", descriptor.full_name()))?;
        let refused = |error: &dyn ToString| format!("`{name}`: {}", error.to_string());
        let value = value(&field, node).map_err(|error| refused(&error))?;
        message.try_set_field(&field, value).map_err(|error| refused(&error))?;
    }
    Ok(message)
}

fn value(field: &FieldDescriptor, node: &Node) -> Result<Value, String> {
    match (field.kind(), node) {
        (Kind::Message(entry), Node::Object(object)) if field.is_map() => {
            let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
            let entries = object.iter().map(|(name, node)| Ok((map_key(&key, name)?, single(&value, node)?)));
            Ok(Value::Map(entries.collect::<Result<HashMap<_, _>, String>>()?))
        }
        (kind, Node::List(nodes)) if field.is_list() => {
            Ok(Value::List(nodes.iter().map(|node| single(&kind, node)).collect::<Result<_, _>>()?))
        }
        (_, node) if field.is_map() || field.is_list() => Err(format!("{} is not what it holds", node.kind())),
        (kind, node) => single(&kind, node),
    }
}

fn single(kind: &Kind, node: &Node) -> Result<Value, String> {
    let wrong = || format!("{} is not what it holds", node.kind());
    Ok(match (kind, node) {
        (Kind::Double, Node::Number(text)) => Value::F64(number(text)?),
        (Kind::Float, Node::Number(text)) => Value::F32(number(text)?),
        (Kind::Int32 | Kind::Sint32 | Kind::Sfixed32, Node::Number(text)) => Value::I32(number(text)?),
        (Kind::Int64 | Kind::Sint64 | Kind::Sfixed64, Node::Number(text)) => Value::I64(number(text)?),
        (Kind::Uint32 | Kind::Fixed32, Node::Number(text)) => Value::U32(number(text)?),
        (Kind::Uint64 | Kind::Fixed64, Node::Number(text)) => Value::U64(number(text)?),
        (Kind::Bool, Node::Bool(truth)) => Value::Bool(*truth),
        (Kind::String, Node::Text(text)) => Value::String(text.to_string()),
        (Kind::Bytes, Node::Text(text)) => {
            Value::Bytes(STANDARD.decode(text.as_str()).map_err(|error| error.to_string())?.into())
        }
        (Kind::Message(descriptor), node) => Value::Message(written(descriptor, node)?),
        (Kind::Enum(descriptor), Node::Text(name)) => {
            let value = descriptor.get_value_by_name(name);
            Value::EnumNumber(value.ok_or_else(|| format!("`{name}` is no value of it"))?.number())
        }
        _ => return Err(wrong()),
    })
}

fn map_key(kind: &Kind, name: &str) -> Result<MapKey, String> {
    Ok(match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => MapKey::I32(number(name)?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(number(name)?),
        Kind::Uint32 | Kind::Fixed32 => MapKey::U32(number(name)?),
        Kind::Uint64 | Kind::Fixed64 => MapKey::U64(number(name)?),
        Kind::Bool => MapKey::Bool(name.parse().map_err(|_| format!("`{name}` is neither true nor false"))?),
        _ => MapKey::String(name.to_owned()),
    })
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no number that fits"))
}
