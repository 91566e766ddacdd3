//! Forbids that do not tell the caller why.

use super::policy::{LintedPolicies, LintedPolicy};
use crate::problem::Problem;

pub(super) fn find(policies: &LintedPolicies<'_>) -> Vec<Problem> {
    policies.forbids().filter(|forbid| forbid.parsed.reason.is_none()).filter_map(finding).collect()
}

fn finding(forbid: &LintedPolicy<'_>) -> Option<Problem> {
    let message = format!("`{}` does not tell whom it stops why", forbid.id());
    let help = "write `@reason(\"…\")`: what is forbidden, and what to do instead";
    forbid.finding("reason_missing", message, help)
}
