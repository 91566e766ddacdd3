//! Values in compiled form: kept, and as a condition sees them.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use smol_str::SmolStr;

use super::extension::{self, IpRange};
use super::record::Record;
use super::set::Set;
use super::symbol::Symbols;
use super::uid::Uid;
use crate::convert::ConvertError;
use crate::shape::Type;
use crate::value::{Attributes, EntityRef, Value};

/// A value that is kept: an attribute's, or a constant of a policy.
#[derive(Clone, Debug)]
pub(crate) enum Datum {
    Bool(bool),
    Long(i64),
    String(SmolStr),
    Entity(Arc<Uid>),
    Set(Arc<Set>),
    Record(Arc<Record>),
    Ip(IpRange),
    /// Ten-thousandths.
    Decimal(i64),
    /// Milliseconds since the epoch.
    Datetime(i64),
    /// Milliseconds.
    Duration(i64),
}

/// A value that a condition looks at: as [`Datum`], but borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operand<'a> {
    Bool(bool),
    Long(i64),
    String(&'a str),
    Entity(&'a Uid),
    Set(&'a Set),
    Record(&'a Record),
    Ip(IpRange),
    Decimal(i64),
    Datetime(i64),
    Duration(i64),
}

impl Datum {
    /// From plain data that the schema allows.
    ///
    /// # Errors
    /// When the text of an extension value is not valid, or a record has a name that the schema does not have.
    pub(crate) fn new(value: &Value, symbols: &Symbols) -> Result<Self, ConvertError> {
        let refuse = |kind: &'static str, text: &SmolStr| ConvertError::Extension {
            kind,
            text: text.clone(),
            message: "its text has another form".into(),
        };
        Ok(match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Long(value) => Self::Long(*value),
            Value::String(text) => Self::String(text.clone()),
            Value::Entity(name) => Self::Entity(Arc::new(Uid::new(name.clone()))),
            Value::Set(values) => {
                let members = values.iter().map(|value| Self::new(value, symbols));
                Self::Set(Arc::new(members.collect::<Result<_, _>>()?))
            }
            Value::Record(fields) => Self::Record(Arc::new(record(fields, symbols)?)),
            Value::Ip(text) => Self::Ip(IpRange::parse(text).ok_or_else(|| refuse("ipaddr", text))?),
            Value::Decimal(text) => {
                Self::Decimal(extension::parse_decimal(text).ok_or_else(|| refuse("decimal", text))?)
            }
            Value::Datetime(text) => {
                Self::Datetime(extension::parse_datetime(text).ok_or_else(|| refuse("datetime", text))?)
            }
            Value::Duration(text) => {
                Self::Duration(extension::parse_duration(text).ok_or_else(|| refuse("duration", text))?)
            }
        })
    }

    /// Any value of a type, in the place of one that nobody knows.
    pub(crate) fn stand_in(ty: &Type, symbols: &Symbols) -> Self {
        match ty {
            Type::Bool => Self::Bool(false),
            Type::Long => Self::Long(0),
            Type::String => Self::String(SmolStr::default()),
            Type::Entity(kind) => Self::Entity(Arc::new(Uid::new(EntityRef::new(kind.clone(), "")))),
            Type::Set(_) => Self::Set(Arc::default()),
            // Schemas nest as deeply as their text's limit lets them.
            Type::Record(fields) => {
                let required = fields.iter().filter(|(_, field)| field.required);
                let fields = required
                    .filter_map(|(name, field)| Some((symbols.find(name)?, Self::stand_in(&field.ty, symbols))));
                Self::Record(Arc::new(fields.collect()))
            }
            Type::Ip => Self::ip("0.0.0.0").unwrap_or(Self::Bool(false)),
            Type::Decimal => Self::Decimal(0),
            Type::Datetime => Self::Datetime(0),
            Type::Duration => Self::Duration(0),
        }
    }

    /// An address or a range of them.
    pub(crate) fn ip(text: &str) -> Option<Self> {
        IpRange::parse(text).map(Self::Ip)
    }

    /// As a condition sees it.
    #[inline]
    pub(crate) fn as_operand(&self) -> Operand<'_> {
        match self {
            Self::Bool(value) => Operand::Bool(*value),
            Self::Long(value) => Operand::Long(*value),
            Self::String(text) => Operand::String(text),
            Self::Entity(uid) => Operand::Entity(uid),
            Self::Set(set) => Operand::Set(set),
            Self::Record(record) => Operand::Record(record),
            Self::Ip(range) => Operand::Ip(*range),
            Self::Decimal(value) => Operand::Decimal(*value),
            Self::Datetime(value) => Operand::Datetime(*value),
            Self::Duration(value) => Operand::Duration(*value),
        }
    }
}

/// Named values of plain data.
///
/// # Errors
/// As [`Datum::new`].
pub(crate) fn record(fields: &Attributes, symbols: &Symbols) -> Result<Record, ConvertError> {
    fields
        .iter()
        .map(|(name, value)| {
            let symbol = symbols.find(name).ok_or_else(|| ConvertError::Attribute(name.clone()))?;
            Ok((symbol, Datum::new(value, symbols)?))
        })
        .collect()
}

impl Operand<'_> {
    /// To keep it. Sets and records are copied.
    pub(crate) fn to_datum(self) -> Datum {
        match self {
            Self::Bool(value) => Datum::Bool(value),
            Self::Long(value) => Datum::Long(value),
            Self::String(text) => Datum::String(text.into()),
            Self::Entity(uid) => Datum::Entity(Arc::new(uid.clone())),
            Self::Set(set) => Datum::Set(Arc::new(set.clone())),
            Self::Record(record) => Datum::Record(Arc::new(record.clone())),
            Self::Ip(range) => Datum::Ip(range),
            Self::Decimal(value) => Datum::Decimal(value),
            Self::Datetime(value) => Datum::Datetime(value),
            Self::Duration(value) => Datum::Duration(value),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Long(_) => 1,
            Self::String(_) => 2,
            Self::Entity(_) => 3,
            Self::Set(_) => 4,
            Self::Record(_) => 5,
            Self::Ip(_) => 6,
            Self::Decimal(_) => 7,
            Self::Datetime(_) => 8,
            Self::Duration(_) => 9,
        }
    }
}

impl PartialEq for Operand<'_> {
    /// Values of different types are different.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Long(a), Self::Long(b))
            | (Self::Decimal(a), Self::Decimal(b))
            | (Self::Datetime(a), Self::Datetime(b))
            | (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Entity(a), Self::Entity(b)) => a == b,
            (Self::Set(a), Self::Set(b)) => a == b,
            (Self::Record(a), Self::Record(b)) => a == b,
            (Self::Ip(a), Self::Ip(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Operand<'_> {}

impl Ord for Operand<'_> {
    /// By type first: an order to search in, not one that policies see.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Long(a), Self::Long(b))
            | (Self::Decimal(a), Self::Decimal(b))
            | (Self::Datetime(a), Self::Datetime(b))
            | (Self::Duration(a), Self::Duration(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (Self::Entity(a), Self::Entity(b)) => a.cmp(b),
            (Self::Set(a), Self::Set(b)) => a.cmp(b),
            (Self::Record(a), Self::Record(b)) => a.cmp(b),
            (Self::Ip(a), Self::Ip(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Operand<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Datum {
    fn eq(&self, other: &Self) -> bool {
        self.as_operand() == other.as_operand()
    }
}

impl Eq for Datum {}

impl Ord for Datum {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_operand().cmp(&other.as_operand())
    }
}

impl PartialOrd for Datum {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Datum {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.as_operand().rank());
        match self {
            Self::Bool(value) => value.hash(state),
            Self::Long(value) | Self::Decimal(value) | Self::Datetime(value) | Self::Duration(value) => {
                value.hash(state);
            }
            Self::String(text) => text.hash(state),
            Self::Entity(uid) => Hash::hash(&**uid, state),
            Self::Set(set) => set.hash(state),
            Self::Record(record) => record.hash(state),
            Self::Ip(range) => range.hash(state),
        }
    }
}

impl PartialEq<str> for Datum {
    fn eq(&self, text: &str) -> bool {
        matches!(self, Self::String(own) if own == text)
    }
}
