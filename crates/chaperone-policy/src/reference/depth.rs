//! How far a condition can go from entity to entity.

use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind};

/// How many entities a condition can look into one after the other, each found in the one before: `principal.team.lead.name` looks
/// into three. Recursive, as everything that Cedar does with an expression; the text's nesting is bounded.
pub(super) fn of(expr: &Expr) -> usize {
    match expr.expr_kind() {
        ExprKind::Lit(_) | ExprKind::Var(_) | ExprKind::Slot(_) | ExprKind::Unknown(_) => 0,
        ExprKind::If { test_expr, then_expr, else_expr } => deepest([&**test_expr, then_expr, else_expr]),
        ExprKind::And { left, right } | ExprKind::Or { left, right } => deepest([&**left, right]),
        ExprKind::UnaryApp { arg, .. } => of(arg),
        ExprKind::BinaryApp { op: BinaryOp::In | BinaryOp::GetTag | BinaryOp::HasTag, arg1, arg2 } => {
            1 + deepest([&**arg1, arg2])
        }
        ExprKind::BinaryApp { arg1, arg2, .. } => deepest([&**arg1, arg2]),
        ExprKind::ExtensionFunctionApp { args, .. } => deepest(args.iter()),
        ExprKind::GetAttr { expr, .. } | ExprKind::HasAttr { expr, .. } => 1 + of(expr),
        ExprKind::ExtHasAttr { expr, attrs } => attrs.len() + of(expr),
        ExprKind::Like { expr, .. } | ExprKind::Is { expr, .. } => of(expr),
        ExprKind::Set(members) => deepest(members.iter()),
        ExprKind::Record(fields) => deepest(fields.values()),
    }
}

fn deepest<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> usize {
    exprs.into_iter().map(of).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_from_entity_to_entity_counts() {
        for (text, depth) in [
            ("true", 0),
            ("principal.team.lead.name == \"x\"", 3),
            ("principal has team.lead.name", 3),
            ("principal.team in resource.folder", 2),
            ("principal.hasTag(\"a\") && principal.getTag(\"a\").lead in Team::\"a\"", 3),
            ("[principal.team, {a: resource.folder.owner}].contains(principal)", 2),
            ("(if principal in Team::\"a\" then principal.team else resource.folder.team).name like \"*\"", 3),
        ] {
            let expr: Expr = text.parse().expect("an expression");
            assert_eq!(of(&expr), depth, "{text}");
        }
    }
}
