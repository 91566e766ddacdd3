//! Values in compiled form to Cedar's own.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, LazyLock};

use cedar_policy_core::ast::{Entity, ExtensionFunction, Literal, Name, PartialValue, Value};
use cedar_policy_core::extensions::Extensions;
use smol_str::SmolStr;

use crate::compiled::{Datum, Record, Symbols, UidSet};
use crate::convert::{ConvertError, uid};
use crate::entities::EntityRecord;

/// From which a datetime is counted: no text says those that are far from it.
const EPOCH: &str = "1970-01-01";

/// A value.
///
/// # Errors
/// When an entity's type is no Cedar name. Nothing that the schema allows has one.
pub(crate) fn value(datum: &Datum, symbols: &Symbols) -> Result<Value, ConvertError> {
    Ok(match datum {
        Datum::Bool(value) => Value::from(*value),
        Datum::Long(value) => Value::from(*value),
        Datum::String(text) => Value::from(text.clone()),
        Datum::Entity(entity) => Value::from(Literal::EntityUID(Arc::new(uid(entity.name())?))),
        Datum::Set(set) => {
            let members = set.iter().map(|member| value(member, symbols));
            Value::set(members.collect::<Result<Vec<_>, _>>()?, None)
        }
        Datum::Record(fields) => Value::record_arc(Arc::new(record(fields, symbols)?), None),
        Datum::Ip(range) => call(*IP, "ipaddr", &[text(&range.to_string())])?,
        Datum::Decimal(value) => call(*DECIMAL, "decimal", &[text(&decimal(*value))])?,
        Datum::Datetime(since_epoch) => {
            let epoch = call(*DATETIME, "datetime", &[text(EPOCH)])?;
            call(*OFFSET, "datetime", &[epoch, duration(*since_epoch)?])?
        }
        Datum::Duration(value) => duration(*value)?,
    })
}

/// Named values.
///
/// # Errors
/// As [`value`].
pub(crate) fn record(fields: &Record, symbols: &Symbols) -> Result<BTreeMap<SmolStr, Value>, ConvertError> {
    fields.iter().map(|(name, field)| Ok((symbols.name(name), value(field, symbols)?))).collect()
}

/// An entity, with the identities of all the groups that it is in.
///
/// # Errors
/// As [`value`].
pub(crate) fn entity(record: &EntityRecord, symbols: &Symbols) -> Result<Entity, ConvertError> {
    let held = |(name, datum): (SmolStr, &Datum)| Ok((name, PartialValue::Value(value(datum, symbols)?)));
    let attributes = record.attributes().iter().map(|(name, datum)| held((symbols.name(name), datum)));
    let tags = record.tags().map(|(name, datum)| held((name.clone(), datum)));
    let uids = |uids: &UidSet| uids.iter().map(|group| uid(group.name())).collect::<Result<HashSet<_>, _>>();
    let parents = uids(record.parents())?;
    let ancestors = uids(record.ancestors())?.difference(&parents).cloned().collect();
    let attributes = attributes.collect::<Result<Vec<_>, ConvertError>>()?;
    let tags = tags.collect::<Result<Vec<_>, ConvertError>>()?;
    Ok(Entity::new_with_attr_partial_value(uid(record.uid().name())?, attributes, ancestors, parents, tags))
}

fn text(text: &str) -> Value {
    Value::from(SmolStr::new(text))
}

fn decimal(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let magnitude = value.unsigned_abs();
    format!("{sign}{}.{:04}", magnitude / 10_000, magnitude % 10_000)
}

fn duration(milliseconds: i64) -> Result<Value, ConvertError> {
    call(*DURATION, "duration", &[text(&format!("{milliseconds}ms"))])
}

/// One of Cedar's extension functions. Parsing its name costs more than the call.
type Function = LazyLock<Option<&'static ExtensionFunction>>;

static IP: Function = LazyLock::new(|| function("ip"));
static DECIMAL: Function = LazyLock::new(|| function("decimal"));
static DATETIME: Function = LazyLock::new(|| function("datetime"));
static DURATION: Function = LazyLock::new(|| function("duration"));
static OFFSET: Function = LazyLock::new(|| function("offset"));

/// The extension function of this name.
pub(crate) fn function(name: &str) -> Option<&'static ExtensionFunction> {
    Extensions::all_available().func(&Name::parse_unqualified_name(name).ok()?).ok()
}

/// Calls an extension function.
///
/// # Errors
/// When it refuses the arguments.
pub(crate) fn call(
    function: Option<&'static ExtensionFunction>,
    kind: &'static str,
    arguments: &[Value],
) -> Result<Value, ConvertError> {
    let refuse = |message: String| {
        let text = arguments.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ").into();
        ConvertError::Extension { kind, text, message }
    };
    let function = function.ok_or_else(|| refuse("no such function".into()))?;
    match function.call(arguments) {
        Ok(PartialValue::Value(value)) => Ok(value),
        Ok(PartialValue::Residual(_)) => Err(refuse("not a value".into())),
        Err(error) => Err(refuse(error.to_string())),
    }
}
