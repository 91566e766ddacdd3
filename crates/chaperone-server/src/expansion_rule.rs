//! What is asked of a bundle that can allow more than the active one: that somebody says that it may.

use std::sync::Arc;
use std::time::Duration;

use chaperone_analysis::{Analysis, Comparison, Limits, Solver, Verdict, analyze};
use chaperone_policy::BundleSource;
use chaperone_store::StoredBundle;
use tokio::sync::Semaphore;

use crate::admin::AdminError;

/// Shorter than callers wait. What is not proven by then is not.
const LIMITS: Limits = Limits { question: Duration::from_secs(5), total: Duration::from_secs(20) };
/// What the trail says where it was asked for.
const ALLOWED: &str = "expansion allowed";
/// How many kinds of requests a refusal names.
const NAMED_MAX: usize = 3;

/// The rule, with the solver that finds out.
#[derive(Clone, Debug)]
pub struct ExpansionRule {
    solver: Solver,
    /// One analysis at a time: a solver takes a whole processor.
    turn: Arc<Semaphore>,
}

impl ExpansionRule {
    /// By this solver.
    pub fn new(solver: Solver) -> Self {
        Self { solver, turn: Arc::new(Semaphore::new(1)) }
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
        let found = self.analysis(active.source.clone(), candidate.source.clone()).await;
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

    async fn analysis(&self, before: BundleSource, after: BundleSource) -> Result<Analysis, String> {
        let failed = || "the analysis failed".to_owned();
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| failed())?;
        let solver = self.solver.clone();
        let analysis = tokio::task::spawn_blocking(move || {
            // Kept until it is done, also where nobody waits for it any more.
            let _turn = turn;
            let comparison = Comparison::between(&before, &after).map_err(|_| "one of the two cannot be read")?;
            Ok(analyze(&comparison, &solver, LIMITS))
        });
        analysis.await.unwrap_or_else(|_| Err(failed()))
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
