//! Facts that a report tells of what came back: their types.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smol_str::SmolStr;

use crate::compiled::extension::IpRange;
use crate::memory::Amount;
use crate::shape::Type;
use crate::value::{EntityRef, Value};

/// How many facts the mapping names for one action at most.
pub const FACTS_MAX: usize = 32;
/// How long a fact's name is at most, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The type of a fact: what can be counted or remembered.
///
/// As text, in the mapping and in the store, as the schema writes it: `Long`, `decimal`, `String`, `ipaddr`, or an entity type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FactType {
    /// `Long`.
    Long,
    /// `decimal`.
    Decimal,
    /// `String`.
    String,
    /// `ipaddr`.
    Ip,
    /// An entity of this type.
    Entity(SmolStr),
}

/// The facts that reports about one action may tell, by name.
pub type ResultFacts = BTreeMap<SmolStr, FactType>;

/// The facts that reports may tell, by action.
pub(crate) type Results = BTreeMap<EntityRef, ResultFacts>;

impl FactType {
    /// Reads what `Display` writes. `None` for what is no type that a fact can have.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "Long" => Self::Long,
            "decimal" => Self::Decimal,
            "String" => Self::String,
            "ipaddr" => Self::Ip,
            "Bool" | "Boolean" | "Set" | "Record" | "Entity" | "Extension" | "datetime" | "duration" => return None,
            kind if !kind.is_empty() && kind.split("::").all(is_fact_name) => Self::Entity(kind.into()),
            _ => return None,
        })
    }

    /// Whether the value is of this type, and one that Cedar would take.
    pub fn fits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Long, Value::Long(_)) | (Self::String, Value::String(_)) => true,
            (Self::Decimal, Value::Decimal(text)) => Amount::parse_decimal(text).is_some(),
            (Self::Ip, Value::Ip(text)) => IpRange::parse(text).is_some(),
            (Self::Entity(kind), Value::Entity(entity)) => *kind == entity.kind,
            _ => false,
        }
    }
}

impl From<&FactType> for Type {
    fn from(ty: &FactType) -> Self {
        match ty {
            FactType::Long => Self::Long,
            FactType::Decimal => Self::Decimal,
            FactType::String => Self::String,
            FactType::Ip => Self::Ip,
            FactType::Entity(kind) => Self::Entity(kind.clone()),
        }
    }
}

impl fmt::Display for FactType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Long => "Long",
            Self::Decimal => "decimal",
            Self::String => "String",
            Self::Ip => "ipaddr",
            Self::Entity(kind) => kind,
        })
    }
}

impl Serialize for FactType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FactType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SmolStr::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format_args!("`{text}` is no type of a fact")))
    }
}

/// Whether this can name a fact: an identifier of at most 64 bytes.
pub(crate) fn is_fact_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
