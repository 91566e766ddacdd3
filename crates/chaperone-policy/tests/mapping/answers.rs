//! What changes when a request goes on to the upstream.

use chaperone_policy::mapping::{Credential, Facts, HeaderMutation, HttpRequest, Mapping, Mutations};
use chaperone_policy::{
    Binding, BundleNumber, Decision, DecisionId, EntityRef, Outcome, Reason, Scope, Session, SessionId, Task, Timestamp,
};

use crate::fixture::{get, get_with, map, mapping, no_mapping, reading, route};

const SESSION_ID: &str = "018f0000-0000-7000-8000-000000000001";
const DECISION_ID: &str = "018f0000-0000-7000-8000-000000000002";

fn session() -> Session {
    let id: SessionId = SESSION_ID.parse().expect("a UUID");
    Session {
        id,
        tree: id,
        parent: None,
        depth: 0,
        principal: EntityRef::new("Agent", "report-bot"),
        owner: "ada@example.com".into(),
        task: Task { id: "task-1".into(), purpose: String::new() },
        labels: std::collections::BTreeSet::new(),
        scope: Scope::Unrestricted,
        binding: Binding::default(),
        opened_at: Timestamp::from_micros(0),
        expires_at: Timestamp::from_micros(1),
        idle_timeout: None,
        last_used_at: Timestamp::from_micros(0),
        ended: None,
        version: 1,
    }
}

fn answer(mapping: &Mapping, request: &HttpRequest<'_>, principal: &str, session: Option<&Session>) -> Mutations {
    let mapped = mapping.map_http(request).expect("it maps");
    let decision = Decision { outcome: Outcome::Allow, ..Decision::deny(Reason::Permitted) };
    let principal = EntityRef::new("Agent", principal);
    let decision_id: DecisionId = DECISION_ID.parse().expect("a UUID");
    let facts =
        Facts { decision_id, decision: &decision, bundle: BundleNumber::new(7), principal: &principal, session };
    mapping.mutations(&mapped, request, &facts)
}

fn set(name: &str, value: &str) -> HeaderMutation {
    HeaderMutation { name: name.into(), value: value.into(), append: false }
}

#[test]
fn answer_speaks_of_principal_session_and_decision() {
    let more = "[route.on_allow]
set_headers = { x-a = \"{principal}\", x-b = \"{principal.id} {principal.type}\", x-c = \"{session.id}\" }
append_headers = { x-d = \"{session.owner};{session.task.id}\" }
remove_headers = [\"x-internal\"]
set_query = { tenant = \"{session.owner}\" }
remove_query = [\"debug\"]
response_headers = { x-decision-id = \"{decision.id} {bundle}\" }";
    let mapping = reading("/documents/{id}", "{path.id}", more);
    let session = session();
    let mutations = answer(&mapping, &get("/documents/a"), "report-bot", Some(&session));
    let owner = HeaderMutation { append: true, ..set("x-d", "ada@example.com;task-1") };
    assert_eq!(
        mutations,
        Mutations {
            headers: vec![
                set("x-a", "Agent::\"report-bot\""),
                set("x-b", "report-bot Agent"),
                set("x-c", SESSION_ID),
                owner
            ],
            headers_to_remove: vec!["x-internal".into(), "x-chaperone-session".into()],
            response_headers: vec![set("x-decision-id", &format!("{DECISION_ID} 7"))],
            query_to_set: vec![("tenant".into(), "ada%40example.com".into())],
            query_to_remove: vec!["debug".into()],
        }
    );
}

#[test]
fn what_cannot_be_set_is_removed_so_that_the_clients_own_never_passes() {
    let more = "[route.on_allow]
set_headers = { x-owner = \"{session.owner}\", x-trace = \"{header.x-trace}\" }
append_headers = { x-more = \"{session.owner}\" }
set_query = { owner = \"{session.owner}\" }
response_headers = { x-owner = \"{session.owner}\" }";
    let mapping = reading("/a", "a", more);
    for session in [None, Some(Session { owner: String::new(), ..session() })] {
        let mutations = answer(&mapping, &get("/a"), "a", session.as_ref());
        let removed = ["x-owner", "x-trace", "x-chaperone-session"].map(String::from).to_vec();
        let expected =
            Mutations { headers_to_remove: removed, query_to_remove: vec!["owner".into()], ..Mutations::default() };
        assert_eq!(mutations.headers_to_remove, expected.headers_to_remove);
        assert_eq!(mutations.query_to_remove, expected.query_to_remove);
        assert!(mutations.response_headers.is_empty() && mutations.query_to_set.is_empty());
        assert!(!mutations.headers.iter().any(|header| !header.append));
    }
}

#[test]
fn answer_reads_the_request_as_the_decision_did() {
    let more = "[route.on_allow]
set_headers = { x-document = \"{path.id}\", x-both = \"{path.id}/{query.v}\", x-host = \"{host}\" }";
    let mapping = reading("/documents/{id}", "{path.id}", more);
    let mutations = answer(&mapping, &get("/documents/a%20b%C3%A4?v=%0d%0ax"), "a", None);
    assert_eq!(
        mutations.headers,
        [set("x-both", "a b%C3%A4/%0D%0Ax"), set("x-document", "a b%C3%A4"), set("x-host", "docs.example.com")]
    );
    let error = map(&mapping, &get("/documents/a?v=1&v=2")).map(|_| ()).expect_err("two readings");
    assert_eq!(error.message, "`{query.v}` is there more than once, or is no text");
}

#[test]
fn value_of_a_query_parameter_cannot_add_another_one() {
    let more = "[route.on_allow]\nset_query = { tenant = \"{session.owner}\", document = \"{path.id}/{query.v}\" }";
    let mapping = reading("/documents/{id}", "{path.id}", more);
    let session = Session { owner: "a&admin=1 +%#".into(), ..session() };
    let mutations = answer(&mapping, &get("/documents/a%26b%3Dc?v=%0d%0a%C3%A4"), "a", Some(&session));
    let expected = [("document", "a%26b%3Dc%2F%0D%0A%C3%A4"), ("tenant", "a%26admin%3D1%20%2B%25%23")];
    assert_eq!(mutations.query_to_set, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn parameter_that_is_changed_cannot_hide_behind_escapes() {
    let more = "[route.on_allow]\nset_query = { tenant = \"{session.owner}\" }\nremove_query = [\"debug\"]";
    let mapping = reading("/documents/{id}", "{path.id}", more);
    for query in ["t%65nant=evil", "tenant=a&%74enant=evil", "x=1&debu%67"] {
        let error = map(&mapping, &get(&format!("/documents/a?{query}"))).map(|_| ()).expect_err(query);
        assert!(error.message.ends_with("is written with escapes"), "{}", error.message);
    }
    assert!(map(&mapping, &get("/documents/a?tenant=a&debug=1&o%74her=1")).is_ok());
}

#[test]
fn rules_of_the_route_stand_before_those_of_the_file() {
    let base = "[on_allow]
set_headers = { x-a = \"base\", x-b = \"base\" }
remove_headers = [\"x-c\"]
response_headers = { x-r = \"base\" }
";
    let more = "[route.on_allow]\nset_headers = { x-a = \"route\", x-c = \"route\" }\nremove_headers = [\"x-b\"]";
    let mapping = mapping(&format!("{base}{}", route("r", "/a", "a", more)));
    let of_route = answer(&mapping, &get("/a"), "a", None);
    assert_eq!(of_route.headers, [set("x-a", "route"), set("x-c", "route")]);
    assert_eq!(of_route.headers_to_remove, ["x-b", "x-chaperone-session"]);
    assert_eq!(of_route.response_headers, [set("x-r", "base")]);
    let of_file = answer(&mapping, &get("/b"), "a", None);
    assert_eq!(of_file.headers, [set("x-a", "base"), set("x-b", "base")]);
    assert_eq!(of_file.headers_to_remove, ["x-c", "x-chaperone-session"]);
}

#[test]
fn credential_is_removed_unless_the_mapping_keeps_it() {
    let with = |text| {
        let mapping = mapping(text);
        let request = get_with("/a", &[("authorization", b"Bearer chp_a")]);
        let credential = mapping.credential(&request);
        (credential, answer(&mapping, &request, "a", None).headers_to_remove)
    };
    let handle = Credential::Handle("chp_a".into());
    assert_eq!(with(""), (Credential::Absent, vec!["x-chaperone-session".into()]));
    assert_eq!(with("[session]\nsources = [\"bearer\"]"), (handle.clone(), vec!["authorization".into()]));
    assert_eq!(with("[session]\nsources = [\"bearer\"]\nstrip = false"), (handle, vec![]));
    assert_eq!(with("[session]\nsources = [\"header:x-s\", \"header:x-t\"]").1, ["x-s", "x-t"]);
}

#[test]
fn peer_acts_for_itself_only_where_the_mapping_says_so() {
    assert!(!no_mapping().allows_peer());
    assert!(mapping("[principal]\npeer = true").allows_peer());
}
