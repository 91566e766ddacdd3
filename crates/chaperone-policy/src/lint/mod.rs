//! What is valid in a bundle, and hardly meant: for its author, not for decisions.
//!
//! A finding claims no more than is certain of the bundle itself, whatever entities are stored and whatever is asked. What it cannot see
//! it passes over: scopes of sessions read memories too, and labels also come with sessions when they are opened.

mod actions;
mod allowed;
mod broad;
mod memories;
mod policy;
mod reads;
mod reasons;
mod shadowed;
mod unreachable;

use self::allowed::Allowed;
use self::policy::LintedPolicies;
use crate::bundle::Bundle;
use crate::diagnostics::{File, PROBLEMS_MAX};
use crate::problem::Problem;
use crate::schema;
use crate::source::BundleSource;

/// One kind of finding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lint {
    /// A stable code, such as `policy_unreachable`.
    pub code: &'static str,
    /// What it finds, one sentence.
    pub summary: &'static str,
}

/// Every kind of finding, by its code.
pub const LINTS: [Lint; 12] = [
    Lint { code: "action_unpermitted", summary: "An action of the schema that no policy can permit." },
    Lint { code: "counter_unread", summary: "A counter that no policy of the bundle reads." },
    Lint { code: "label_unread", summary: "A label that no policy of the bundle reads." },
    Lint { code: "lint_unknown", summary: "A code that is to be passed over, and that no finding has." },
    Lint { code: "permit_broad", summary: "A permit of everything to everybody." },
    Lint { code: "permit_shadowed", summary: "A permit of nothing but what is forbidden." },
    Lint { code: "policy_confusable", summary: "Text that looks like other text, or hides its direction." },
    Lint { code: "policy_repeated", summary: "A policy that says and does what another one does." },
    Lint { code: "policy_unreachable", summary: "A policy that applies to no request." },
    Lint { code: "reason_missing", summary: "A forbid that does not tell the caller why." },
    Lint { code: "risk_unread", summary: "Risk that no policy of the bundle reads." },
    Lint { code: "set_unread", summary: "A remembered set that no policy of the bundle reads." },
];

/// Looks for what is valid and hardly meant, except for what the bundle says is.
///
/// # Errors
/// With the problems of a bundle that is not valid.
pub fn lint(source: &BundleSource) -> Result<Vec<Problem>, Vec<Problem>> {
    let bundle = Bundle::compile(source)?;
    let allowed = Allowed::of(bundle.manifest());
    let policies = LintedPolicies::read(source, bundle.schema());
    let schema = source.files.get(schema::PATH).map(String::as_str).unwrap_or_default();
    let mut findings = allowed.unknown(source);
    findings.extend(policies.iter().flat_map(allowed::unknown));
    findings.extend(unreachable::find(&policies, bundle.schema()));
    findings.extend(shadowed::find(&policies, bundle.schema()));
    findings.extend(broad::find(&policies));
    findings.extend(reasons::find(&policies));
    findings.extend(memories::find(&policies));
    findings.extend(actions::find(&policies, bundle.schema(), File { path: schema::PATH, text: schema }));
    findings.retain(|finding| !allowed.has(finding.code));
    findings.sort();
    findings.dedup();
    findings.truncate(PROBLEMS_MAX);
    Ok(findings)
}

#[cfg(test)]
mod tests;
