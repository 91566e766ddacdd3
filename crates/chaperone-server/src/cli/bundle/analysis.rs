//! What `chaperone bundle diff --analyze` proves, told.

use std::fmt::Write as _;
use std::path::PathBuf;

use chaperone_analysis::{Analysis, Example, Finding, Limits, Uncovered, Verdict};
use chaperone_api::chaperone::v1 as api;
use chaperone_api::chaperone::v1::analysis::{Conclusion, Uncovered as ApiUncovered};
use chaperone_api::chaperone::v1::analysis_finding::Verdict as ApiVerdict;
use chaperone_policy::BundleSource;
use clap::Args;
use serde::Serialize;

use crate::analyzer::{Analyzer, NoAnalysis};
use crate::cli::output::{self, BAD, DIM, GOOD, STRONG, WARN, paint};

/// Whether, and by what.
#[derive(Clone, Debug, Args)]
pub struct AnalysisOptions {
    /// Prove for each action whether B can allow what A does not. Needs cvc5, on the server where both are stored there, or here
    #[arg(long)]
    pub analyze: bool,
    /// Analyze here in any case, with this cvc5. Without it, the one in PATH is asked here where the server's is not
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
    /// Whether a server is asked for it where it has both bundles.
    pub const fn is_left_to_server(&self) -> bool {
        self.analyze && self.analysis_solver.is_none()
    }

    /// Analyzes two bundles here; or says why it cannot.
    ///
    /// # Errors
    /// With a text, where there is no solver.
    pub async fn run(&self, before: BundleSource, after: BundleSource) -> Result<Analysis, String> {
        let analyzer = Analyzer::new(self.analysis_solver.clone(), Limits::default());
        let analysis = analyzer.analysis(before, after).await;
        analysis.map_err(|why| match why {
            NoAnalysis::NoSolver(_) => format!(
                "the analysis is not available: {why}; install cvc5, or compare decisions of the past with `chaperone bundle replay`"
            ),
            NoAnalysis::Invalid(_) | NoAnalysis::Busy | NoAnalysis::Failed => why.to_string(),
        })
    }
}

/// What a server found.
///
/// # Errors
/// With a text, where it did not, or tells what this command does not know.
pub fn of_api(told: Option<api::Analysis>) -> Result<Analysis, String> {
    let told = told.ok_or("it is of a version that makes none")?;
    if told.conclusion() == Conclusion::Unavailable {
        return Err(told.problem);
    }
    let uncovered = told.uncovered().map(uncovered).collect::<Result<_, _>>()?;
    let findings = told.findings.into_iter().map(finding).collect::<Result<_, _>>()?;
    Ok(Analysis { findings, uncovered })
}

fn finding(told: api::AnalysisFinding) -> Result<Finding, String> {
    let verdict = match (told.verdict(), told.example) {
        (ApiVerdict::NoMore, _) => Verdict::NoMore,
        (ApiVerdict::More, Some(told)) => Verdict::More(Box::new(example(told)?)),
        (ApiVerdict::MoreWithApproval, Some(told)) => Verdict::MoreWithApproval(Box::new(example(told)?)),
        (ApiVerdict::Unknown, _) => Verdict::Unknown(told.reason),
        (ApiVerdict::Unspecified, _) | (ApiVerdict::More | ApiVerdict::MoreWithApproval, None) => return Err(strange()),
    };
    Ok(Finding { action: told.action, principal: told.principal_type, resource: told.resource_type, verdict })
}

fn example(told: api::AnalysisExample) -> Result<Example, String> {
    let json = |text: &str| serde_json::from_str(text).map_err(|_| strange());
    let (context, entities) = (json(&told.context)?, json(&told.entities)?);
    Ok(Example { principal: told.principal, action: told.action, resource: told.resource, context, entities })
}

fn uncovered(told: ApiUncovered) -> Result<Uncovered, String> {
    Ok(match told {
        ApiUncovered::Mapping => Uncovered::Mapping,
        ApiUncovered::Entities => Uncovered::Entities,
        ApiUncovered::Memory => Uncovered::Memory,
        ApiUncovered::StepUps => Uncovered::StepUps,
        ApiUncovered::Risk => Uncovered::Risk,
        ApiUncovered::Unspecified => return Err(strange()),
    })
}

fn strange() -> String {
    "it tells what this command does not know".to_owned()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::grpc::analysis::analysis_to_api;

    fn finding(verdict: Verdict) -> Finding {
        let [action, principal, resource] = ["Action::\"read\"", "Agent", "Document"].map(str::to_owned);
        Finding { action, principal, resource, verdict }
    }

    #[test]
    fn what_a_server_found_is_what_it_told() {
        let example = Example {
            principal: "Agent::\"a\"".to_owned(),
            action: "Action::\"read\"".to_owned(),
            resource: "Document::\"b\"".to_owned(),
            context: json!({ "request": { "rows": 7 } }),
            entities: json!([{ "uid": { "type": "Agent", "id": "a" }, "attrs": { "level": i64::MAX }, "parents": [] }]),
        };
        let found = Analysis {
            findings: vec![
                finding(Verdict::NoMore),
                finding(Verdict::More(Box::new(example.clone()))),
                finding(Verdict::MoreWithApproval(Box::new(example))),
                finding(Verdict::Unknown("the solver took too long".to_owned())),
            ],
            uncovered: vec![
                Uncovered::Mapping,
                Uncovered::Entities,
                Uncovered::Memory,
                Uncovered::StepUps,
                Uncovered::Risk,
            ],
        };
        let told = analysis_to_api(&Ok(found.clone()));
        assert_eq!(told.conclusion(), Conclusion::Wider);
        assert_eq!(of_api(Some(told)), Ok(found));
    }

    #[test]
    fn conclusion_is_only_a_proof_where_everything_is_proven() {
        let conclusion = |findings, uncovered| analysis_to_api(&Ok(Analysis { findings, uncovered })).conclusion();
        let unknown = || finding(Verdict::Unknown(String::new()));
        assert_eq!(conclusion(vec![finding(Verdict::NoMore)], Vec::new()), Conclusion::NoWider);
        assert_eq!(conclusion(vec![finding(Verdict::NoMore), unknown()], Vec::new()), Conclusion::Unknown);
        assert_eq!(conclusion(vec![finding(Verdict::NoMore)], vec![Uncovered::Risk]), Conclusion::Unknown);
    }

    #[test]
    fn server_without_an_analysis_says_why() {
        let told = analysis_to_api(&Err(NoAnalysis::Busy));
        assert_eq!(of_api(Some(told)), Err(NoAnalysis::Busy.to_string()));
        assert!(of_api(None).is_err(), "an older one says nothing");
        let newer = api::AnalysisFinding { verdict: 99, ..api::AnalysisFinding::default() };
        assert!(of_api(Some(api::Analysis { findings: vec![newer], ..api::Analysis::default() })).is_err());
    }
}
