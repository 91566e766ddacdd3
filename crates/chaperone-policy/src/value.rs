//! Attribute values: Cedar's types as plain data.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// A Cedar entity's identity: a type with its namespace, and an id.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EntityRef {
    /// The entity type, such as `Document` or `Chaperone::Workload`.
    #[serde(rename = "type")]
    pub kind: SmolStr,
    /// The id, as it is, without quotes or escapes.
    pub id: SmolStr,
}

impl EntityRef {
    /// From a type and an id.
    pub fn new(kind: impl Into<SmolStr>, id: impl Into<SmolStr>) -> Self {
        Self { kind: kind.into(), id: id.into() }
    }

    /// An action from its short name, such as `read`, or its full one, such as `Docs::Action::"read"`.
    pub fn action(name: &str) -> Self {
        let full = name.strip_suffix('"').and_then(|name| name.split_once("Action::\""));
        match full {
            Some((namespace, id)) if namespace.is_empty() || namespace.ends_with("::") => {
                Self::new(format!("{namespace}Action"), id)
            }
            _ => Self::new("Action", name),
        }
    }
}

impl fmt::Display for EntityRef {
    /// As Cedar writes it: `Document::"42"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::\"{}\"", self.kind, self.id.escape_debug())
    }
}

/// A value that a policy can read. Floats and null do not exist in Cedar.
///
/// The extension values (`Ip` and on) hold the text that Cedar's constructor function takes.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A 64-bit integer.
    Long(i64),
    /// A string.
    String(SmolStr),
    /// An entity's identity.
    Entity(EntityRef),
    /// A set; order and repetition mean nothing.
    Set(Vec<Value>),
    /// A record.
    Record(Attributes),
    /// `ip("10.0.0.0/8")`.
    Ip(SmolStr),
    /// `decimal("12.50")`.
    Decimal(SmolStr),
    /// `datetime("2026-01-31T12:00:00Z")`.
    Datetime(SmolStr),
    /// `duration("1h30m")`.
    Duration(SmolStr),
}

/// Named values, in the order of their names.
pub type Attributes = BTreeMap<SmolStr, Value>;
