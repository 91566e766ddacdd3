//! Policies and scopes about the actions of decoders, of which there are too many to show Cedar each.

#![expect(clippy::expect_used, clippy::panic, reason = "a fixture that cannot be built fails the test")]

mod common;

use chaperone_policy::mapping::{Caller, Payload};
use chaperone_policy::{
    Authority, Bundle, BundleSource, EntityRef, Grant, Presenter, Reason, Request, Scope, Session, decide,
    decide_by_cedar,
};
use common::{OPENED, chain, root};

const SCHEMA: &str = "entity Agent; entity Job;
    action work appliesTo { principal: Agent, resource: Job, context: { request: {} } };";
const MAPPING: &str =
    "[decoder.sh]\nshell = {}\n[classes.shell]\nfrobnicate = [\"data.read\"]\n\"odd\\\\name\" = [\"data.read\"]\n";

fn compile(policies: &str) -> Result<Bundle, Vec<chaperone_policy::Problem>> {
    let files = [("schema.cedarschema", SCHEMA), ("mapping.toml", MAPPING), ("policies/a.cedar", policies)];
    Bundle::compile(&BundleSource { files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into() })
}

fn bundle(policies: &str) -> Bundle {
    compile(policies).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn command(bundle: &Bundle, line: &str) -> Request {
    let mut mapped = bundle.mapping().map_payload("sh", Payload::Text(line), Caller::default()).expect("it is decoded");
    mapped.read_attributes(chaperone_policy::mapping::Needs::All).expect("its facts are read");
    let [request] = mapped.requests.as_slice() else { panic!("{line}: {:?}", mapped.requests) };
    request.clone()
}

/// What both evaluators say of a command, in a session of this scope.
fn reason(bundle: &Bundle, line: &str, scope: Scope) -> Reason {
    let session = Session { principal: EntityRef::new("Agent", "bot"), scope, ..root() };
    let (chain, request) = (chain([session]), command(bundle, line));
    let (entities, presenter) = (bundle.own_entities(), Presenter::default());
    let authority = Authority::Session(&chain);
    let compiled = decide(bundle, entities, &request, authority, &presenter, OPENED);
    let by_cedar = decide_by_cedar(bundle, entities, &request, authority, &presenter, OPENED);
    assert_eq!(compiled, by_cedar, "{line}");
    compiled.reason
}

#[test]
fn policies_name_any_action_and_any_group() {
    let bundle = bundle(
        "@id(\"reads\") permit (principal, action in Chaperone::Action::\"data.read\", resource);
        @id(\"commits\") permit (principal, action == Chaperone::Action::\"shell.git commit\", resource);
        @id(\"no\") forbid (principal, action in Chaperone::Action::\"shell\", resource) when {
            action == Chaperone::Action::\"shell.head\" || action == Chaperone::Action::\"shell.frobnicate\" || action in Chaperone::Action::\"secret.read\" };",
    );
    let of = |line: &str| reason(&bundle, line, Scope::Unrestricted);
    assert_eq!(of("tail notes.txt"), Reason::Permitted, "by its group alone");
    assert_eq!(of("head notes.txt"), Reason::Forbidden, "by its name, in a condition");
    assert_eq!(of("frobnicate"), Reason::Forbidden, "an action of the bundle's own");
    assert_eq!(of("git commit"), Reason::Permitted, "by its name");
    assert_eq!(of("git push"), Reason::NoPermit);
}

#[test]
fn every_action_has_the_groups_of_its_classes() {
    let bundle = bundle("@id(\"all\") permit (principal, action, resource);");
    let group = |class: &str| EntityRef::new("Chaperone::Action", class);
    let action = |name: &str| EntityRef::new("Chaperone::Action", format!("shell.{name}"));
    let is_in = |name: &str, class: &str| bundle.own_entities().is_in(&action(name), &group(class));
    for name in ["head", "tail", "frobnicate", "odd\\name"] {
        assert!(is_in(name, "data.read") && is_in(name, "shell"), "{name}");
        assert!(!is_in(name, "data.write"), "{name}");
        assert!(bundle.shapes().contains_key(&action(name)), "{name}");
    }
}

#[test]
fn action_that_no_decoder_has_is_refused() {
    let unknown = "@id(\"a\") permit (principal, action == Chaperone::Action::\"shell.git pusj\", resource);";
    let problems = compile(unknown).expect_err("there is no such action");
    assert!(problems[0].message.contains("shell.git pusj"), "{problems:#?}");
}

/// Though no policy of the bundle does.
#[test]
fn scope_names_any_action() {
    let bundle = bundle("@id(\"all\") permit (principal, action, resource);");
    let grant = Grant { actions: vec!["Chaperone::Action::\"shell.tail\"".to_owned()], resources: Vec::new() };
    let granted = Scope::from_grants(&[grant], &bundle).expect("the action is declared");
    bundle.check_scope(&granted).expect("it is valid");
    assert_eq!(reason(&bundle, "tail notes.txt", granted.clone()), Reason::Permitted);
    assert_eq!(reason(&bundle, "head notes.txt", granted), Reason::OutOfScope, "of the same groups");
    let unknown = Scope::parse("permit (principal, action == Chaperone::Action::\"shell.tial\", resource);");
    assert!(bundle.check_scope(&unknown.expect("it parses")).is_err());
}
