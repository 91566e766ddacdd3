//! Actions of the bundle's schema that no policy can permit.

use std::collections::BTreeSet;

use super::policy::LintedPolicies;
use crate::compiled::Condition;
use crate::diagnostics::File;
use crate::problem::Problem;
use crate::schema::{self, Action, CompiledSchema};

pub(super) fn find(policies: &LintedPolicies<'_>, schema: &CompiledSchema, file: File<'_>) -> Vec<Problem> {
    let permits = policies.permits().filter(|permit| permit.condition != Condition::Never);
    let permitted: BTreeSet<_> = permits
        .flat_map(|permit| permit.environments(schema))
        .map(|environment| environment.action.name.name().clone())
        .collect();
    let is_own = |action: &&Action| action.name.name().kind != schema::SUPPLIED_ACTION;
    let unpermitted = schema.actions().filter(is_own).filter(|action| !permitted.contains(action.name.name()));
    unpermitted.map(|action| finding(file, &action.name.name().id)).collect()
}

fn finding(file: File<'_>, id: &str) -> Problem {
    let message = format!("no policy can permit the action `{id}`: whoever asks for it is denied");
    let problem = match schema::find_after(file.text, "action", id) {
        Some(offset) => file.problem(offset, id.len(), "action_unpermitted", message),
        None => Problem::of_file(file.path, "action_unpermitted", message),
    };
    problem.with_help("write a permit for it, or take it out of the schema")
}
