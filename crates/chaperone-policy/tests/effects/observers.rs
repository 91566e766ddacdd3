//! Observers take no part in decisions.

use chaperone_policy::{Failure, Level, Outcome, Reason};

use crate::fixture::*;

const OBSERVED: &str = "@label(\"seen\") permit (principal, action == Action::\"read\", resource);\n";
const NO: &str = "@id(\"no\") forbid (principal, action == Action::\"read\", resource);\n";

#[test]
fn observer_alone_never_permits() {
    for observe in ["@observe", "@observe(\"allow\")", "@observe(\"deny\")", "@observe(\"any\")"] {
        let bundle = bundle(&format!("@id(\"see\") {observe} {OBSERVED}"));
        let decision = decide_in(&bundle, &chain([root()]), &read(&bundle));
        assert_eq!((decision.outcome, decision.reason, decision.policies), (Outcome::Deny, Reason::NoPermit, vec![]));
    }
}

#[test]
fn observer_sees_the_outcomes_that_it_asks_for() {
    for (observe, allows, denials) in
        [("@observe", 1, 0), ("@observe(\"allow\")", 1, 0), ("@observe(\"deny\")", 0, 1), ("@observe(\"any\")", 1, 1)]
    {
        let seen = |policies: &str| {
            let bundle = bundle(&format!("{policies}@id(\"see\") {observe} {OBSERVED}"));
            let decision = decide_in(&bundle, &chain([root()]), &read(&bundle));
            // It is not among those that determined the outcome.
            assert!(decision.policies.iter().all(|policy| policy.id != "see"));
            assert!(decision.effects.iter().all(|effect| *effect == labelled(Level::Session, "seen")));
            (decision.reason, decision.effects.len())
        };
        assert_eq!(seen(READ), (Reason::Permitted, allows), "{observe}");
        assert_eq!(seen(&format!("{READ}{NO}")), (Reason::Forbidden, denials), "{observe}");
        assert_eq!(seen(""), (Reason::NoPermit, denials), "{observe}");
    }
}

#[test]
fn observer_whose_condition_does_not_hold_sees_nothing() {
    let bundle = bundle(&format!(
        "{READ}@id(\"see\") @observe {}",
        OBSERVED.replace(';', "unless { resource == Document::\"1\" };")
    ));
    assert_eq!(decide_in(&bundle, &chain([root()]), &read(&bundle)).effects, []);
}

#[test]
fn observer_that_fails_denies() {
    let failing = OBSERVED.replace(
        "\"read\", resource)",
        "\"spend\", resource) when { context.request.items + 9223372036854775807 > 0 }",
    );
    let bundle = bundle(&format!("{SPEND}@id(\"see\") @observe {failing}"));
    let decision = decide_in(&bundle, &chain([root()]), &spend(&bundle, "1.0", &[]));
    assert_eq!((decision.reason, decision.policies[0].failure), (Reason::PolicyError, Some(Failure::Overflow)));
    assert_eq!(decision.effects, []);
}

#[test]
fn observer_without_what_it_counts_denies_what_it_sees_allowed() {
    let counts = "@count(\"tips += context.request.tip\") permit (principal, action == Action::\"spend\", resource);";
    for (observe, reason) in [("@observe", Reason::PolicyError), ("@observe(\"deny\")", Reason::Permitted)] {
        let bundle = bundle(&format!("{SPEND}@id(\"see\") {observe} {counts}"));
        assert_eq!(decide_in(&bundle, &chain([root()]), &spend(&bundle, "1.0", &[])).reason, reason, "{observe}");
    }
}
