//! What the schema says of each action, as plain data: the types of its resources and of its attributes.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::value::{EntityRef, Value};

/// The attribute of a request that is the name of the presenter's network zone.
pub(crate) const ZONE: &str = "zone";

/// A Cedar type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Type {
    /// `Bool`.
    Bool,
    /// `Long`.
    Long,
    /// `String`.
    String,
    /// An entity of this type.
    Entity(SmolStr),
    /// A set of this type.
    Set(Box<Type>),
    /// A record.
    Record(Fields),
    /// `ipaddr`.
    Ip,
    /// `decimal`.
    Decimal,
    /// `datetime`.
    Datetime,
    /// `duration`.
    Duration,
}

/// The fields of a record.
pub type Fields = BTreeMap<SmolStr, Field>;

/// A field of a record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    /// Its type.
    pub ty: Type,
    /// Whether it must be there.
    pub required: bool,
}

/// What the schema says of one action.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ActionShape {
    /// Which of the schema's actions it is.
    pub(crate) number: u32,
    /// The types of principal that it applies to, in order.
    pub principals: Vec<SmolStr>,
    /// The types of resource that it applies to, in order.
    pub resources: Vec<SmolStr>,
    /// The fields of `context.request`.
    pub attributes: Arc<Fields>,
}

impl ActionShape {
    /// Whether it applies to principals and resources of these types.
    pub(crate) fn applies_to(&self, principal: &SmolStr, resource: &SmolStr) -> bool {
        self.principals.binary_search(principal).is_ok() && self.resources.binary_search(resource).is_ok()
    }

    /// The place of the network zone: of `zone?: String`.
    pub(crate) fn zone(&self) -> Option<usize> {
        let field = self.attributes.get(ZONE)?;
        if field.required || field.ty != Type::String { None } else { self.place(ZONE) }
    }

    /// The place of an attribute among the others: where a request of this action has it.
    pub(crate) fn place(&self, attribute: &str) -> Option<usize> {
        self.attributes.keys().position(|name| name == attribute)
    }
}

/// What the schema says of every action that applies to anything.
pub type Shapes = BTreeMap<EntityRef, Arc<ActionShape>>;

/// A value that is not of its declared type.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ShapeError {
    /// Where, such as `attributes.amount`.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl Type {
    /// Its name in messages, as the schema writes it.
    pub fn name(&self) -> String {
        match self {
            Self::Bool => "Bool".into(),
            Self::Long => "Long".into(),
            Self::String => "String".into(),
            Self::Entity(kind) => kind.to_string(),
            Self::Set(element) => format!("Set<{}>", element.name()),
            Self::Record(_) => "a record".into(),
            Self::Ip => "ipaddr".into(),
            Self::Decimal => "decimal".into(),
            Self::Datetime => "datetime".into(),
            Self::Duration => "duration".into(),
        }
    }

    /// Checks a value against this type; `path` is for the message, and written only there.
    ///
    /// # Errors
    /// With the first place that does not fit.
    pub fn check(&self, value: &Value, path: &dyn Display) -> Result<(), ShapeError> {
        match (self, value) {
            (Self::Bool, Value::Bool(_))
            | (Self::Long, Value::Long(_))
            | (Self::String, Value::String(_))
            | (Self::Ip, Value::Ip(_))
            | (Self::Decimal, Value::Decimal(_))
            | (Self::Datetime, Value::Datetime(_))
            | (Self::Duration, Value::Duration(_)) => Ok(()),
            (Self::Entity(kind), Value::Entity(entity)) if *kind == entity.kind => Ok(()),
            (Self::Set(element), Value::Set(values)) => {
                values.iter().try_for_each(|value| element.check(value, &format_args!("{path}[]")))
            }
            (Self::Record(fields), Value::Record(values)) => check_fields(fields, values, path),
            _ => Err(ShapeError { path: path.to_string(), message: format!("must be {}", self.name()) }),
        }
    }
}

/// Checks named values against declared fields.
///
/// # Errors
/// With the first field that is missing, unknown, or of another type.
pub fn check_fields(fields: &Fields, values: &crate::value::Attributes, path: &dyn Display) -> Result<(), ShapeError> {
    for (name, field) in fields {
        match values.get(name) {
            Some(value) => field.ty.check(value, &format_args!("{path}.{name}"))?,
            None if field.required => {
                return Err(ShapeError { path: format!("{path}.{name}"), message: "is required".into() });
            }
            None => {}
        }
    }
    match values.keys().find(|name| !fields.contains_key(*name)) {
        Some(name) => {
            Err(ShapeError { path: format!("{path}.{name}"), message: "is not declared by the schema".into() })
        }
        None => Ok(()),
    }
}
