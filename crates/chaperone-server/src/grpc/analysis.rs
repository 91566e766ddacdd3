//! What an analysis found, as the API tells it.

use chaperone_analysis::{Analysis, Example, Finding, Uncovered, Verdict};
use chaperone_api::chaperone::v1 as api;
use chaperone_api::chaperone::v1::analysis::{Conclusion, Uncovered as ApiUncovered};
use chaperone_api::chaperone::v1::analysis_finding::Verdict as ApiVerdict;

use crate::analyzer::NoAnalysis;

/// What was found, or why nothing was.
pub fn analysis_to_api(analysis: &Result<Analysis, NoAnalysis>) -> api::Analysis {
    let found = match analysis {
        Ok(found) => found,
        Err(why) => {
            let conclusion = Conclusion::Unavailable.into();
            return api::Analysis { conclusion, problem: why.to_string(), ..api::Analysis::default() };
        }
    };
    let conclusion = if found.is_wider() {
        Conclusion::Wider
    } else if found.is_no_wider() {
        Conclusion::NoWider
    } else {
        Conclusion::Unknown
    };
    api::Analysis {
        conclusion: conclusion.into(),
        problem: String::new(),
        findings: found.findings.iter().map(finding_to_api).collect(),
        uncovered: found.uncovered.iter().map(|part| uncovered_to_api(*part).into()).collect(),
    }
}

fn finding_to_api(finding: &Finding) -> api::AnalysisFinding {
    let (verdict, example, reason) = match &finding.verdict {
        Verdict::NoMore => (ApiVerdict::NoMore, None, None),
        Verdict::More(example) => (ApiVerdict::More, Some(example), None),
        Verdict::MoreWithApproval(example) => (ApiVerdict::MoreWithApproval, Some(example), None),
        Verdict::Unknown(reason) => (ApiVerdict::Unknown, None, Some(reason)),
    };
    api::AnalysisFinding {
        action: finding.action.clone(),
        principal_type: finding.principal.clone(),
        resource_type: finding.resource.clone(),
        verdict: verdict.into(),
        example: example.map(|example| example_to_api(example)),
        reason: reason.cloned().unwrap_or_default(),
    }
}

fn example_to_api(example: &Example) -> api::AnalysisExample {
    api::AnalysisExample {
        principal: example.principal.clone(),
        action: example.action.clone(),
        resource: example.resource.clone(),
        context: example.context.to_string(),
        entities: example.entities.to_string(),
    }
}

const fn uncovered_to_api(part: Uncovered) -> ApiUncovered {
    match part {
        Uncovered::Mapping => ApiUncovered::Mapping,
        Uncovered::Entities => ApiUncovered::Entities,
        Uncovered::Memory => ApiUncovered::Memory,
        Uncovered::StepUps => ApiUncovered::StepUps,
        Uncovered::Risk => ApiUncovered::Risk,
    }
}
