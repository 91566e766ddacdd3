//! Between protobuf and plain data, for types that several services share.

use std::fmt::Display;
use std::time::Duration;

use chaperone_api::chaperone::v1 as api;
use chaperone_policy::{Actor, Attributes, DELEGATION_DEPTH_MAX, Delegation, EntityRef, Timestamp, Value};
use http::HeaderMap;

use crate::admin::AdminError;
use crate::admin_auth::Caller;
use crate::telemetry::ParentContext;

/// How deep a value may be nested.
const VALUE_DEPTH_MAX: usize = 8;
/// How many values one request may carry, nested ones included.
const VALUES_MAX: usize = 10_000;
/// How many elements a page has when nothing is said, and at the most.
const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1_000;

/// A field that is not as it must be.
pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> AdminError {
    AdminError::Invalid { field: field.into(), message: message.into() }
}

/// The caller's trace, from gRPC metadata.
pub fn parent_context(headers: &HeaderMap) -> Option<ParentContext> {
    ParentContext::from_traceparent(headers.get("traceparent")?.to_str().ok()?)
}

/// Who calls the admin plane, as records name them. Its authentication put the name there.
pub fn caller<T>(request: &tonic::Request<T>) -> String {
    request.extensions().get::<Caller>().map(|caller| caller.name.to_string()).unwrap_or_default()
}

/// Who calls, with how much that name says.
pub fn who<T>(request: &tonic::Request<T>) -> Caller {
    // Without the layer that authenticates there is no caller, and the name is nobody's.
    request.extensions().get::<Caller>().cloned().unwrap_or_else(|| Caller::within(""))
}

/// An entity's identity that must be there.
///
/// # Errors
/// [`AdminError::Invalid`] with the field.
#[expect(clippy::needless_pass_by_value, reason = "callers have it from a message that they take apart")]
pub fn entity_ref(field: impl Display, entity: Option<api::EntityRef>) -> Result<EntityRef, AdminError> {
    self::entity(&field, entity.as_ref().map(|entity| (entity.r#type.as_str(), entity.id.as_str())))
}

/// As [`entity_ref`], from a type and an id.
///
/// # Errors
/// [`AdminError::Invalid`] with the field.
pub fn entity(field: &dyn Display, entity: Option<(&str, &str)>) -> Result<EntityRef, AdminError> {
    match entity {
        Some((kind, id)) if is_name(kind) && is_name(id) => Ok(EntityRef::new(kind, id)),
        Some(_) => Err(invalid(field.to_string(), "must have a type and an id, neither of them with NUL")),
        None => Err(invalid(field.to_string(), "is required")),
    }
}

/// Whether a text can name something: PostgreSQL cannot keep NUL.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0')
}

/// A name, or nothing when it is empty.
///
/// # Errors
/// [`AdminError::Invalid`] with the field.
pub fn name(field: &str, text: String) -> Result<Option<String>, AdminError> {
    match text.as_str() {
        "" => Ok(None),
        _ if is_name(&text) => Ok(Some(text)),
        _ => Err(invalid(field, "must not contain NUL")),
    }
}

/// As the API writes it.
pub fn entity_ref_to_api(entity: &EntityRef) -> api::EntityRef {
    api::EntityRef { r#type: entity.kind.to_string(), id: entity.id.to_string() }
}

/// Named values, within limits.
///
/// # Errors
/// [`AdminError::Invalid`] with the field.
pub fn attributes<N: AsRef<str>>(
    field: impl Display,
    values: impl IntoIterator<Item = (N, api::Value)>,
) -> Result<Attributes, AdminError> {
    let mut budget = VALUES_MAX;
    record(&field, values, VALUE_DEPTH_MAX, &mut budget)
}

/// `field` is written down only when there is something to say of it.
fn record<N: AsRef<str>>(
    field: &dyn Display,
    values: impl IntoIterator<Item = (N, api::Value)>,
    depth: usize,
    budget: &mut usize,
) -> Result<Attributes, AdminError> {
    values
        .into_iter()
        .map(|(name, value)| {
            let name = name.as_ref();
            let value = convert(&format_args!("{field}.{name}"), value, depth, budget)?;
            Ok((name.into(), value))
        })
        .collect()
}

fn convert(field: &dyn Display, value: api::Value, depth: usize, budget: &mut usize) -> Result<Value, AdminError> {
    use api::value::Kind;
    let refuse = |message: String| invalid(field.to_string(), message);
    *budget = budget.checked_sub(1).ok_or_else(|| refuse(format!("there may be at most {VALUES_MAX} values")))?;
    let deeper = || depth.checked_sub(1).ok_or_else(|| refuse(format!("is nested deeper than {VALUE_DEPTH_MAX}")));
    Ok(match value.kind.ok_or_else(|| refuse("has no value".to_owned()))? {
        Kind::Bool(value) => Value::Bool(value),
        Kind::Long(value) => Value::Long(value),
        Kind::String(value) => Value::String(value.into()),
        Kind::Entity(entity) => Value::Entity(entity_ref(field, Some(entity))?),
        Kind::Set(set) => {
            let depth = deeper()?;
            let values = set.values.into_iter().map(|value| convert(field, value, depth, budget));
            Value::Set(values.collect::<Result<_, _>>()?)
        }
        Kind::Record(fields) => Value::Record(record(field, fields.fields, deeper()?, budget)?),
        Kind::Ip(text) => Value::Ip(text.into()),
        Kind::Decimal(text) => Value::Decimal(text.into()),
        Kind::Datetime(text) => Value::Datetime(text.into()),
        Kind::Duration(text) => Value::Duration(text.into()),
    })
}

/// As the API writes it.
pub fn value_to_api(value: &Value) -> api::Value {
    use api::value::Kind;
    let kind = match value {
        Value::Bool(value) => Kind::Bool(*value),
        Value::Long(value) => Kind::Long(*value),
        Value::String(value) => Kind::String(value.to_string()),
        Value::Entity(entity) => Kind::Entity(entity_ref_to_api(entity)),
        Value::Set(values) => Kind::Set(api::ValueSet { values: values.iter().map(value_to_api).collect() }),
        Value::Record(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.to_string(), value_to_api(value))).collect();
            Kind::Record(api::ValueRecord { fields })
        }
        Value::Ip(text) => Kind::Ip(text.to_string()),
        Value::Decimal(text) => Kind::Decimal(text.to_string()),
        Value::Datetime(text) => Kind::Datetime(text.to_string()),
        Value::Duration(text) => Kind::Duration(text.to_string()),
    };
    api::Value { kind: Some(kind) }
}

/// A moment.
pub fn timestamp_to_api(at: Timestamp) -> prost_types::Timestamp {
    let micros = at.as_micros();
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or_default();
    prost_types::Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}

/// A length of time that is not negative.
///
/// # Errors
/// [`AdminError::Invalid`] with the field.
pub fn duration(field: &str, duration: Option<prost_types::Duration>) -> Result<Option<Duration>, AdminError> {
    duration.map(|value| Duration::try_from(value).map_err(|_| invalid(field, "must not be negative"))).transpose()
}

/// A length of time.
pub fn duration_to_api(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}

/// A SHA-256 digest, or nothing.
///
/// # Errors
/// [`AdminError::Invalid`] with the field.
pub fn digest(field: &str, bytes: &[u8]) -> Result<Option<[u8; 32]>, AdminError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let digest = bytes.try_into().map_err(|_| invalid(field, format!("must have 32 bytes, not {}", bytes.len())))?;
    Ok(Some(digest))
}

/// The text, or nothing when it is empty.
pub fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// How many elements a page has.
///
/// # Errors
/// [`AdminError::Invalid`] with the field.
pub fn page_size(asked: u32) -> Result<u32, AdminError> {
    match asked {
        0 => Ok(PAGE_DEFAULT),
        1..=PAGE_MAX => Ok(asked),
        _ => Err(invalid("page_size", format!("must be at most {PAGE_MAX}"))),
    }
}

/// Where a page begins: after the element that the last page ended with.
///
/// # Errors
/// [`AdminError::Invalid`] with the field.
pub fn page_token<T: std::str::FromStr>(token: &str) -> Result<Option<T>, AdminError> {
    if token.is_empty() {
        return Ok(None);
    }
    token.parse().map(Some).map_err(|_| invalid("page_token", "is not one that a page before this came with"))
}

/// How many elements to read for a page: one more, which tells whether there is a page behind it.
pub fn read_limit(page_size: u32) -> u32 {
    page_size.saturating_add(1)
}

/// Cuts what was read down to the page, and makes the token for the next one; empty when this is the last.
pub fn next_page_token<T>(page: &mut Vec<T>, page_size: u32, token: impl Fn(&T) -> String) -> String {
    let has_more = page.len() > page_size as usize;
    page.truncate(page_size as usize);
    page.last().filter(|_| has_more).map(token).unwrap_or_default()
}
/// An `act` claim. One that is deeper than any chain of sessions is cut where that is sure, so that it is refused for its depth.
///
/// # Errors
/// [`AdminError::Invalid`] when an actor has no `sub`.
pub fn actor(act: &api::Actor) -> Result<Actor, AdminError> {
    let mut nested: Vec<&api::Actor> = std::iter::successors(Some(act), |actor| actor.act.as_deref()).collect();
    nested.truncate(DELEGATION_DEPTH_MAX as usize + 1);
    let mut built: Option<Actor> = None;
    for (depth, actor) in nested.iter().enumerate().rev() {
        if actor.sub.is_empty() {
            return Err(invalid(format!("act{}.sub", ".act".repeat(depth)), "must not be empty"));
        }
        let iss = non_empty(actor.iss.clone());
        built = Some(Actor { sub: actor.sub.clone(), iss, act: built.map(Box::new) });
    }
    built.ok_or_else(|| invalid("act", "is required"))
}

/// As the claims of a token.
pub fn delegation_to_api(delegation: &Delegation) -> api::Delegation {
    let act = delegation.act().as_ref().map(actor_to_api);
    api::Delegation { sub: delegation.subject().to_string(), act }
}

fn actor_to_api(actor: &Actor) -> api::Actor {
    let act = actor.act.as_deref().map(|before| Box::new(actor_to_api(before)));
    api::Actor { sub: actor.sub.clone(), iss: actor.iss.clone().unwrap_or_default(), act }
}
