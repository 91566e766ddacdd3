//! Permits of nothing but what is forbidden, and policies that stand twice.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{EntityReference, EntityType, PrincipalOrResourceConstraint as Constraint};
use smol_str::SmolStr;

use super::policy::{Environment, LintedPolicies, LintedPolicy};
use crate::compiled::Condition;
use crate::effects::Observes;
use crate::policy_scope::covers;
use crate::policy_text::annotation;
use crate::problem::Problem;
use crate::schema::CompiledSchema;

pub(super) fn find(policies: &LintedPolicies<'_>, schema: &CompiledSchema) -> Vec<Problem> {
    // An approval lifts a step-up, so that a permit under one is not in vain.
    let forbids: Vec<_> = policies.forbids().filter(|policy| policy.parsed.annotations.step_up.is_none()).collect();
    let sees_allows_only =
        |policy: &&LintedPolicy<'_>| matches!(policy.parsed.annotations.observes, None | Some(Observes::Allowed));
    let permits = policies.iter().filter(|policy| policy.is_permit()).filter(sees_allows_only);
    let mut findings: Vec<Problem> = permits.filter_map(|permit| shadowed(permit, &forbids, schema)).collect();
    findings.extend(repeated(policies));
    findings
}

/// A finding where every environment of a permit is forbidden by one of these.
fn shadowed(permit: &LintedPolicy<'_>, forbids: &[&LintedPolicy<'_>], schema: &CompiledSchema) -> Option<Problem> {
    if permit.condition == Condition::Never {
        return None;
    }
    let forbids: Vec<_> = forbids.iter().filter(|forbid| is_implied(&forbid.condition, &permit.condition)).collect();
    let environments = permit.environments(schema);
    let mut by = BTreeSet::new();
    for environment in &environments {
        by.insert(forbids.iter().find(|forbid| forbid.takes(permit, environment))?.id());
    }
    if by.is_empty() {
        return None;
    }
    let by = by.into_iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    let message = format!("`{}` allows nothing: {by} forbids all that it permits", permit.id());
    permit.finding(
        "permit_shadowed",
        message,
        "a forbid wins over every permit: remove the permit, or narrow the forbid",
    )
}

/// Whether a condition holds wherever another one does: all of its parts are parts of that. A part that fails to evaluate denies, too.
fn is_implied(condition: &Condition, by: &Condition) -> bool {
    match (condition, by) {
        (Condition::Always, _) => true,
        (Condition::When(parts), Condition::When(others)) => parts.iter().all(|part| others.contains(part)),
        (Condition::Never | Condition::When(_), _) => false,
    }
}

impl LintedPolicy<'_> {
    /// Whether this policy's scope lets through all that another's does in an environment.
    fn takes(&self, other: &Self, environment: &Environment<'_>) -> bool {
        covers(self.parsed.core.action_constraint(), environment.action)
            && is_wider(&self.principal(), &other.principal(), &environment.principal)
            && is_wider(&self.resource(), &other.resource(), &environment.resource)
    }
}

/// Whether a constraint lets through every entity of a type that another one does. Which entities are in which groups is not asked: that
/// changes at run time.
fn is_wider(wide: &Constraint, narrow: &Constraint, kind: &SmolStr) -> bool {
    let is_kind = |of: &EntityType| of.to_string() == kind.as_str();
    match wide {
        Constraint::Any => true,
        Constraint::Is(of) => is_kind(of),
        Constraint::Eq(entity) => matches!(narrow, Constraint::Eq(other) if other == entity),
        Constraint::In(group) => is_in(narrow, group),
        Constraint::IsIn(of, group) => is_kind(of) && is_in(narrow, group),
    }
}

/// Whether a constraint lets through nothing but this entity and what is in it.
fn is_in(narrow: &Constraint, group: &EntityReference) -> bool {
    match narrow {
        Constraint::In(other) | Constraint::IsIn(_, other) | Constraint::Eq(other) => other == group,
        Constraint::Any | Constraint::Is(_) => false,
    }
}

/// Policies that say and do what one before them does.
fn repeated<'p>(policies: &'p LintedPolicies<'_>) -> impl Iterator<Item = Problem> + 'p {
    policies.iter().enumerate().filter_map(|(place, policy)| {
        let first = policies.iter().take(place).find(|first| is_same(first, policy))?;
        let message = format!("`{}` says and does what `{}` does", policy.id(), first.id());
        policy.finding("policy_repeated", message, "remove one of them; both are evaluated, and named in decisions")
    })
}

/// What a policy remembers it remembers twice where it stands twice, which may be meant.
fn is_same(a: &LintedPolicy<'_>, b: &LintedPolicy<'_>) -> bool {
    a.parsed.core.effect() == b.parsed.core.effect()
        && a.condition == b.condition
        && a.parsed.annotations == b.parsed.annotations
        && a.parsed.annotations.rules.is_empty()
        && reason(a) == reason(b)
        && a.principal() == b.principal()
        && a.resource() == b.resource()
        && a.parsed.core.action_constraint() == b.parsed.core.action_constraint()
}

fn reason<'p>(policy: &'p LintedPolicy<'_>) -> Option<&'p str> {
    annotation(&policy.parsed.core, "reason").map(|reason| reason.val.as_str())
}
