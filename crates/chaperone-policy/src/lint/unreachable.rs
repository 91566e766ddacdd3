//! Policies that apply to no request, and text that is not what it looks like: what Cedar's validator warns of, and what folding finds.

use std::collections::BTreeSet;

use cedar_policy::ValidationWarning;
use cedar_policy_core::validator::ValidationMode;

use super::policy::{LintedPolicies, LintedPolicy};
use crate::compiled::Condition;
use crate::diagnostics::message_of;
use crate::policy_text::{by_place, place_of, unnamed};
use crate::problem::Problem;
use crate::schema::CompiledSchema;

pub(super) fn find(policies: &LintedPolicies<'_>, schema: &CompiledSchema) -> Vec<Problem> {
    let all: Vec<_> = policies.iter().collect();
    let set = by_place(all.iter().map(|policy| &policy.parsed.core));
    let result = schema.validator().validate(&set, ValidationMode::Strict);
    let mut impossible = BTreeSet::new();
    let mut findings = Vec::new();
    for warning in result.validation_warnings() {
        let warning = ValidationWarning::from(warning.clone());
        let Some((place, policy)) = place_of(warning.policy_id()).and_then(|place| Some((place, *all.get(place)?)))
        else {
            continue;
        };
        if matches!(warning, ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_)) {
            impossible.insert(place);
        } else {
            findings.extend(confusable(policy, &warning));
        }
    }
    let is_unreachable =
        |place: usize, policy: &LintedPolicy<'_>| impossible.contains(&place) || policy.condition == Condition::Never;
    let unreachable = all.iter().enumerate().filter(|(place, policy)| is_unreachable(*place, policy));
    findings.extend(unreachable.filter_map(|(_, policy)| {
        let message = format!("`{}` applies to no request that the schema allows", policy.id());
        let help =
            "its scope or its condition holds for none of the principals, actions and resources that belong together";
        policy.finding("policy_unreachable", message, help)
    }));
    findings
}

fn confusable(policy: &LintedPolicy<'_>, warning: &ValidationWarning) -> Option<Problem> {
    let place = policy.file.problem_of(warning, "policy_confusable");
    let help = "write it in one script and without control characters, or as an escape such as `\\u{202e}`";
    let finding = policy.finding("policy_confusable", unnamed(message_of(warning)), help)?;
    Some(if place.line == 0 { finding } else { Problem { message: finding.message, help: finding.help, ..place } })
}
