//! Coverage: which policies and conditions decisions have met.

#![expect(clippy::expect_used, clippy::panic, reason = "a fixture that cannot be built fails the test")]

mod common;

use std::rc::Rc;

use chaperone_policy::{
    Authority, Bundle, BundleSource, ConditionCoverage, Coverage, PolicyCoverage, Presenter, Request, Trace,
    decide_traced,
};
use common::*;

const POLICIES: &str = r#"@id("reads")
permit (principal, action == Action::"read", resource);

@id("exports")
permit (principal, action == Action::"export", resource)
when { context.request.format == "csv" }
unless { context.session.labels.contains("pii") ||
         context.session.risk > 50 };

@id("no-export")
forbid (principal, action == Action::"export", resource == Document::"2")
when { true }
when { principal has suspended && principal.suspended };

@id("seen") @observe @label("seen") permit (principal, action, resource);
"#;

fn source() -> BundleSource {
    let files = [("schema.cedarschema", SCHEMA), ("policies/main.cedar", POLICIES)];
    BundleSource { files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into() }
}

/// What these requests meet.
fn covered(requests: &[Request]) -> Vec<PolicyCoverage> {
    let bundle = bundle(POLICIES);
    let coverage = Rc::new(Coverage::new(&source(), &bundle).expect("it is the bundle's source"));
    let (chain, entities) = (chain([root()]), entities(&bundle));
    for request in requests {
        let trace = Trace::covering(Rc::clone(&coverage));
        let (authority, presenter) = (Authority::Session(&chain), Presenter::default());
        let decision = decide_traced(&bundle, &entities, request, authority, &presenter, OPENED, &trace);
        coverage.note_decision(&decision);
    }
    coverage.policies()
}

fn policy<'a>(policies: &'a [PolicyCoverage], id: &str) -> &'a PolicyCoverage {
    policies.iter().find(|policy| policy.id == id).unwrap_or_else(|| panic!("no policy {id}"))
}

fn counts(condition: &ConditionCoverage) -> (&str, u64, u64) {
    (condition.keyword, condition.was_true, condition.was_false)
}

#[test]
fn nothing_is_met_before_anything_is_decided() {
    let policies = covered(&[]);
    assert_eq!(
        policies.iter().map(|policy| policy.id.as_str()).collect::<Vec<_>>(),
        ["exports", "no-export", "reads", "seen"]
    );
    assert!(policies.iter().all(|policy| policy.applied == 0 && policy.determined == 0));
}

#[test]
fn conditions_are_told_apart_with_their_places_and_texts() {
    let policies = covered(&[]);
    let exports = policy(&policies, "exports");
    assert_eq!((exports.file.as_str(), exports.line), ("policies/main.cedar", 4));
    let shown: Vec<_> = exports.conditions.iter().map(|c| (c.keyword, c.line, c.text.as_str())).collect();
    assert_eq!(
        shown,
        [
            ("when", 6, "context.request.format == \"csv\""),
            ("unless", 7, "context.session.labels.contains(\"pii\") || context.session.risk > 50"),
        ]
    );
    assert_eq!(policy(&policies, "no-export").conditions.len(), 2);
    assert!(policy(&policies, "reads").conditions.is_empty());
}

#[test]
fn conditions_behind_one_that_does_not_hold_are_not_met() {
    let policies = covered(&[export("1", "csv"), export("1", "pdf"), export("1", "pdf")]);
    let exports = policy(&policies, "exports");
    assert_eq!((exports.applied, exports.determined), (1, 1));
    // What the `unless` says was false, so that it held.
    assert_eq!(exports.conditions.iter().map(counts).collect::<Vec<_>>(), [("when", 1, 2), ("unless", 0, 1)]);
}

#[test]
fn only_policies_whose_scope_fits_are_met() {
    let policies = covered(&[export("1", "csv"), export("2", "csv"), read("1")]);
    let no_export = policy(&policies, "no-export");
    assert_eq!(no_export.conditions.iter().map(counts).collect::<Vec<_>>(), [("when", 1, 0), ("when", 0, 1)]);
    assert_eq!((no_export.applied, no_export.determined), (0, 0));
    assert_eq!((policy(&policies, "reads").applied, policy(&policies, "reads").determined), (1, 1));
    let seen = policy(&policies, "seen");
    assert!(seen.observes);
    assert_eq!((seen.applied, seen.determined), (3, 0));
}

#[test]
fn other_bundles_policies_are_refused() {
    let other: Bundle = bundle("@id(\"other\") permit (principal, action, resource);");
    assert_eq!(Coverage::new(&source(), &other).expect_err("it is another")[0].code, "internal");
}
