//! What is passed over: `[lint] allow` in the manifest for the whole bundle, `@lint_allow` for one policy.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::LINTS;
use super::policy::LintedPolicy;
use crate::diagnostics::File;
use crate::manifest::{self, Manifest};
use crate::policy_text::annotation;
use crate::problem::Problem;
use crate::source::BundleSource;

/// The annotation with codes of findings that a policy is meant to have.
const ANNOTATION: &str = "lint_allow";

/// The codes that are passed over everywhere.
pub(super) struct Allowed<'a>(&'a BTreeSet<SmolStr>);

impl<'a> Allowed<'a> {
    pub(super) fn of(manifest: &'a Manifest) -> Self {
        Self(&manifest.lint.allow)
    }

    pub(super) fn has(&self, code: &str) -> bool {
        self.0.contains(code)
    }

    /// Codes of the manifest that no finding has.
    pub(super) fn unknown(&self, source: &BundleSource) -> Vec<Problem> {
        let text = source.files.get(manifest::PATH).map(String::as_str).unwrap_or_default();
        let file = File { path: manifest::PATH, text };
        let unknown = self.0.iter().filter(|code| !is_known(code));
        let problem = |code: &SmolStr| {
            let quoted = format!("\"{code}\"");
            let problem = match text.find(&quoted) {
                Some(offset) => file.problem(offset, quoted.len(), "lint_unknown", message(code)),
                None => Problem::of_file(manifest::PATH, "lint_unknown", message(code)),
            };
            problem.with_help(help())
        };
        unknown.map(problem).collect()
    }
}

/// The codes that a policy is meant to have.
pub(super) fn codes(policy: &cedar_policy_core::ast::Policy) -> BTreeSet<SmolStr> {
    let text = annotation(policy, ANNOTATION).map(|annotation| annotation.val.as_str()).unwrap_or_default();
    text.split(',').map(str::trim).filter(|code| !code.is_empty()).map(SmolStr::from).collect()
}

/// Codes of a policy that no finding has.
pub(super) fn unknown(policy: &LintedPolicy<'_>) -> Vec<Problem> {
    let unknown = policy.allowed.iter().filter(|code| !is_known(code));
    unknown.filter_map(|code| policy.finding_at(ANNOTATION, "lint_unknown", message(code), help())).collect()
}

fn is_known(code: &str) -> bool {
    LINTS.iter().any(|lint| lint.code == code)
}

fn message(code: &str) -> String {
    format!("no finding has the code `{code}`")
}

fn help() -> String {
    format!("the codes are {}", LINTS.map(|lint| lint.code).join(", "))
}
