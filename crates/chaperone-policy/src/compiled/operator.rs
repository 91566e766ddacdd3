//! What operators do to values, where no entity needs to be looked up.

use super::data::{Datum, Operand};
use crate::decision::Failure;

/// An operator with one operand.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Unary {
    Not,
    Negate,
    IsEmpty,
}

/// An operator that is true or false of two operands, both of which are evaluated before it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Contains,
    ContainsAll,
    ContainsAny,
}

/// An operator that makes a number of two.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
}

impl Unary {
    /// Applies it.
    ///
    /// # Errors
    /// When the operand has another type, or the result is out of range.
    pub(crate) fn apply<'a>(self, operand: Operand<'_>) -> Result<Operand<'a>, Failure> {
        match (self, operand) {
            (Self::Not, Operand::Bool(value)) => Ok(Operand::Bool(!value)),
            (Self::Negate, Operand::Long(value)) => value.checked_neg().map(Operand::Long).ok_or(Failure::Overflow),
            (Self::IsEmpty, Operand::Set(set)) => Ok(Operand::Bool(set.is_empty())),
            _ => Err(Failure::WrongType),
        }
    }
}

impl Relation {
    /// Whether it holds between two values that are kept.
    ///
    /// # Errors
    /// As [`Self::holds`], which says what it means; here stands what is asked most, without a step between.
    #[inline]
    pub(crate) fn holds_between(self, left: &Datum, right: &Datum) -> Result<bool, Failure> {
        match (self, left, right) {
            (Self::Equal, Datum::String(a), Datum::String(b)) => Ok(a == b),
            (Self::Less, Datum::Long(a), Datum::Long(b)) => Ok(a < b),
            (Self::LessOrEqual, Datum::Long(a), Datum::Long(b)) => Ok(a <= b),
            (Self::Contains, Datum::Set(set), Datum::String(text)) => Ok(set.contains_text(text)),
            _ => self.holds(left.as_operand(), right.as_operand()),
        }
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// When an operand has another type.
    pub(crate) fn holds(self, left: Operand<'_>, right: Operand<'_>) -> Result<bool, Failure> {
        match (self, left, right) {
            (Self::Equal, ..) => Ok(left == right),
            (Self::Less, Operand::Long(a), Operand::Long(b))
            | (Self::Less, Operand::Datetime(a), Operand::Datetime(b))
            | (Self::Less, Operand::Duration(a), Operand::Duration(b)) => Ok(a < b),
            (Self::LessOrEqual, Operand::Long(a), Operand::Long(b))
            | (Self::LessOrEqual, Operand::Datetime(a), Operand::Datetime(b))
            | (Self::LessOrEqual, Operand::Duration(a), Operand::Duration(b)) => Ok(a <= b),
            (Self::Contains, Operand::Set(set), member) => Ok(set.contains(member)),
            (Self::ContainsAll, Operand::Set(all), Operand::Set(some)) => Ok(some.is_subset(all)),
            (Self::ContainsAny, Operand::Set(some), Operand::Set(others)) => Ok(!some.is_disjoint(others)),
            _ => Err(Failure::WrongType),
        }
    }
}

impl Arithmetic {
    /// The result.
    ///
    /// # Errors
    /// When an operand has another type, or the result is out of range.
    pub(crate) fn apply(self, left: Operand<'_>, right: Operand<'_>) -> Result<i64, Failure> {
        let (Operand::Long(a), Operand::Long(b)) = (left, right) else { return Err(Failure::WrongType) };
        match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
        }
        .ok_or(Failure::Overflow)
    }
}
