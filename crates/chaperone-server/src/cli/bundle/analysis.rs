//! What `chaperone bundle diff --analyze` proves, told.

use std::fmt::Write as _;
use std::path::PathBuf;

use chaperone_analysis::{Analysis, Comparison, Example, Finding, Limits, Solver, Verdict, analyze};
use chaperone_policy::{BundleSource, DiffError};
use clap::Args;
use serde::Serialize;

use crate::cli::output::{self, BAD, DIM, GOOD, STRONG, WARN, paint};

/// Whether, and by what.
#[derive(Clone, Debug, Args)]
pub struct AnalysisOptions {
    /// Prove for each action whether B can allow what A does not. Needs cvc5
    #[arg(long)]
    pub analyze: bool,
    /// The solver: cvc5, which is looked for in PATH unless this names it
    #[arg(long, env = "CHAPERONE_ANALYSIS_SOLVER", value_name = "PATH")]
    analysis_solver: Option<PathBuf>,
}

/// What was proven, in JSON output.
#[derive(Debug, Serialize)]
pub struct AnalysisJson {
    available: bool,
    /// Why there is no analysis.
    problem: Option<String>,
    no_wider: bool,
    wider: bool,
    findings: Vec<FindingJson>,
    uncovered: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct FindingJson {
    action: String,
    principal_type: String,
    resource_type: String,
    verdict: &'static str,
    example: Option<Example>,
    reason: Option<String>,
}

impl AnalysisOptions {
    /// Analyses two bundles; or says why it cannot.
    ///
    /// # Errors
    /// With a text, where there is no solver.
    pub async fn run(&self, before: BundleSource, after: BundleSource) -> Result<Analysis, String> {
        let path = self.analysis_solver.clone();
        let analysis = tokio::task::spawn_blocking(move || {
            let solver = Solver::find(path.as_deref()).map_err(|error| {
                format!("the analysis is not available: {error}; install cvc5, or compare decisions of the past with `chaperone bundle replay`")
            })?;
            let comparison = Comparison::between(&before, &after).map_err(|error| {
                let (DiffError::Before(problems) | DiffError::After(problems)) = error;
                let problem = problems.first().map(|problem| format!("{}: {}", problem.file, problem.message));
                format!("the analysis needs two valid bundles: {}", problem.unwrap_or_default())
            })?;
            Ok(analyze(&comparison, &solver, Limits::default()))
        });
        analysis.await.unwrap_or_else(|_| Err("the analysis failed".to_owned()))
    }
}

impl From<&Result<Analysis, String>> for AnalysisJson {
    fn from(analysis: &Result<Analysis, String>) -> Self {
        let found = analysis.as_ref().ok();
        Self {
            available: found.is_some(),
            problem: analysis.as_ref().err().cloned(),
            no_wider: found.is_some_and(Analysis::is_no_wider),
            wider: found.is_some_and(Analysis::is_wider),
            findings: found.into_iter().flat_map(|found| &found.findings).map(FindingJson::from).collect(),
            uncovered: found.into_iter().flat_map(|found| &found.uncovered).map(|part| part.as_str()).collect(),
        }
    }
}

impl From<&Finding> for FindingJson {
    fn from(finding: &Finding) -> Self {
        let (example, reason) = match &finding.verdict {
            Verdict::NoMore => (None, None),
            Verdict::More(example) | Verdict::MoreWithApproval(example) => (Some((**example).clone()), None),
            Verdict::Unknown(reason) => (None, Some(reason.clone())),
        };
        Self {
            action: finding.action.clone(),
            principal_type: finding.principal.clone(),
            resource_type: finding.resource.clone(),
            verdict: finding.verdict.as_str(),
            example,
            reason,
        }
    }
}

/// As text: what was proven of all, then each kind of request of which more is allowed, or nothing is known.
pub fn shown(analysis: &Analysis) -> String {
    let summary = if analysis.is_wider() {
        paint(BAD, "PRIVILEGE EXPANSION: B can allow what A does not")
    } else if analysis.is_no_wider() {
        paint(GOOD, "proven: B allows nothing that A does not")
    } else {
        paint(WARN, "not known: B may allow what A does not")
    };
    let proven = analysis.findings.iter().filter(|finding| finding.verdict == Verdict::NoMore).count();
    let count = format!("{proven} of {} kinds of requests are proven to be allowed no more", analysis.findings.len());
    let mut text = format!("{}\n{}\n", summary, paint(DIM, &count));
    analysis.findings.iter().for_each(|finding| text.push_str(&found(finding)));
    for part in &analysis.uncovered {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {part} differs, and no proof is about that", paint(WARN, "not known:"));
    }
    text
}

fn found(finding: &Finding) -> String {
    let Finding { action, principal, resource, verdict } = finding;
    let request = paint(STRONG, &output::plain(&format!("{action} by {principal} on {resource}")));
    let lines = |example: &Example| {
        example.to_string().lines().fold(String::new(), |mut told, line| {
            let _ = writeln!(told, "    {}", output::plain(line));
            told
        })
    };
    match verdict {
        Verdict::NoMore => String::new(),
        Verdict::More(example) => format!("{} {request}\n{}", paint(BAD, "more:"), lines(example)),
        Verdict::MoreWithApproval(example) => {
            format!("{} {request}\n{}", paint(BAD, "more, once approved:"), lines(example))
        }
        Verdict::Unknown(reason) => format!("{} {request}: {}\n", paint(WARN, "not known:"), output::plain(reason)),
    }
}
