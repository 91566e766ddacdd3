//! What operators do to values, where no entity needs to be looked up.

use super::data::Operand;
use crate::decision::Failure;

/// An operator with one operand.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Unary {
    Not,
    Negate,
    IsEmpty,
}

/// An operator with two operands, both of which are evaluated before it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Binary {
    Equal,
    Less,
    LessOrEqual,
    Add,
    Subtract,
    Multiply,
    Contains,
    ContainsAll,
    ContainsAny,
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

impl Binary {
    /// Applies it.
    ///
    /// # Errors
    /// When an operand has another type, or the result is out of range.
    pub(crate) fn apply<'a>(self, left: Operand<'_>, right: Operand<'_>) -> Result<Operand<'a>, Failure> {
        match self {
            Self::Equal => Ok(Operand::Bool(left == right)),
            Self::Less => compare(left, right, |a, b| a < b),
            Self::LessOrEqual => compare(left, right, |a, b| a <= b),
            Self::Add => calculate(left, right, i64::checked_add),
            Self::Subtract => calculate(left, right, i64::checked_sub),
            Self::Multiply => calculate(left, right, i64::checked_mul),
            Self::Contains => match left {
                Operand::Set(set) => Ok(Operand::Bool(set.contains(right))),
                _ => Err(Failure::WrongType),
            },
            Self::ContainsAll => match (left, right) {
                (Operand::Set(all), Operand::Set(some)) => Ok(Operand::Bool(some.is_subset(all))),
                _ => Err(Failure::WrongType),
            },
            Self::ContainsAny => match (left, right) {
                (Operand::Set(some), Operand::Set(others)) => Ok(Operand::Bool(!some.is_disjoint(others))),
                _ => Err(Failure::WrongType),
            },
        }
    }
}

fn compare<'a>(left: Operand<'_>, right: Operand<'_>, holds: fn(i64, i64) -> bool) -> Result<Operand<'a>, Failure> {
    match (left, right) {
        (Operand::Long(a), Operand::Long(b))
        | (Operand::Datetime(a), Operand::Datetime(b))
        | (Operand::Duration(a), Operand::Duration(b)) => Ok(Operand::Bool(holds(a, b))),
        _ => Err(Failure::WrongType),
    }
}

fn calculate<'a>(
    left: Operand<'_>,
    right: Operand<'_>,
    result: fn(i64, i64) -> Option<i64>,
) -> Result<Operand<'a>, Failure> {
    match (left, right) {
        (Operand::Long(a), Operand::Long(b)) => result(a, b).map(Operand::Long).ok_or(Failure::Overflow),
        _ => Err(Failure::WrongType),
    }
}
