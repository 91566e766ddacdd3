//! Only the policies that determined an outcome do anything, and what an allow must leave behind is there or it is none.

use chaperone_policy::{
    Alert, Amount, Authority, Decision, Effect, EntityRef, Failure, Level, Outcome, Reason, Severity, Value,
};

use crate::fixture::*;

fn spends(policies: &str, usd: &str, more: &[(&str, Value)]) -> Decision {
    let bundle = bundle(policies);
    decide_in(&bundle, &chain([root()]), &spend(&bundle, usd, more))
}

fn failure(decision: &Decision) -> (Outcome, Reason, Vec<(&str, Option<Failure>)>) {
    let policies = decision.policies.iter().map(|policy| (policy.id.as_str(), policy.failure));
    (decision.outcome, decision.reason, policies.collect())
}

fn alert(name: &str, policy: &str) -> Effect {
    Effect::Alert(Alert { name: name.into(), severity: Severity::High, policy: policy.into() })
}

#[test]
fn every_permit_of_an_allow_fires_in_the_order_of_ids() {
    let policies = "@id(\"b\") @label(\"b\") permit (principal, action, resource is Document);\n\
        @id(\"a\") @label(\"a\") @count(\"n\") permit (principal, action == Action::\"spend\", resource);\n\
        @id(\"c\") @label(\"c\") permit (principal, action == Action::\"spend\", resource) when { context.request.items > 5 };\n\
        @id(\"d\") @label(\"d\") forbid (principal, action == Action::\"spend\", resource) when { context.request.items > 5 };\n";
    let decision = spends(policies, "1.0", &[]);
    assert_eq!(decision.outcome, Outcome::Allow);
    let expected =
        [counted(Level::Session, "n", Amount::Whole(1)), labelled(Level::Session, "a"), labelled(Level::Session, "b")];
    assert_eq!(decision.effects, expected);
}

#[test]
fn permit_beside_a_forbid_does_nothing() {
    let policies = format!(
        "{}@id(\"no\") @label(\"no\") forbid (principal, action == Action::\"spend\", resource);",
        SPEND.replace("permit", "@label(\"yes\") permit")
    );
    let decision = spends(&policies, "1.0", &[]);
    assert_eq!((decision.outcome, decision.effects), (Outcome::Deny, vec![labelled(Level::Session, "no")]));
}

#[test]
fn built_in_denial_does_nothing() {
    let bundle = bundle("@id(\"a\") @label(\"a\") @observe(\"any\") permit (principal, action, resource);");
    let ended = crate::common::ended(root(), chaperone_policy::EndingAct::Revoked, "");
    let decision = decide_in(&bundle, &chain([ended]), &read(&bundle));
    assert_eq!((decision.reason, decision.effects), (Reason::SessionRevoked, vec![]));
}

#[test]
fn amount_is_taken_from_a_nested_attribute_or_denies() {
    let policies = SPEND.replace("permit", "@count(\"fees += context.request.to.fee\") permit");
    let to = |fee: Option<i64>| {
        let fee = fee.map(|fee| ("fee".into(), Value::Long(fee)));
        let account = ("account".into(), Value::String("acme".into()));
        [("to", Value::Record([account].into_iter().chain(fee).collect()))]
    };
    assert_eq!(spends(&policies, "1.0", &to(Some(7))).effects, [counted(Level::Session, "fees", Amount::Whole(7))]);
    assert_eq!(spends(&policies, "1.0", &to(Some(0))).effects, [counted(Level::Session, "fees", Amount::Whole(0))]);
    let missing = spends(&policies, "1.0", &to(None));
    assert_eq!(
        failure(&missing),
        (Outcome::Deny, Reason::PolicyError, vec![("spend", Some(Failure::AttributeMissing))])
    );
    assert_eq!(missing.effects, []);
    let negative = spends(&policies, "1.0", &to(Some(-1)));
    assert_eq!(
        failure(&negative),
        (Outcome::Deny, Reason::PolicyError, vec![("spend", Some(Failure::NegativeAmount))])
    );
    assert_eq!(negative.effects, []);
}

#[test]
fn missing_optional_attribute_and_negative_decimal_deny() {
    let policies = SPEND.replace("permit", "@count(\"tips += context.request.tip\") @label(\"tipped\") permit");
    let tip = |tip: &str| [("tip", Value::Decimal(tip.into()))];
    let expected = [counted(Level::Session, "tips", Amount::Decimal(5_000)), labelled(Level::Session, "tipped")];
    assert_eq!(spends(&policies, "1.0", &tip("0.5")).effects, expected);
    let reason = |more: &[(&str, Value)]| spends(&policies, "1.0", more).policies[0].failure;
    assert_eq!(reason(&[]), Some(Failure::AttributeMissing));
    assert_eq!(reason(&tip("-0.0001")), Some(Failure::NegativeAmount));
}

#[test]
fn number_that_is_written_out_suits_a_decimal_counter() {
    let policies = format!(
        "{}@id(\"fee\") @observe @count(\"usd/24h += 3\") permit (principal, action == Action::\"spend\", resource);\n\
        @id(\"stop\") forbid (principal, action, resource is Document) when {{ context has session && \
        context.session.counts[\"usd/24h\"].greaterThan(decimal(\"5.0\")) }};",
        SPEND.replace("permit", "@count(\"usd/24h += context.request.usd\") permit")
    );
    let decision = spends(&policies, "2.5", &[]);
    let usd = |amount| counted(Level::Session, "usd/24h", Amount::Decimal(amount));
    assert_eq!(decision.effects, [usd(25_000), usd(30_000)]);
    let bundle = bundle(&policies);
    let mut session = chain([root()]);
    assert_eq!(act(&bundle, &mut session, &spend(&bundle, "2.5", &[]), at(60)).reason, Reason::Permitted);
    assert_eq!(act(&bundle, &mut session, &spend(&bundle, "2.5", &[]), at(61)).reason, Reason::Forbidden);
}

#[test]
fn denial_keeps_what_can_be_had_of_its_effects() {
    // What the caller leaves out must not save it from what stands beside.
    let policies = format!(
        "{SPEND}@id(\"no\") @alert(\"odd:high\") @count(\"tips += context.request.tip\") @label(\"odd\") @revoke(\"tree\")\n\
        forbid (principal, action == Action::\"spend\", resource);\n\
        @id(\"see\") @observe(\"deny\") @count(\"tips += context.request.tip, denials\") permit (principal, action == Action::\"spend\", resource);"
    );
    let decision = spends(&policies, "1.0", &[]);
    assert_eq!(failure(&decision), (Outcome::Deny, Reason::Forbidden, vec![("no", None)]));
    let revoke = Effect::Revoke { level: Level::Tree, policy: "no".into() };
    let expected = [
        alert("odd", "no"),
        labelled(Level::Session, "odd"),
        revoke,
        counted(Level::Session, "denials", Amount::Whole(1)),
    ];
    assert_eq!(decision.effects, expected);
}

#[test]
fn peer_without_session_has_no_memory() {
    let workload = EntityRef::new("Chaperone::Workload", "spiffe://example.com/job");
    let of = |annotation: &str, effect: &str| {
        let bundle = bundle(&format!(
            "@id(\"a\") {annotation} {effect} (principal, action == Action::\"read\", resource is Document);"
        ));
        decide_for(&bundle, Authority::Principal(&workload), &read(&bundle), at(0))
    };
    let no_session = (Outcome::Deny, Reason::PolicyError, vec![("a", Some(Failure::NoSession))]);
    for annotation in ["@label(\"a\")", "@count(\"principal:a\")", "@remember(\"a = resource\")", "@risk(\"+1\")"] {
        assert_eq!(failure(&of(annotation, "permit")), no_session, "{annotation}");
        // A denial stays what it is.
        let denied = of(&format!("{annotation} @alert(\"odd:high\")"), "forbid");
        assert_eq!((denied.reason, denied.effects), (Reason::Forbidden, vec![alert("odd", "a")]));
    }
    let told = of("@alert(\"odd:high\")", "permit");
    assert_eq!((told.outcome, told.effects), (Outcome::Allow, vec![alert("odd", "a")]));
}
