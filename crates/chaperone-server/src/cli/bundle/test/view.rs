//! Results of tests, shown.

use std::fmt::Write as _;

use chaperone_api::chaperone::v1::Problem;
use chaperone_policy::PolicyCoverage;
use serde::Serialize;

use super::coverage::CoverageJson;
use crate::bundle_tests::{Case, Tested};
use crate::cli::findings::Severity;
use crate::cli::output::{BAD, DIM, GOOD, paint, plain};
use crate::cli::problems::{self, ProblemJson, from_local};
use crate::count_text::count_text;

/// Results in JSON output.
#[derive(Debug, Serialize)]
pub struct TestedJson<'a> {
    passed: bool,
    passed_count: usize,
    failed_count: usize,
    tests: Vec<CaseJson<'a>>,
    problems: Vec<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<CoverageJson<'a>>,
}

#[derive(Debug, Serialize)]
struct CaseJson<'a> {
    file: &'a str,
    name: &'a str,
    line: u32,
    step_count: usize,
    passed: bool,
    problems: Vec<serde_json::Value>,
}

impl<'a> TestedJson<'a> {
    /// Of results, and of what they met where that was noted.
    pub fn new(tested: &'a Tested, policies: Option<&'a [PolicyCoverage]>) -> Self {
        let failed_count = tested.failed();
        Self {
            passed: tested.passed(),
            passed_count: tested.cases.len() - failed_count,
            failed_count,
            tests: tested.cases.iter().map(CaseJson::from).collect(),
            problems: in_json(&tested.problems),
            coverage: policies.map(CoverageJson::new),
        }
    }
}

impl<'a> From<&'a Case> for CaseJson<'a> {
    fn from(case: &'a Case) -> Self {
        let Case { file, name, line, steps, problems } = case;
        let passed = problems.is_empty();
        Self { file, name, line: *line, step_count: *steps, passed, problems: in_json(problems) }
    }
}

fn in_json(problems: &[chaperone_policy::Problem]) -> Vec<serde_json::Value> {
    let shown = problems.iter().cloned().map(from_local);
    shown.filter_map(|problem| serde_json::to_value(ProblemJson::from(&problem)).ok()).collect()
}

/// What is wrong with its place, then a line for each file, and one for all.
pub fn render(tested: &Tested, place: &str) -> String {
    let problems = tested.problems.iter().chain(tested.cases.iter().flat_map(|case| &case.problems));
    let problems: Vec<Problem> = problems.cloned().map(from_local).collect();
    let mut out = problems::render_all(&problems, place, Severity::Error);
    for file in tested.cases.chunk_by(|a, b| a.file == b.file) {
        let failed = file.iter().filter(|case| !case.problems.is_empty()).count();
        let name = file.first().map(|case| plain(&case.file)).unwrap_or_default();
        let (mark, counted) = match failed {
            0 => (paint(GOOD, "ok  "), tests(file.len())),
            _ => (paint(BAD, "FAIL"), format!("{failed} of {}", tests(file.len()))),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{mark}  {name}  {}", paint(DIM, &counted));
    }
    let (all, failed) = (tested.cases.len(), tested.failed());
    let summary = format!("{} passed, {failed} failed", all - failed);
    let style = if tested.passed() { GOOD } else { BAD };
    let incomplete = if tested.problems.is_empty() { "" } else { "; not all could be run" };
    let _ = writeln!(out, "{}{incomplete}", paint(style, &summary));
    out
}

fn tests(count: usize) -> String {
    count_text(count, "test", "tests")
}
