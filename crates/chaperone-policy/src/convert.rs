//! Plain data to Cedar's own values, without a detour over JSON or expressions.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use cedar_policy_core::ast::{
    Eid, EntityType, EntityUID, ExtensionFunction, Literal, Name, PartialValue, Value as CoreValue,
};
use cedar_policy_core::extensions::Extensions;
use smol_str::SmolStr;

use crate::value::{Attributes, EntityRef, Value};

/// A value that Cedar cannot hold.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ConvertError {
    /// An entity type that is not a Cedar name.
    #[error("`{0}` is not an entity type")]
    EntityType(SmolStr),
    /// An attribute that the schema does not have.
    #[error("the schema has no attribute `{0}`")]
    Attribute(SmolStr),
    /// The text of an extension value that its constructor refuses.
    #[error("`{text}` is not a valid {kind}: {message}")]
    Extension { kind: &'static str, text: SmolStr, message: String },
}

/// An entity's identity, when its type is a Cedar name.
pub(crate) fn uid(entity: &EntityRef) -> Result<EntityUID, ConvertError> {
    let kind =
        EntityType::from_normalized_str(&entity.kind).map_err(|_| ConvertError::EntityType(entity.kind.clone()))?;
    Ok(uid_of(kind, &entity.id))
}

/// An entity's identity, of a type that is known already.
pub(crate) fn uid_of(kind: EntityType, id: &SmolStr) -> EntityUID {
    EntityUID::from_components(kind, Eid::new(id.clone()), None)
}

/// An entity's identity as plain data.
pub(crate) fn entity_ref(uid: &EntityUID) -> EntityRef {
    EntityRef::new(uid.entity_type().to_string(), AsRef::<str>::as_ref(uid.eid()))
}

/// A value.
pub(crate) fn value(value: &Value) -> Result<CoreValue, ConvertError> {
    Ok(match value {
        Value::Bool(value) => CoreValue::from(*value),
        Value::Long(value) => CoreValue::from(*value),
        Value::String(value) => CoreValue::from(value.clone()),
        Value::Entity(entity) => CoreValue::from(Literal::EntityUID(Arc::new(uid(entity)?))),
        Value::Set(values) => CoreValue::set(values.iter().map(self::value).collect::<Result<Vec<_>, _>>()?, None),
        Value::Record(fields) => CoreValue::record_arc(Arc::new(record(fields)?), None),
        Value::Ip(text) => extension(&IP, "ipaddr", text)?,
        Value::Decimal(text) => extension(&DECIMAL, "decimal", text)?,
        Value::Datetime(text) => extension(&DATETIME, "datetime", text)?,
        Value::Duration(text) => extension(&DURATION, "duration", text)?,
    })
}

/// Named values.
pub(crate) fn record(fields: &Attributes) -> Result<BTreeMap<SmolStr, CoreValue>, ConvertError> {
    fields.iter().map(|(name, field)| Ok((name.clone(), value(field)?))).collect()
}

/// One of Cedar's extension functions. Parsing its name costs more than the call.
pub(crate) type Function = LazyLock<Option<&'static ExtensionFunction>>;

static IP: Function = LazyLock::new(|| function("ip"));
static DECIMAL: Function = LazyLock::new(|| function("decimal"));
static DATETIME: Function = LazyLock::new(|| function("datetime"));
static DURATION: Function = LazyLock::new(|| function("duration"));

/// The extension function of this name.
pub(crate) fn function(name: &str) -> Option<&'static ExtensionFunction> {
    Extensions::all_available().func(&Name::parse_unqualified_name(name).ok()?).ok()
}

fn extension(constructor: &Function, kind: &'static str, text: &SmolStr) -> Result<CoreValue, ConvertError> {
    call(**constructor, &[CoreValue::from(text.clone())]).map_err(|message| ConvertError::Extension {
        kind,
        text: text.clone(),
        message,
    })
}

/// Calls an extension function.
///
/// # Errors
/// With what it says when it refuses the arguments.
pub(crate) fn call(function: Option<&'static ExtensionFunction>, arguments: &[CoreValue]) -> Result<CoreValue, String> {
    match function.ok_or("no such extension")?.call(arguments) {
        Ok(PartialValue::Value(value)) => Ok(value),
        Ok(PartialValue::Residual(_)) => Err("not a value".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_values_are_parsed_or_refused() {
        for good in [
            Value::Ip("10.0.0.0/8".into()),
            Value::Ip("::1".into()),
            Value::Decimal("12.50".into()),
            Value::Datetime("2026-01-31T12:00:00Z".into()),
            Value::Duration("1h30m".into()),
        ] {
            assert!(value(&good).is_ok(), "{good:?}");
        }
        for bad in [
            Value::Ip("10.0.0".into()),
            Value::Decimal("1e3".into()),
            Value::Datetime("yesterday".into()),
            Value::Duration("1 hour".into()),
        ] {
            assert!(value(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn identity_survives_the_way_there_and_back() {
        let entity = EntityRef::new("Docs::Document", "a \"quoted\"\nid");
        assert_eq!(entity_ref(&uid(&entity).expect("valid type")), entity);
        assert!(uid(&EntityRef::new("not a type", "x")).is_err());
    }
}
