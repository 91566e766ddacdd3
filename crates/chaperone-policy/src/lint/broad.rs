//! Permits of everything to everybody.

use cedar_policy_core::ast::{ActionConstraint, PrincipalOrResourceConstraint as Constraint};

use super::policy::{LintedPolicies, LintedPolicy};
use crate::compiled::Condition;
use crate::problem::Problem;

pub(super) fn find(policies: &LintedPolicies<'_>) -> Vec<Problem> {
    policies.permits().filter(|permit| is_everything(permit)).filter_map(finding).collect()
}

fn is_everything(permit: &LintedPolicy<'_>) -> bool {
    permit.condition == Condition::Always
        && permit.principal() == Constraint::Any
        && permit.resource() == Constraint::Any
        && *permit.parsed.core.action_constraint() == ActionConstraint::Any
}

fn finding(permit: &LintedPolicy<'_>) -> Option<Problem> {
    let message = format!("`{}` permits every action on every resource to everybody", permit.id());
    let help = "name a type of principal (`principal is Agent`), the actions, or a condition; what no policy permits is denied";
    permit.finding("permit_broad", message, help)
}
