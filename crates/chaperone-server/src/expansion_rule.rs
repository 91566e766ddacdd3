//! What is asked of a bundle that can allow more than the active one: that somebody says that it may.

use chaperone_analysis::{Analysis, Verdict};
use chaperone_store::StoredBundle;

use crate::admin::AdminError;
use crate::analyzer::Analyzer;

/// What the trail says where it was asked for.
const ALLOWED: &str = "expansion allowed";
/// How many kinds of requests a refusal names.
const NAMED_MAX: usize = 3;

/// The rule, with who finds out.
#[derive(Clone, Debug)]
pub struct ExpansionRule {
    analyzer: Analyzer,
}

impl ExpansionRule {
    /// By what this finds out.
    pub fn new(analyzer: Analyzer) -> Self {
        Self { analyzer }
    }

    /// Checks that a bundle allows nothing that the active one does not, or may. Returns what the trail says of it, which may be nothing.
    ///
    /// # Errors
    /// Where it can allow more, or that cannot be decided, and `is_allowed` is false.
    pub async fn check(
        &self,
        active: &StoredBundle,
        candidate: &StoredBundle,
        is_allowed: bool,
    ) -> Result<&'static str, AdminError> {
        let found = self.analyzer.analysis(active.source.clone(), candidate.source.clone()).await;
        if found.as_ref().is_ok_and(Analysis::is_no_wider) {
            return Ok("");
        }
        if is_allowed {
            return Ok(ALLOWED);
        }
        let (number, active) = (candidate.info.number, active.info.number);
        let what = found.map_or_else(
            |why| format!("it cannot be decided what bundle {number} allows: {why}"),
            |found| told(&found),
        );
        let message = format!(
            "{what}; see `chaperone bundle diff {active} {number} --analyze`, and go ahead with --allow-expansion"
        );
        Err(AdminError::precondition("privilege_expansion", message))
    }
}

fn told(found: &Analysis) -> String {
    let named = |is_such: fn(&Verdict) -> bool| {
        let such: Vec<_> = found.findings.iter().filter(|finding| is_such(&finding.verdict)).collect();
        let names = such.iter().take(NAMED_MAX).map(|finding| format!("{} on {}", finding.action, finding.resource));
        let names = names.collect::<Vec<_>>().join(", ");
        if such.len() > NAMED_MAX { format!("{names} and {} more", such.len() - NAMED_MAX) } else { names }
    };
    let wider = named(|verdict| matches!(verdict, Verdict::More(_) | Verdict::MoreWithApproval(_)));
    if !wider.is_empty() {
        return format!("it can allow what the active bundle does not: {wider}");
    }
    let unknown = named(|verdict| matches!(verdict, Verdict::Unknown(_)));
    if !unknown.is_empty() {
        return format!("it cannot be decided whether it allows more than the active bundle: {unknown}");
    }
    let parts = found.uncovered.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("it differs from the active bundle in what no proof is about: {parts}")
}
