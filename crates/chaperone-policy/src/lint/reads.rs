//! What conditions read of the context, by paths below it.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Literal, Var};
use smol_str::SmolStr;

/// A path below `context`, such as `session`, `counts`, `exports/1h`. That of a label that is asked for by name ends in it.
type Path = Vec<SmolStr>;

/// What some conditions read. A path stands for all that is below it.
#[derive(Debug, Default)]
pub(super) struct MemoryReads(BTreeSet<Path>);

impl MemoryReads {
    /// Whether something is read, by itself or as a part of more.
    pub(super) fn contain(&self, path: &[SmolStr]) -> bool {
        (0..=path.len()).filter_map(|length| path.get(..length)).any(|start| self.0.contains(start))
    }

    /// Adds what an expression reads. It recurses as deeply as expressions nest, which the text's own limit bounds.
    pub(super) fn note(&mut self, expression: &Expr) {
        if let Some(labels) = labels(expression) {
            self.0.extend(labels);
            return;
        }
        if let Some(path) = path(expression) {
            self.0.insert(path);
            return;
        }
        match expression.expr_kind() {
            // To ask whether a part of the context is there does not read it.
            ExprKind::HasAttr { expr, .. } | ExprKind::ExtHasAttr { expr, .. } if path(expr).is_some() => {}
            ExprKind::HasAttr { expr, .. }
            | ExprKind::ExtHasAttr { expr, .. }
            | ExprKind::GetAttr { expr, .. }
            | ExprKind::Like { expr, .. }
            | ExprKind::Is { expr, .. }
            | ExprKind::UnaryApp { arg: expr, .. } => self.note(expr),
            ExprKind::And { left: a, right: b }
            | ExprKind::Or { left: a, right: b }
            | ExprKind::BinaryApp { arg1: a, arg2: b, .. } => [a, b].into_iter().for_each(|part| self.note(part)),
            ExprKind::If { test_expr, then_expr, else_expr } => {
                for part in [test_expr, then_expr, else_expr] {
                    self.note(part);
                }
            }
            ExprKind::ExtensionFunctionApp { args, .. } => args.iter().for_each(|part| self.note(part)),
            ExprKind::Set(members) => members.iter().for_each(|part| self.note(part)),
            ExprKind::Record(fields) => fields.values().for_each(|part| self.note(part)),
            #[allow(clippy::match_wildcard_for_single_variants, reason = "which kinds there are depends on features")]
            _ => {}
        }
    }
}

/// The path of `context.a["b"].c`.
fn path(expression: &Expr) -> Option<Path> {
    match expression.expr_kind() {
        ExprKind::Var(Var::Context) => Some(Path::new()),
        ExprKind::GetAttr { expr, attr } => {
            let mut path = path(expr)?;
            path.push(attr.clone());
            Some(path)
        }
        _ => None,
    }
}

/// The labels that `context.….labels.contains("…")` asks for, and the same for several that are written out.
fn labels(expression: &Expr) -> Option<Vec<Path>> {
    let ExprKind::BinaryApp { op: BinaryOp::Contains | BinaryOp::ContainsAll | BinaryOp::ContainsAny, arg1, arg2 } =
        expression.expr_kind()
    else {
        return None;
    };
    let path = path(arg1).filter(|path| path.last().is_some_and(|name| name == "labels"))?;
    let below = |label: SmolStr| path.iter().cloned().chain([label]).collect();
    Some(texts(arg2)?.into_iter().map(below).collect())
}

fn texts(expression: &Expr) -> Option<Vec<SmolStr>> {
    match expression.expr_kind() {
        ExprKind::Lit(Literal::String(text)) => Some(vec![text.clone()]),
        ExprKind::Set(members) => members.iter().map(texts).collect::<Option<Vec<_>>>().map(|texts| texts.concat()),
        _ => None,
    }
}
