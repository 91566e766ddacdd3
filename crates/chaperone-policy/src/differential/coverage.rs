//! What a run covered: outcomes, failures and operators.

use std::collections::BTreeMap;
use std::fmt;

use cedar_policy_core::ast::{Expr, ExprKind, Policy};

use crate::decision::{Decision, Failure, Outcome, Reason};
use crate::effects::Effect;
use crate::memory::{Amount, Change};
use crate::problem::Problem;

/// What a run covered.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many decisions were compared.
    pub cases: u64,
    /// How many bundles they were made with.
    pub bundles: u64,
    /// How many generated bundles were not valid, and left out.
    pub refused: u64,
    /// What was wrong with the last of them.
    pub refusal: Option<Problem>,
    /// Decisions by their reasons' codes.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Determining policies that failed, by how.
    pub failures: BTreeMap<&'static str, u64>,
    /// What decisions did beside, by kind and level.
    pub effects: BTreeMap<String, u64>,
    /// For each operator and function.
    pub operators: BTreeMap<String, Uses>,
}

/// How much an operator was used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Uses {
    /// In how many policies.
    pub policies: u64,
    /// In how many policies that determined an allow.
    pub allowed: u64,
    /// In how many policies that determined a denial.
    pub denied: u64,
    /// In how many policies that failed.
    pub failed: u64,
}

impl Report {
    /// Counts a bundle's policies, by id with their operators.
    pub(super) fn add_bundle(&mut self, operators: &BTreeMap<String, Vec<String>>) {
        self.bundles += 1;
        for operator in operators.values().flatten() {
            self.operators.entry(operator.clone()).or_default().policies += 1;
        }
    }

    /// Counts a decision.
    pub(super) fn add(&mut self, decision: &Decision, operators: &BTreeMap<String, Vec<String>>) {
        self.cases += 1;
        *self.reasons.entry(decision.reason.code()).or_default() += 1;
        for effect in &decision.effects {
            *self.effects.entry(kind_of(effect)).or_default() += 1;
        }
        for policy in &decision.policies {
            if let Some(failure) = policy.failure {
                *self.failures.entry(failure.as_str()).or_default() += 1;
            }
            for operator in operators.get(policy.id.as_str()).into_iter().flatten() {
                let uses = self.operators.entry(operator.clone()).or_default();
                match (decision.outcome, decision.reason) {
                    (Outcome::Allow, _) => uses.allowed += 1,
                    (_, Reason::PolicyError) => uses.failed += 1,
                    _ => uses.denied += 1,
                }
            }
        }
    }

    /// Adds another part of the same run.
    pub(super) fn merge(&mut self, other: Self) {
        self.cases += other.cases;
        self.bundles += other.bundles;
        self.refused += other.refused;
        self.refusal = other.refusal.or(self.refusal.take());
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
        for (failure, count) in other.failures {
            *self.failures.entry(failure).or_default() += count;
        }
        for (effect, count) in other.effects {
            *self.effects.entry(effect).or_default() += count;
        }
        for (operator, uses) in other.operators {
            let sum = self.operators.entry(operator).or_default();
            sum.policies += uses.policies;
            sum.allowed += uses.allowed;
            sum.denied += uses.denied;
            sum.failed += uses.failed;
        }
    }

    /// How many decisions had this reason.
    pub fn count(&self, reason: Reason) -> u64 {
        self.reasons.get(reason.code()).copied().unwrap_or_default()
    }

    /// How many determining policies failed so.
    pub fn count_failures(&self, failure: Failure) -> u64 {
        self.failures.get(failure.as_str()).copied().unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} cases over {} bundles ({} generated ones were not valid)",
            self.cases, self.bundles, self.refused
        )?;
        for (reason, count) in &self.reasons {
            writeln!(f, "  {reason}: {count}")?;
        }
        writeln!(f, "policies that failed:")?;
        for (failure, count) in &self.failures {
            writeln!(f, "  {failure}: {count}")?;
        }
        writeln!(f, "effects:")?;
        for (effect, count) in &self.effects {
            writeln!(f, "  {effect}: {count}")?;
        }
        writeln!(f, "operators: in policies, and in those that determined an allow, a denial, or that failed")?;
        for (operator, Uses { policies, allowed, denied, failed }) in &self.operators {
            writeln!(f, "  {operator}: {policies}, {allowed}, {denied}, {failed}")?;
        }
        Ok(())
    }
}

fn kind_of(effect: &Effect) -> String {
    match effect {
        Effect::Remember(level, change) => match change {
            Change::Label(_) => format!("label, {level}"),
            Change::Count(_, Amount::Whole(_)) => format!("count whole, {level}"),
            Change::Count(_, Amount::Decimal(_)) => format!("count decimal, {level}"),
            Change::Remember(..) => format!("remember, {level}"),
            Change::Risk(_) => format!("risk, {level}"),
            Change::Release(..) => format!("release, {level}"),
            Change::Grant(..) | Change::UseGrant(_) => format!("approval, {level}"),
        },
        Effect::Await(wait) => format!("waits for {}, {}", wait.on, wait.level),
        Effect::Revoke { level, .. } => format!("revoke, {level}"),
        Effect::Alert(_) => "alert".to_owned(),
    }
}

/// The operators, functions and constraints of a policy, each once.
pub(super) fn operators(policy: &Policy) -> Vec<String> {
    let mut found: Vec<String> = policy.condition().subexpressions().filter_map(operator).collect();
    if !policy.is_static() {
        found.push("template".into());
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn operator(expr: &Expr) -> Option<String> {
    Some(match expr.expr_kind() {
        ExprKind::Lit(_) | ExprKind::Slot(_) | ExprKind::Unknown(_) => return None,
        ExprKind::Var(variable) => variable.to_string(),
        ExprKind::If { .. } => "if".into(),
        ExprKind::And { .. } => "&&".into(),
        ExprKind::Or { .. } => "||".into(),
        ExprKind::UnaryApp { op, .. } => format!("{op:?}"),
        ExprKind::BinaryApp { op, .. } => format!("{op:?}"),
        ExprKind::ExtensionFunctionApp { fn_name, args } if args.len() > 2 => format!("{fn_name}, variadic"),
        ExprKind::ExtensionFunctionApp { fn_name, .. } => fn_name.to_string(),
        ExprKind::GetAttr { expr, .. } => match expr.expr_kind() {
            ExprKind::GetAttr { attr, .. } if attr == "counts" => "counter".into(),
            ExprKind::GetAttr { attr, .. } if attr == "sets" => "remembered set".into(),
            _ => "attribute".into(),
        },
        ExprKind::HasAttr { .. } => "has".into(),
        ExprKind::ExtHasAttr { .. } => "has, path".into(),
        ExprKind::Like { .. } => "like".into(),
        ExprKind::Is { .. } => "is".into(),
        ExprKind::Set(_) => "set".into(),
        ExprKind::Record(_) => "record".into(),
    })
}
