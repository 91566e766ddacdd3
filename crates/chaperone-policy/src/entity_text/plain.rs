//! Cedar's entities as plain data.

use std::collections::BTreeMap;

use cedar_policy_core::ast::{
    Entity as CoreEntity, ExprKind, Literal, PartialValue, RepresentableExtensionValue, RestrictedExpr,
    Value as CoreValue, ValueKind,
};
use smol_str::{SmolStr, ToSmolStr as _, format_smolstr};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::convert::entity_ref;
use crate::entities::Entity;
use crate::value::{Attributes, Value};

/// An entity that was parsed.
///
/// # Errors
/// When a value has no such form.
pub(super) fn entity(entity: &CoreEntity) -> Result<Entity, String> {
    Ok(Entity {
        uid: entity_ref(entity.uid()),
        attributes: attributes(entity.attrs())?,
        tags: attributes(entity.tags())?,
        parents: entity.parents().map(entity_ref).collect(),
    })
}

fn attributes<'a>(attributes: impl Iterator<Item = (&'a SmolStr, &'a PartialValue)>) -> Result<Attributes, String> {
    let read = |(name, found): (&SmolStr, &PartialValue)| match found {
        PartialValue::Value(found) => Ok((name.clone(), value(found)?)),
        PartialValue::Residual(_) => Err(format!("`{name}` is not a value")),
    };
    attributes.map(read).collect()
}

fn value(value: &CoreValue) -> Result<Value, String> {
    Ok(match value.value_kind() {
        ValueKind::Lit(Literal::Bool(value)) => Value::Bool(*value),
        ValueKind::Lit(Literal::Long(value)) => Value::Long(*value),
        ValueKind::Lit(Literal::String(text)) => Value::String(text.clone()),
        ValueKind::Lit(Literal::EntityUID(uid)) => Value::Entity(entity_ref(uid)),
        ValueKind::Set(set) => Value::Set(set.authoritative.iter().map(self::value).collect::<Result<_, _>>()?),
        ValueKind::Record(fields) => {
            let fields = fields.iter().map(|(name, field)| Ok((name.clone(), self::value(field)?)));
            Value::Record(fields.collect::<Result<BTreeMap<_, _>, String>>()?)
        }
        ValueKind::ExtensionValue(found) => extension(found)
            .ok_or_else(|| format!("`{value}` cannot be kept; write it as the text of a constructor"))?,
    })
}

/// A call of a constructor; what was computed by other functions has one, too, or is an offset from the epoch.
fn extension(value: &RepresentableExtensionValue) -> Option<Value> {
    let call = RestrictedExpr::from(value.clone());
    let ExprKind::ExtensionFunctionApp { fn_name, args } = call.expr_kind() else { return None };
    let text = |place: usize| match args.get(place)?.expr_kind() {
        ExprKind::Lit(Literal::String(text)) => Some(text.clone()),
        ExprKind::ExtensionFunctionApp { args, .. } => match args.first()?.expr_kind() {
            ExprKind::Lit(Literal::String(text)) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    };
    let first = text(0)?;
    match (fn_name.to_smolstr().as_str(), args.len()) {
        ("ip", 1) => Some(Value::Ip(first)),
        ("decimal", 1) => Some(Value::Decimal(first)),
        ("datetime", 1) => Some(Value::Datetime(first)),
        ("duration", 1) => Some(Value::Duration(first)),
        ("offset", 2) if first == "1970-01-01" => datetime(text(1)?.strip_suffix("ms")?.parse().ok()?),
        _ => None,
    }
}

/// From milliseconds since the epoch; years of other than four digits cannot be written.
fn datetime(millis: i64) -> Option<Value> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()?;
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let text = time.format(format).ok()?;
    (0..=9999).contains(&time.year()).then(|| Value::Datetime(format_smolstr!("{text}")))
}
