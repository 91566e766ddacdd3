//! Policies, by their ids, in the form that Cedar's formatter gives them.

use cedar_policy_core::parser::parse_policy_or_template_to_est;
use cedar_policy_formatter::{Config, policies_str_to_pretty};

use super::{DiffPart, Parts};
use crate::diagnostics::File;
use crate::policy_set::ParsedPolicy;
use crate::policy_text::PolicyFiles;
use crate::problem::Problem;
use crate::source::BundleSource;

pub(super) fn parts(source: &BundleSource) -> Result<Parts, Vec<Problem>> {
    let mut files = PolicyFiles::default();
    for (path, text) in source.files.iter().filter(|(path, _)| path.starts_with("policies/")) {
        files.add(File { path, text });
    }
    let (policies, problems) = files.into_parts();
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(policies.into_iter().map(|policy| ((DiffPart::Policy, policy.id.to_string()), canonical(&policy))).collect())
}

/// The policy without its comments, its annotations in order, and indented as Cedar does.
fn canonical(policy: &ParsedPolicy) -> String {
    let written = policy.core.loc().and_then(|loc| loc.snippet());
    // What Cedar makes of a policy says the same in other words than its author's; it stands where there are no others.
    let text = match written.and_then(|text| parse_policy_or_template_to_est(text).ok()) {
        Some(parsed) => parsed.to_string(),
        None => policy.core.to_string(),
    };
    let formatted = policies_str_to_pretty(&text, &Config::default()).unwrap_or(text);
    format!("{}\n", formatted.trim_end())
}
