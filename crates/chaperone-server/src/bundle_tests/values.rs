//! Values of YAML as the schema's types have them.

use chaperone_policy::{Amount, Attributes, Fields as Declared, Type, Value};

use super::fields::{Read, entity, entries, list, text};
use super::yaml::{Node, Scalar, Value as Yaml};

/// The attributes of a request or the facts of a report. What the schema does not declare is told from what it does by whoever takes them.
///
/// # Errors
/// For the first that is not declared, or not of its type.
pub fn attributes(node: &Node, declared: &Declared) -> Read<Attributes> {
    let value = |(key, node): &(super::yaml::Key, Node)| {
        let field = declared.get(key.text.as_str());
        let field = field.ok_or_else(|| super::yaml::Fault {
            place: key.place,
            message: format!("the schema does not declare `{}` here", key.text),
        })?;
        Ok((key.text.as_str().into(), value(node, &field.ty)?))
    };
    entries(node)?.iter().map(value).collect()
}

/// A value of a type.
///
/// # Errors
/// When it is of another.
pub fn value(node: &Node, ty: &Type) -> Read<Value> {
    Ok(match (ty, node.scalar()) {
        (Type::Bool, Some(Scalar::Bool(truth))) => Value::Bool(truth),
        (Type::Long, Some(Scalar::Long(number))) => Value::Long(number),
        (Type::String, Some(Scalar::Text(text))) => Value::String(text.into()),
        (Type::Entity(_), Some(Scalar::Text(_))) => Value::Entity(entity(node)?),
        (Type::Ip, Some(Scalar::Text(text))) => Value::Ip(text.into()),
        // A number with a point is written as Cedar's constructor takes it.
        (Type::Decimal, Some(Scalar::Text(text) | Scalar::Number(text))) => Value::Decimal(text.into()),
        (Type::Datetime, Some(Scalar::Text(text))) => Value::Datetime(text.into()),
        (Type::Duration, Some(Scalar::Text(text))) => Value::Duration(text.into()),
        (Type::Set(element), None) => {
            Value::Set(list(node)?.iter().map(|node| value(node, element)).collect::<Read<_>>()?)
        }
        (Type::Record(fields), None) => Value::Record(attributes(node, fields)?),
        (ty, _) => {
            let quote = if *ty == Type::String { ": write it in quotes" } else { "" };
            return Err(node.fault(format!("this must be {}{quote}", ty.name())));
        }
    })
}

/// How much is counted: a whole number, or one with a point.
///
/// # Errors
/// For any other value.
pub fn amount(node: &Node) -> Read<Amount> {
    let amount = match node.scalar() {
        Some(Scalar::Long(number)) => Some(Amount::Whole(number)),
        Some(Scalar::Number(text) | Scalar::Text(text)) => Amount::parse_decimal(text),
        _ => None,
    };
    amount.ok_or_else(|| node.fault("this is a number, such as `3` or `12.50`"))
}

/// As JSON, for what takes that.
///
/// # Errors
/// For a number that JSON does not have.
pub fn json(node: &Node) -> Read<serde_json::Value> {
    use serde_json::Value as Json;
    Ok(match &node.value {
        Yaml::List(nodes) => Json::Array(nodes.iter().map(json).collect::<Read<_>>()?),
        Yaml::Map(fields) => {
            let fields = fields.iter().map(|(key, node)| Ok((key.text.clone(), json(node)?)));
            Json::Object(fields.collect::<Read<_>>()?)
        }
        Yaml::Scalar { .. } => match node.scalar() {
            None | Some(Scalar::Null) => Json::Null,
            Some(Scalar::Bool(truth)) => Json::Bool(truth),
            Some(Scalar::Long(number)) => Json::Number(number.into()),
            Some(Scalar::Text(text)) => Json::String(text.to_owned()),
            Some(Scalar::Number(_)) => {
                let number = text(node)?.parse().ok().and_then(serde_json::Number::from_f64);
                Json::Number(number.ok_or_else(|| node.fault("JSON has no such number"))?)
            }
        },
    })
}
