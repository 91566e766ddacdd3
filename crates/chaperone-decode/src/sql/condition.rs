//! Conditions that are none.

use sqlparser::ast::{BinaryOperator, Expr, Value};

/// Whether a condition plainly lets every row through (or none, which is as little of a condition): it names no column and calls nothing, or
/// it is an `OR` with such a side, or compares something with itself.
pub(super) fn spares_nothing(condition: &Expr) -> bool {
    match condition {
        Expr::Nested(inner) => spares_nothing(inner),
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => spares_nothing(left) || spares_nothing(right),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => spares_nothing(left) && spares_nothing(right),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq | BinaryOperator::GtEq | BinaryOperator::LtEq | BinaryOperator::Spaceship,
            right,
        } if left == right => true,
        Expr::Like { negated: false, pattern, .. } | Expr::ILike { negated: false, pattern, .. } => match &**pattern {
            Expr::Value(value) => {
                matches!(&value.value, Value::SingleQuotedString(text) if text.chars().all(|c| c == '%'))
            }
            _ => is_constant(condition),
        },
        _ => is_constant(condition),
    }
}

/// Whether an expression is made of literals only.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => !matches!(value.value, Value::Placeholder(_)),
        Expr::Nested(inner)
        | Expr::UnaryOp { expr: inner, .. }
        | Expr::IsTrue(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::Cast { expr: inner, .. } => is_constant(inner),
        Expr::BinaryOp { left, right, .. }
        | Expr::IsDistinctFrom(left, right)
        | Expr::IsNotDistinctFrom(left, right) => is_constant(left) && is_constant(right),
        Expr::InList { expr, list, .. } => is_constant(expr) && list.iter().all(is_constant),
        Expr::Between { expr, low, high, .. } => is_constant(expr) && is_constant(low) && is_constant(high),
        Expr::Like { expr, pattern, .. } | Expr::ILike { expr, pattern, .. } => {
            is_constant(expr) && is_constant(pattern)
        }
        _ => false,
    }
}
