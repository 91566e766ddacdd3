//! A solver that never answers. Alone in its process, whose children are looked at.
#![allow(clippy::expect_used, clippy::missing_docs_in_private_items, reason = "tests")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use chaperone_analysis::{Comparison, Limits, Solver, Verdict, analyze};
use chaperone_policy::BundleSource;

const SCHEMA: &str = r"
entity Agent { level: Long };
entity Document;
action read, write appliesTo { principal: Agent, resource: Document, context: { request: {} } };
";

fn bundle(policies: &str) -> BundleSource {
    let files = [("schema.cedarschema", SCHEMA), ("policies/main.cedar", policies)];
    BundleSource { files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into() }
}

/// The processes that this one started, also those that have ended and were not waited for.
fn children() -> Vec<String> {
    let this = std::process::id().to_string();
    let processes = fs::read_dir("/proc").expect("processes are listed").filter_map(Result::ok);
    let states = processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    // Behind the name, which may hold anything, come the state and the parent.
    let parent = |state: &str| state.rsplit(')').next().and_then(|rest| rest.split(' ').nth(2).map(str::to_owned));
    states.filter(|state| parent(state).as_ref() == Some(&this)).collect()
}

#[test]
fn solver_that_never_answers_is_given_up_in_time_and_leaves_no_process() {
    const TOTAL: Duration = Duration::from_secs(1);
    let program = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hanging-cvc5"));
    let solver = Solver::find(Some(program)).expect("it says that it is cvc5");
    // What constants decide, nobody is asked about.
    let [before, after] = [3, 2].map(|level| {
        bundle(&format!(
            "@id(\"all\") permit (principal is Agent, action, resource) when {{ principal.level > {level} }};"
        ))
    });
    let comparison = Comparison::between(&before, &after).expect("both are valid");
    let began = Instant::now();
    let analysis = analyze(&comparison, &solver, Limits { total: TOTAL, ..Limits::default() });
    let took = began.elapsed();
    assert_eq!(children(), Vec::<String>::new(), "every process has ended, and was waited for");
    assert!(took >= TOTAL && took < Duration::from_secs(10), "{took:?}");
    assert!(!analysis.is_no_wider() && !analysis.is_wider(), "{analysis:?}");
    let mut verdicts = analysis.findings.iter().map(|finding| &finding.verdict);
    assert_eq!(verdicts.next(), Some(&Verdict::Unknown("the solver took too long".to_owned())));
    let over = Verdict::Unknown("the analysis took too long as a whole".to_owned());
    assert!(verdicts.len() > 0 && verdicts.all(|verdict| *verdict == over), "{analysis:?}");
}
