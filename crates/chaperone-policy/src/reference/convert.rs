//! Values in compiled form to Cedar's own.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, LazyLock};

use cedar_policy_core::ast::{Entity, Literal, PartialValue, Value};
use smol_str::{SmolStr, format_smolstr};

use crate::compiled::{Datum, Record, Symbols, UidSet};
use crate::convert::{self, ConvertError, uid};
use crate::entities::EntityRecord;
use crate::value::Value as Plain;

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
        Datum::Ip(range) => convert::value(&Plain::Ip(range.to_smolstr()))?,
        Datum::Decimal(value) => convert::value(&Plain::Decimal(decimal(*value)))?,
        Datum::Datetime(since_epoch) => datetime(*since_epoch)?,
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

fn decimal(value: i64) -> SmolStr {
    let sign = if value < 0 { "-" } else { "" };
    let magnitude = value.unsigned_abs();
    format_smolstr!("{sign}{}.{:04}", magnitude / 10_000, magnitude % 10_000)
}

fn duration(milliseconds: i64) -> Result<Value, ConvertError> {
    convert::value(&Plain::Duration(format_smolstr!("{milliseconds}ms")))
}

fn datetime(since_epoch: i64) -> Result<Value, ConvertError> {
    static OFFSET: convert::Function = LazyLock::new(|| convert::function("offset"));
    let epoch = convert::value(&Plain::Datetime(SmolStr::new_static(EPOCH)))?;
    convert::call(*OFFSET, &[epoch, duration(since_epoch)?]).map_err(|message| ConvertError::Extension {
        kind: "datetime",
        text: format_smolstr!("{since_epoch} ms after the epoch"),
        message,
    })
}
