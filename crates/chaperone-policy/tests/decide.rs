//! The built-in rules, what policies see, and what a decision says of itself.

mod common;

use std::time::Duration;

use chaperone_policy::{
    Attributes, Authority, Binding, Bundle, BundleSource, EndingAct, EntityRef, Outcome, Presenter, Reason, Request,
    Scope, Session, Value, decide,
};
use common::*;

const READ: &str = "@id(\"read\") permit (principal, action == Action::\"read\", resource);\n";

fn reason(policies: &str, request: &Request) -> Reason {
    decide_in(&bundle(policies), &chain([root()]), request).reason
}

#[test]
fn permit_allows_and_explains_itself() {
    let policies = "@id(\"b\") @reason(\"{principal} works on {session.task.id}\") permit (principal, action, resource);\n\
        @id(\"a\") permit (principal in Team::\"research\", action in Chaperone::Action::\"data.read\", resource in Folder::\"all\");";
    let decision = decide_in(&bundle(policies), &chain([root()]), &read("1"));
    assert_eq!((decision.outcome, decision.reason), (Outcome::Allow, Reason::Permitted));
    assert_eq!(decision.policies.iter().map(|policy| policy.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(decision.sentence(), "Agent::\"reporter\" works on T-1");
}

#[test]
fn no_permit_denies() {
    assert_eq!(
        reason("@id(\"a\") permit (principal, action == Action::\"export\", resource);", &read("1")),
        Reason::NoPermit
    );
}

#[test]
fn forbid_wins_over_permits() {
    let policies =
        format!("{READ}@id(\"no\") forbid (principal, action, resource) when {{ resource.owner == \"ann\" }};")
            .replace("resource)", "resource is Document)");
    let bundle = bundle(&policies);
    let decision = decide_in(&bundle, &chain([root()]), &read("1"));
    assert_eq!((decision.reason, decision.policies.len()), (Reason::Forbidden, 1));
    assert_eq!(decide_in(&bundle, &chain([root()]), &read("2")).reason, Reason::Permitted);
}

#[test]
fn policy_that_fails_denies_even_beside_a_forbid() {
    // The document is not known, so that its owner cannot be read.
    let policies = format!(
        "{READ}@id(\"never\") forbid (principal, action, resource);\n\
        @id(\"broken\") permit (principal, action, resource is Document) when {{ resource.owner == \"ann\" }};"
    );
    let decision = decide_in(&bundle(&policies), &chain([root()]), &read("unknown"));
    assert_eq!((decision.outcome, decision.reason), (Outcome::Deny, Reason::PolicyError));
    assert_eq!(decision.policies.iter().map(|policy| policy.id.as_str()).collect::<Vec<_>>(), ["broken"]);
}

#[test]
fn failed_permit_does_not_give_its_reason_for_the_denial() {
    let policies = "@id(\"broken\") @reason(\"agents may read\") permit (principal, action == Action::\"read\", resource) \
                    when { resource.owner == \"ann\" };";
    let decision = decide_in(&bundle(policies), &chain([root()]), &read("unknown"));
    assert_eq!((decision.reason, decision.sentence()), (Reason::PolicyError, "a policy could not be evaluated"));
}

#[test]
fn ended_session_is_denied_with_its_reason() {
    let bundle = bundle(READ);
    let revoked = decide_in(&bundle, &chain([ended(root(), EndingAct::Revoked, "token seen elsewhere")]), &read("1"));
    assert_eq!((revoked.reason, revoked.sentence()), (Reason::SessionRevoked, "revoked: token seen elsewhere"));
    let completed = decide_in(&bundle, &chain([ended(root(), EndingAct::Completed, "")]), &read("1"));
    assert_eq!((completed.reason, completed.sentence()), (Reason::SessionCompleted, "the session's task is complete"));
    let expired = decide_in(&bundle, &chain([Session { expires_at: OPENED, ..root() }]), &read("1"));
    assert_eq!(expired.reason, Reason::SessionExpired);
    let idle = Session { idle_timeout: Some(Duration::from_secs(30)), ..root() };
    assert_eq!(decide_in(&bundle, &chain([idle]), &read("1")).reason, Reason::SessionIdle);
}

#[test]
fn ended_ancestor_ends_its_descendants_and_says_so() {
    let bundle = bundle(READ);
    let revoked = ended(root(), EndingAct::Revoked, "left the company");
    let parent = child(&root());
    let decision = decide_in(&bundle, &chain([revoked.clone(), parent.clone()]), &read("1"));
    assert_eq!(decision.reason, Reason::SessionRevoked);
    assert_eq!(decision.sentence(), "the parent session was revoked: left the company");
    let decision = decide_in(&bundle, &chain([revoked, parent.clone(), child(&parent)]), &read("1"));
    assert_eq!(decision.sentence(), "an ancestor session was revoked: left the company");
    let expired = Session { expires_at: OPENED, ..root() };
    assert_eq!(decide_in(&bundle, &chain([expired, parent]), &read("1")).sentence(), "the parent session has expired");
}

#[test]
fn session_s_own_end_is_told_before_an_ancestor_s() {
    let ended_root = ended(root(), EndingAct::Revoked, "");
    let ended_child = ended(child(&root()), EndingAct::Completed, "");
    assert_eq!(
        decide_in(&bundle(READ), &chain([ended_root, ended_child]), &read("1")).reason,
        Reason::SessionCompleted
    );
}

#[test]
fn suspended_principal_is_denied_anywhere_in_the_chain() {
    let bundle = bundle(READ);
    let suspended = entity("Agent", "reporter", &[("suspended", Value::Bool(true))], &[]);
    let entities = bundle.entities([&suspended]).expect("valid");
    let other = Session { principal: EntityRef::new("Agent", "other"), ..child(&root()) };
    for chain in [chain([root()]), chain([root(), other])] {
        let authority = Authority::Session(&chain);
        let decision = decide(&bundle, &entities, &read("1"), authority, &Presenter::default(), OPENED);
        assert_eq!(decision.reason, Reason::PrincipalSuspended);
    }
    let authority = Authority::Principal(&suspended.uid);
    let decision = decide(&bundle, &entities, &read("1"), authority, &Presenter::default(), OPENED);
    assert_eq!(decision.reason, Reason::PrincipalSuspended);
}

#[test]
fn binding_is_asked_of_the_presented_session_only() {
    let bundle = bundle(READ);
    let entities = entities(&bundle);
    let spiffe_id = || Some("spiffe://example.com/reporter".to_owned());
    let bound = Session { binding: Binding { spiffe_id: spiffe_id(), ..Binding::default() }, ..root() };
    let of = |chain: &_, presenter: &Presenter| {
        decide(&bundle, &entities, &read("1"), Authority::Session(chain), presenter, OPENED).reason
    };
    let presenter = Presenter { spiffe_id: spiffe_id().map(Into::into), ..Presenter::default() };
    assert_eq!(of(&chain([bound.clone()]), &presenter), Reason::Permitted);
    assert_eq!(of(&chain([bound.clone()]), &Presenter::default()), Reason::BindingMismatch);
    let unbound_child = Session { binding: Binding::default(), ..child(&bound) };
    assert_eq!(of(&chain([bound, unbound_child]), &Presenter::default()), Reason::Permitted);
}

#[test]
fn scope_of_every_session_of_the_chain_must_allow() {
    let bundle = bundle("@id(\"all\") permit (principal, action, resource);");
    let scope = |text: &str| Scope::parse(text).expect("valid");
    let reads = scope("permit (principal, action == Action::\"read\", resource);");
    let open = scope("permit (principal, action, resource in Folder::\"open\");");
    let parent = Session { scope: reads, ..root() };
    let narrowed = Session { scope: open, ..child(&parent) };
    let of = |chain: &_, request: &Request| decide_in(&bundle, chain, request).reason;
    let both = chain([parent.clone(), narrowed]);
    assert_eq!(of(&both, &read("1")), Reason::Permitted);
    assert_eq!(of(&both, &read("2")), Reason::OutOfScope, "the session's own scope");
    assert_eq!(of(&both, &export("1", "csv")), Reason::OutOfScope, "the parent's scope");
    assert_eq!(of(&chain([parent.clone(), child(&parent)]), &export("1", "csv")), Reason::OutOfScope);
}

#[test]
fn scope_that_forbids_fails_or_is_empty_covers_nothing() {
    let bundle = bundle("@id(\"all\") permit (principal, action, resource);");
    for text in [
        "",
        "permit (principal, action, resource); forbid (principal, action, resource in Folder::\"all\");",
        "permit (principal, action, resource); permit (principal, action, resource) when { resource.missing };",
    ] {
        let session = Session { scope: Scope::parse(text).expect("it parses"), ..root() };
        assert_eq!(decide_in(&bundle, &chain([session]), &read("1")).reason, Reason::OutOfScope, "{text}");
    }
}

/// A forbid on an action that is now called otherwise would forbid nothing.
#[test]
fn scope_for_another_schema_covers_nothing() {
    let bundle = bundle("@id(\"all\") permit (principal, action, resource);");
    for renamed in ["Action::\"erase\"", "Old::Action::\"read\""] {
        let text = format!("permit (principal, action, resource); forbid (principal, action == {renamed}, resource);");
        let session = Session { scope: Scope::parse(&text).expect("it parses"), ..root() };
        let chain = chain([session.clone(), child(&session)]);
        for _ in 0..2 {
            assert_eq!(decide_in(&bundle, &chain, &read("1")).reason, Reason::OutOfScope, "{renamed}");
        }
    }
}

#[test]
fn condition_of_a_scope_never_answers_for_one_of_the_bundle() {
    // Each has one condition that two policies share, so that its result is remembered.
    let policies = |condition: &str| {
        let policy =
            |action| format!("permit (principal, action == Action::\"{action}\", resource) when {{ {condition} }};");
        [policy("read"), policy("read")]
    };
    let [one, two] = policies("resource.owner == \"bob\"");
    let bundle = bundle(&format!("@id(\"one\") {one} @id(\"two\") {two}"));
    let scope = Scope::parse(&policies("resource.owner == \"ann\"").concat()).expect("valid");
    let decision = decide_in(&bundle, &chain([Session { scope, ..root() }]), &read("1"));
    assert_eq!(decision.reason, Reason::NoPermit);
}

#[test]
fn built_in_rules_come_in_their_order() {
    let bundle = bundle(READ);
    let suspended = entity("Agent", "reporter", &[("suspended", Value::Bool(true))], &[]);
    let entities = bundle.entities([&suspended]).expect("valid");
    let free = bundle.entities([]).expect("valid");
    let session = Session {
        binding: Binding { spiffe_id: Some("spiffe://example.com/x".into()), ..Binding::default() },
        scope: Scope::parse("").expect("valid"),
        ..root()
    };
    let of = |entities, session: Session| {
        let chain = chain([session]);
        decide(&bundle, entities, &read("1"), Authority::Session(&chain), &Presenter::default(), OPENED).reason
    };
    assert_eq!(of(&entities, ended(session.clone(), EndingAct::Revoked, "")), Reason::SessionRevoked);
    assert_eq!(of(&entities, session.clone()), Reason::PrincipalSuspended);
    assert_eq!(of(&free, session.clone()), Reason::BindingMismatch);
    assert_eq!(of(&free, Session { binding: Binding::default(), ..session }), Reason::OutOfScope);
}

#[test]
fn action_that_does_not_apply_is_never_permitted() {
    let bundle = bundle("@id(\"all\") permit (principal, action, resource);");
    let entities = entities(&bundle);
    let workload = EntityRef::new("Chaperone::Workload", "spiffe://example.com/a");
    let of = |request: &Request, principal: &EntityRef| {
        decide(&bundle, &entities, request, Authority::Principal(principal), &Presenter::default(), OPENED).reason
    };
    assert_eq!(of(&read("1"), &workload), Reason::Permitted);
    assert_eq!(of(&export("1", "csv"), &workload), Reason::NoPermit, "the principal's type");
    assert_eq!(of(&read("1"), &EntityRef::new("not a type", "x")), Reason::NoPermit);
    let folder = read("1").on(EntityRef::new("Folder", "open"));
    assert_eq!(of(&folder, &agent()), Reason::NoPermit, "the resource's type");
    let unknown = Request::new(EntityRef::action("write"), EntityRef::new("Document", "1"));
    assert_eq!(of(&unknown, &agent()), Reason::NoPermit, "the action");
}

#[test]
fn policies_see_the_session_its_tree_and_the_request() {
    let parent = Session { labels: ["pii".to_owned()].into(), ..root() };
    let session = Session { labels: ["own".to_owned()].into(), ..child(&parent) };
    let policies = format!(
        "@id(\"a\") permit (principal, action == Action::\"export\", resource) when {{
            context.session.exists && context.session.id == \"{}\" && context.session.owner == \"ann@example.com\" &&
            context.session.task.id == \"T-1\" && context.session.task.purpose == \"weekly report\" &&
            context.session.labels == [\"own\", \"pii\"] && context.session.risk == 0 &&
            context.session.age_seconds == 60 && context.session.idle_seconds == 60 &&
            context.session.delegation_depth == 1 &&
            context.tree.id == \"{}\" && context.tree.labels == [\"pii\"] &&
            context.request.format == \"csv\" && !(context.request has rows)
        }};",
        session.id, parent.id
    );
    let decision = decide_in(&bundle(&policies), &chain([parent, session]), &export("1", "csv"));
    assert_eq!(decision.reason, Reason::Permitted);
}

#[test]
fn without_a_session_policies_see_that_there_is_none() {
    let policies = "@id(\"a\") permit (principal, action == Action::\"read\", resource) when {
        !context.session.exists && context.session.id == \"\" && context.session.task.purpose == \"\" &&
        context.session.labels.isEmpty() && context.session.age_seconds == 0 && context.tree.id == \"\" };";
    let bundle = bundle(policies);
    let principal = agent();
    let authority = Authority::Principal(&principal);
    let decision = decide(&bundle, &entities(&bundle), &read("1"), authority, &Presenter::default(), OPENED);
    assert_eq!(decision.reason, Reason::Permitted);
}

#[test]
fn request_of_other_policies_is_denied() {
    let text = "entity Agent; entity Document; action read appliesTo {
        principal: Agent, resource: Document, context: { request: { more?: Long } } };";
    let mut source = BundleSource::default();
    source.files.insert("schema.cedarschema".into(), text.into());
    source.files.insert("policies/a.cedar".into(), "@id(\"a\") permit (principal, action, resource);".into());
    let other = Bundle::compile(&source).expect("valid");
    let request = other.request("read", EntityRef::new("Document", "1"), Attributes::new()).expect("valid");
    let bundle = bundle("@id(\"all\") permit (principal, action, resource);");
    assert_eq!(decide_in(&bundle, &chain([root()]), &request).reason, Reason::PolicyError);
}

#[test]
fn time_before_the_session_was_opened_counts_as_zero() {
    let policies = "@id(\"a\") permit (principal, action == Action::\"read\", resource) when { context.session.age_seconds == 0 };";
    let bundle = bundle(policies);
    let chain = chain([root()]);
    let before = chaperone_policy::Timestamp::from_micros(0);
    let decision =
        decide(&bundle, &entities(&bundle), &read("1"), Authority::Session(&chain), &Presenter::default(), before);
    assert_eq!(decision.reason, Reason::Permitted);
}

#[test]
fn session_bound_to_zones_is_presented_from_one_of_them() {
    let zones = |text: &str| {
        let mut source = BundleSource::default();
        source.files.insert("schema.cedarschema".into(), SCHEMA.into());
        source.files.insert("policies/main.cedar".into(), READ.into());
        source.files.insert("mapping.toml".into(), format!("[zones]\n{text}"));
        Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"))
    };
    let declared = zones("office = [\"10.0.0.0/8\", \"fd00::/8\"]\nlab = [\"10.1.0.0/16\"]\nhome = [\"192.0.2.0/24\"]");
    let undeclared = zones("lab = [\"10.0.0.0/8\"]");
    let binding = Binding { zones: ["office", "home"].map(str::to_owned).into(), ..Binding::default() };
    let session = chain([Session { binding, ..root() }]);
    let of = |bundle: &Bundle, address: Option<&str>| {
        let address = address.map(|text| text.parse().expect("an address"));
        let presenter = Presenter { address, ..Presenter::default() };
        let request = bundle.request("read", EntityRef::new("Document", "1"), Attributes::new()).expect("declared");
        decide(bundle, &entities(bundle), &request, Authority::Session(&session), &presenter, OPENED).reason
    };
    for (address, expected) in [
        (Some("10.2.0.1"), Reason::Permitted),
        (Some("::ffff:10.2.0.1"), Reason::Permitted),
        (Some("fd00::7"), Reason::Permitted),
        (Some("192.0.2.9"), Reason::Permitted),
        // Nearer to another zone.
        (Some("10.1.0.1"), Reason::BindingMismatch),
        (Some("198.51.100.1"), Reason::BindingMismatch),
        (None, Reason::BindingMismatch),
    ] {
        assert_eq!(of(&declared, address), expected, "{address:?}");
        assert_eq!(of(&undeclared, address), Reason::BindingMismatch, "{address:?}");
    }
}

#[test]
fn zone_of_a_direct_caller_is_that_of_the_presenters_address() {
    let mut source = BundleSource::default();
    let schema = SCHEMA.replace("context: { request: {} } };", "context: { request: { zone?: String } } };");
    source.files.insert("schema.cedarschema".into(), schema);
    let policy = "@id(\"a\") permit (principal, action, resource) when { context.request has zone && context.request.zone == \"office\" };";
    source.files.insert("policies/main.cedar".into(), policy.replace("action,", "action == Action::\"delete\","));
    source.files.insert("mapping.toml".into(), "[zones]\noffice = [\"10.0.0.0/8\"]".into());
    let bundle = Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let document = || EntityRef::new("Document", "1");
    let mut request = bundle.request("delete", document(), Attributes::new()).expect("declared");
    let chain = chain([root()]);
    for (address, expected) in [
        (Some([10, 0, 0, 1]), Reason::Permitted),
        (Some([192, 0, 2, 1]), Reason::NoPermit),
        (Some([10, 0, 0, 1]), Reason::Permitted),
        (None, Reason::NoPermit),
    ] {
        bundle.place_zone(&mut request, || address.map(Into::into));
        assert_eq!(decide_in(&bundle, &chain, &request).reason, expected, "{address:?}");
    }
    let said = Attributes::from([("zone".into(), Value::String("office".into()))]);
    let refused = bundle.request("delete", document(), said.clone()).expect_err("it is not the caller's to say");
    assert_eq!(refused.field, "attributes.zone");
    source.files.insert("mapping.toml".into(), String::new());
    let without = Bundle::compile(&source).expect("valid");
    let request = without.request("delete", document(), said).expect("an attribute as any other");
    assert_eq!(decide_in(&without, &chain, &request).reason, Reason::Permitted);
}

/// However often the same was asked of others: of so many that what they found is kept at the same places.
#[test]
fn each_bundle_answers_by_its_own_scopes() {
    let of = |number| if number % 2 == 0 { ("read", Reason::Permitted) } else { ("export", Reason::NoPermit) };
    // Of neither of which anything is known, so that only the bundles differ.
    let (agent, request) = (EntityRef::new("Agent", "unknown"), read("unknown"));
    for (action, reason) in (0..40).map(of) {
        let bundle = bundle(&format!("@id(\"a\") permit (principal, action == Action::\"{action}\", resource);"));
        for _ in 0..3 {
            let (authority, presenter) = (Authority::Principal(&agent), Presenter::default());
            let decision = decide(&bundle, bundle.own_entities(), &request, authority, &presenter, OPENED);
            assert_eq!(decision.reason, reason);
        }
    }
}
