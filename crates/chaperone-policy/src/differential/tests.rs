use std::path::Path;

use super::*;
use crate::bundle::Bundle;
use crate::decide::{Authority, decide};
use crate::decision::{Decision, Failure, Reason};
use crate::effects::Level;
use crate::entities::EntityStore;
use crate::request::{Presenter, Request};
use crate::timestamp::Timestamp;

/// How many decisions are compared in every run of the tests; `cargo xtask differential` compares as many as one likes.
const CASES: u64 = 100_000;

/// Every operator and function of the language, of which generated policies must have some.
const OPERATORS: [&str; 56] = [
    "&&",
    "||",
    "if",
    "Not",
    "Neg",
    "Add",
    "Sub",
    "Mul",
    "Eq",
    "Less",
    "LessEq",
    "In",
    "Contains",
    "ContainsAll",
    "ContainsAny",
    "IsEmpty",
    "GetTag",
    "HasTag",
    "attribute",
    "counter",
    "remembered set",
    "has",
    "has, path",
    "like",
    "is",
    "set",
    "record",
    "principal",
    "action",
    "resource",
    "context",
    "template",
    "ip",
    "isIpv4",
    "isIpv6",
    "isLoopback",
    "isMulticast",
    "isInRange",
    "decimal",
    "lessThan",
    "lessThanOrEqual",
    "greaterThan",
    "greaterThanOrEqual",
    "datetime",
    "duration",
    "offset",
    "durationSince",
    "toDate",
    "toTime",
    "toDays",
    "toHours",
    "toMinutes",
    "toSeconds",
    "toMilliseconds",
    "is",
    "like",
];

/// What decisions must do beside, at every level that it has.
const EFFECTS: [&str; 6] = ["label", "count whole", "count decimal", "remember", "risk", "revoke"];

fn plan(cases: u64, evaluate: Evaluate) -> Plan {
    Plan { cases, seed: 1, threads: std::thread::available_parallelism().map_or(1, usize::from), evaluate }
}

/// Whatever a decision reads is in the texts that records have of it, and means the same there.
#[test]
fn decision_from_its_records_is_the_same() {
    let report =
        run(plan(CASES / 10, recorded::decide_from_records), &|_| ()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.cases, CASES / 10);
}

#[test]
fn compiled_policies_decide_as_cedar_does() {
    let report = run(plan(CASES, decide), &|_| {}).unwrap_or_else(|difference| panic!("{difference}"));
    println!("{report}");
    assert_eq!(report.cases, CASES);
    // What is compared must be worth it: every outcome, every way to fail, every operator where it matters.
    assert!(report.refused * 100 < report.bundles, "{report}\n{:#?}", report.refusal);
    for (reason, percent) in [
        (Reason::Permitted, 10),
        (Reason::Forbidden, 5),
        (Reason::NoPermit, 10),
        (Reason::PolicyError, 5),
        (Reason::OutOfScope, 1),
    ] {
        assert!(report.count(reason) * 100 > CASES * percent, "{reason}: {report}");
    }
    for failure in [Failure::EntityUnknown, Failure::Overflow, Failure::Extension] {
        assert!(report.count_failures(failure) * 1_000 > CASES, "{failure}: {report}");
    }
    for failure in [Failure::NegativeAmount, Failure::NoSession, Failure::AttributeMissing] {
        assert!(report.count_failures(failure) * 2_000 > CASES, "{failure}: {report}");
    }
    for effect in EFFECTS {
        for level in Level::ALL {
            let effect = if effect == "risk" { "risk, session".to_owned() } else { format!("{effect}, {level}") };
            let count = report.effects.get(&effect).copied().unwrap_or_default();
            assert!(count * 1_000 > CASES, "{effect}: {report}");
        }
    }
    for operator in OPERATORS {
        let uses = report.operators.get(operator).copied().unwrap_or_default();
        assert!(uses.policies > 0 && uses.allowed + uses.denied + uses.failed > 0, "{operator}: {report}");
    }
}

/// As `decide`, but wrong: an overflow passes for an unknown entity.
fn decide_wrongly(
    bundle: &Bundle,
    entities: &EntityStore,
    request: &Request,
    authority: Authority<'_>,
    presenter: &Presenter,
    now: Timestamp,
) -> Decision {
    let mut decision = decide(bundle, entities, request, authority, presenter, now);
    for policy in &mut decision.policies {
        if policy.failure == Some(Failure::Overflow) {
            policy.failure = Some(Failure::EntityUnknown);
        }
    }
    decision
}

#[test]
fn small_mistake_is_found_and_shown_on_little() {
    let difference = run(plan(10_000, decide_wrongly), &|_| {}).expect_err("some policy overflows");
    assert!(difference.theirs.policies.iter().any(|policy| policy.failure == Some(Failure::Overflow)));
    assert_ne!(difference.ours, difference.theirs);
    // One policy is enough for it; the others are replaced by one that applies to nothing, or have a condition that never holds.
    let rest = difference.reproduction.replace("Chaperone::Workload::\"none\"", "");
    let is_less = |line: &&str| line.contains("(principal == , action, resource);") || line.contains("when { false };");
    let policies = rest.lines().filter(|line| line.starts_with("permit (") || line.starts_with("forbid ("));
    assert_eq!(policies.filter(|line| !is_less(line)).count(), 1, "{difference}");
}

#[test]
fn equal_seeds_compare_the_same() {
    let report = || run(plan(1_000, decide), &|_| {}).unwrap_or_else(|difference| panic!("{difference}")).to_string();
    assert_eq!(report(), report());
}

#[test]
fn public_corpus_format_is_read_and_decided() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/corpus");
    let report = run_corpus(&root, decide).expect("it can be read");
    assert_eq!(report.differences, Vec::<String>::new());
    assert_eq!((report.files, report.invalid, report.skipped_files.len()), (2, 1, 0), "{report}");
    assert_eq!((report.decided, report.allowed, report.failed, report.skipped_requests), (5, 2, 2, 1), "{report}");
}
