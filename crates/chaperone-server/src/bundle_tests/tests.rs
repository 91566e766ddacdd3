//! What can be said of a bundle in a test, and that what is said wrongly does not pass.

use std::sync::LazyLock;

use super::*;

const SCHEMA: &str = r#"
entity Team;
entity Agent in [Team] = { suspended?: Bool };
entity Document = { owner: String };
action read in [Chaperone::Action::"data.read"] appliesTo {
  principal: [Agent, Chaperone::Workload], resource: [Document],
  context: { session: Chaperone::Session, tree: Chaperone::Tree, request: {} } };
action export in [Chaperone::Action::"data.export"] appliesTo {
  principal: [Agent], resource: [Document],
  context: { session: Chaperone::Session, tree: Chaperone::Tree, principal: Chaperone::Principal,
    request: { format: String, rows?: Long, price?: decimal, from?: ipaddr, to?: Set<Team>, more?: { bulk: Bool } } } };
"#;
const POLICIES: &str = r#"
@id("reads") permit (principal, action == Action::"read", resource);
@id("exports") @count("exports/1h, principal:exports") @remember("tree:documents/2h = resource") @risk("+20")
permit (principal is Agent, action == Action::"export", resource) when { context.request.format != "xml" };
@id("three-an-hour") @reason("{principal} has exported {resource} and others three times")
forbid (principal, action == Action::"export", resource) when { context.session.counts["exports/1h"] >= 3 };
@id("pii") @stepup("pii") forbid (principal, action == Action::"export", resource == Document::"pii");
@id("trap") @revoke("session") @alert("trap:critical") forbid (principal, action == Action::"read", resource == Document::"trap");
@id("all-end") @revoke("tree") forbid (principal, action == Action::"read", resource == Document::"bomb");
@id("owner") forbid (principal, action == Action::"read", resource)
when { resource has owner && resource.owner == "nobody" };
@id("in-the-evening") forbid (principal, action, resource)
when { context has session && context.session.age_seconds > 36000 };
@id("price") forbid (principal, action == Action::"export", resource)
when { context.request has price && context.request.price.greaterThan(decimal("10.0")) };
"#;
const MAPPING: &str = r#"
[session]
sources = ["bearer", "header:x-session"]
[principal]
peer = true
[zones]
office = ["10.0.0.0/8"]
[on_allow.set_headers]
x-who = "{principal.id}"
[[route]]
name = "read"
path = "/documents/{id}"
action = "read"
resource = { type = "Document", id = "{path.id}" }
[decoder.db]
sql = { dialect = "postgres", database = "db" }
"#;
const MANIFEST: &str = "[risk]\ndecay_per_hour = 10\n[step_up.pii]\napprovers = 2\nmax_duration = \"20m\"\n";
const SESSION: &str = "session: { principal: 'Agent::\"a\"', expires: 10h }\n";

fn source(tests: &str) -> BundleSource {
    let files = [
        ("bundle.toml", MANIFEST),
        ("schema.cedarschema", SCHEMA),
        ("policies/main.cedar", POLICIES),
        ("mapping.toml", MAPPING),
        ("tests/a.yaml", tests),
    ];
    BundleSource { files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into() }
}

/// Compiled once: tests are no part of what is compiled.
static BUNDLE: LazyLock<Arc<Bundle>> = LazyLock::new(|| {
    Arc::new(Bundle::compile(&source("tests: []")).unwrap_or_else(|problems| panic!("{problems:#?}")))
});

fn tested(tests: &str) -> Tested {
    let source = source(tests);
    run(&source, Arc::clone(&BUNDLE), &Options::default())
}

/// Runs the steps of one test with the usual session.
fn steps(steps: &str) -> Tested {
    let indented = steps.trim_matches('\n').replace('\n', "\n      ");
    tested(&format!("{SESSION}tests:\n  - name: it\n    steps:\n      {indented}\n"))
}

fn texts(tested: &Tested) -> Vec<String> {
    let of_cases = tested.cases.iter().flat_map(|case| &case.problems);
    tested.problems.iter().chain(of_cases).map(ToString::to_string).collect()
}

fn assert_passes(tested: &Tested) {
    assert!(tested.passed() && !tested.cases.is_empty(), "{}", texts(tested).join("\n"));
}

/// That there is one problem, with this code and in this line, which says this.
fn assert_fails(tested: &Tested, code: &str, line: u32, says: &str) {
    let of_cases = tested.cases.iter().flat_map(|case| &case.problems);
    let problems: Vec<_> = tested.problems.iter().chain(of_cases).collect();
    let [problem] = problems.as_slice() else { panic!("one problem\n{}", texts(tested).join("\n")) };
    assert_eq!((problem.code, problem.line), (code, line), "{problem}");
    assert!(problem.to_string().contains(says), "{says}\n{problem}");
}

#[test]
fn effects_of_one_step_are_the_state_of_the_next() {
    assert_passes(&steps(
        r#"
- request: { action: export, resource: 'Document::"1"', attributes: { format: csv } }
  expect:
    outcome: allow
    reason: permitted
    policies: [exports]
    effects: ["count exports/1h += 1", "count principal:exports += 1", 'remember tree:documents/2h = Document::"1"', "risk +20"]
    state:
      session: { labels: [], risk: 20, counts: { exports/1h: 1 } }
      tree: { labels: [], sets: { documents/2h: ['Document::"1"'] } }
      principal: { labels: [], counts: { exports: 1 } }
- request: { action: export, resource: 'Document::"2"', attributes: { format: csv } }
  expect: { state: { session: { counts: { exports/1h: 2 } }, tree: { sets: { documents/2h: ['Document::"2"', 'Document::"1"'] } } } }
- request: { action: export, resource: 'Document::"2"', attributes: { format: csv } }
  expect: allow
- request: { action: export, resource: 'Document::"2"', attributes: { format: csv } }
  expect:
    outcome: deny
    says: Agent::"a" has exported Document::"2" and others three times
    effects: []
    state: { session: { risk: 60 } }
- after: 62m
  request: { action: export, resource: 'Document::"3"', attributes: { format: csv } }
  expect: { outcome: allow, state: { session: { risk: 70, counts: { exports/1h: 1 } }, principal: { counts: { exports: 4 } } } }
- after: 2h2m
  request: { action: read, resource: 'Document::"3"' }
  expect: { state: { tree: { sets: { documents/2h: [] } }, session: { risk: 50 } } }
"#,
    ));
}

#[test]
fn whatever_is_expected_wrongly_fails_in_its_place() {
    for (expected, says) in [
        ("deny", "the outcome: expected `deny`, found `allow`"),
        ("{ outcome: challenge }", "the outcome: expected `challenge`, found `allow`"),
        ("{ reason: forbidden }", "the reason: expected `forbidden`, found `permitted`"),
        ("{ says: no }", "what it says: expected `no`, found `a policy permits this`"),
        ("{ policies: [reads] }", "the policies: expected `reads`, found `exports`"),
        ("{ policies: [] }", "the policies: expected `nothing`, found `exports`"),
        ("{ step_ups: [pii] }", "the step-ups: expected `pii`, found `nothing`"),
        ("{ effects: [risk +20] }", "the effects: expected `risk +20`, found `count exports/1h += 1, count principal"),
        ("{ changes: { set: { x-who: a } } }", "the header `x-who`: expected `a`, found `nothing`"),
        ("{ state: { session: { risk: 19 } } }", "session: risk: expected `19`, found `20`"),
        ("{ state: { session: { labels: [a] } } }", "session: labels: expected `a`, found `nothing`"),
        ("{ state: { session: { counts: { exports/1h: 0 } } } }", "counts[\"exports/1h\"]: expected `0`, found `1`"),
        ("{ state: { principal: { counts: { exports: 1.5 } } } }", "counts[\"exports\"]: expected `1.5000`, found `1`"),
        (
            "{ state: { tree: { sets: { documents/2h: ['Document::\"2\"'] } } } }",
            "sets[\"documents/2h\"]: expected `Document::\"2\"`, found `Document::\"1\"`",
        ),
    ] {
        let request = r#"- request: { action: export, resource: 'Document::"1"', attributes: { format: csv } }"#;
        let tested = steps(&format!("{request}\n  expect: {expected}"));
        assert_fails(&tested, FAILED, 6, says);
        assert_fails(&tested, FAILED, 6, "it came to allow (permitted)");
        assert_fails(&tested, FAILED, 6, "by exports");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_in_its_place() {
    let request = |request: &str| steps(&format!("- request: {request}\n  expect: allow"));
    for (tested, line, says) in [
        (request("{ action: read }"), 5, "`resource` is missing"),
        (request("{ action: fly, resource: 'Document::\"1\"' }"), 5, "the schema does not declare `Action::\"fly\"`"),
        (request("{ action: read, resource: 'Team::\"1\"' }"), 5, "applies to `Document`, not to `Team`"),
        (request("{ action: read, resource: Document }"), 5, "is not an entity"),
        (request("{ action: export, resource: 'Document::\"1\"' }"), 5, "attributes.format: is required"),
        (
            request("{ action: export, resource: 'Document::\"1\"', attributes: { format: 5 } }"),
            5,
            "this must be String: write it in quotes",
        ),
        (
            request("{ action: read, resource: 'Document::\"1\"', attributes: { a: 5 } }"),
            5,
            "does not declare `a` here",
        ),
        (request("{ action: read, resource: 'Document::\"1\"', decoder: {} }"), 5, "a request has one of"),
        (request("{ decoder: { name: no, text: a } }"), 5, "the mapping has no decoder of this name"),
        (request("{ decoder: { name: db } }"), 5, "a decoder reads one of"),
        (request("{ http: { path: /a, headrs: {} } }"), 5, "`headrs` is not known here"),
        (request("{ http: { path: /a, json: 1, body: a } }"), 5, "a request has one of `body`"),
        (request("{ grpc: { method: a.B/C, message: {} } }"), 5, "the bundle has no descriptor of this method"),
        (steps("- request: { action: read, resource: 'Document::\"1\"' }"), 5, "`expect` is missing"),
        (steps("- expect: allow"), 5, "a step has one of `request`, `approve` and `report`"),
        (steps("- after: 1\n  approve: pii"), 5, "is not a duration"),
        (steps("- approve: pii"), 5, "no step before this was challenged with `pii`"),
        (steps("- report: executed"), 5, "no such step before this was allowed"),
        (steps("- report: done"), 5, "this is `executed` or `failed`"),
    ] {
        assert_fails(&tested, SYNTAX, line, says);
    }
    for (expect, says) in [
        ("{}", "this expects nothing"),
        ("{ outcom: allow }", "`outcom` is not known here; `outcome`,"),
        ("{ state: { session: { counts: { export/1h: 1 } } } }", "no policy counts in `export/1h` of the session"),
        ("{ state: { session: { sets: { a: [] } } } }", "no policy remembers in `a` of the session"),
        ("{ state: { tree: { risk: 1 } } }", "`risk` is not known here"),
        ("{ report: settled }", "this step is no report"),
    ] {
        let tested = steps(&format!("- request: {{ action: read, resource: 'Document::\"1\"' }}\n  expect: {expect}"));
        assert_fails(&tested, SYNTAX, 6, says);
    }
}

#[test]
fn files_that_are_none_are_refused_in_their_place() {
    for (text, line, says) in [
        ("", 0, "the file is empty"),
        ("test: []", 1, "`tests` is missing"),
        ("tests: []\nmore: 1", 2, "`more` is not known here"),
        ("tests: 1", 1, "this is a list"),
        ("tests:\n  - request: {}", 2, "`name` is missing"),
        ("tests:\n  - { name: a, steps: [] }", 2, "this test has no steps"),
        ("tests:\n  - { name: a, table: [] }", 2, "a table has at least one row"),
        ("tests:\n  - { name: a, at: today, request: {}, expect: allow }", 2, "this is a time"),
        (
            "tests:\n  - { name: a, state: {}, request: {}, expect: allow }",
            2,
            "without a session nothing is remembered",
        ),
        ("tests:\n  - { name: a, session: { owner: b }, request: {}, expect: allow }", 2, "`principal` is missing"),
    ] {
        assert_fails(&tested(text), SYNTAX, line, says);
    }
}

#[test]
fn attributes_are_of_the_schemas_types() {
    let export = |more: &str| {
        format!("- request: {{ action: export, resource: 'Document::\"1\"', attributes: {{ format: csv, {more} }} }}\n")
    };
    assert_passes(&steps(&format!(
        "{}  expect: allow\n{}  expect: {{ policies: [price] }}",
        export("rows: 5, price: 9.50, from: 10.0.0.1, to: ['Team::\"t\"'], more: { bulk: true }"),
        export("price: '10.5'"),
    )));
}

#[test]
fn sessions_are_what_a_test_says() {
    let read = "request: { action: read, resource: 'Document::\"1\"' }";
    for (session, reason) in [
        ("{ principal: 'Agent::\"a\"' }", "permitted"),
        ("{ principal: 'Agent::\"a\"', ended: revoked }", "session_revoked"),
        ("{ principal: 'Agent::\"a\"', ended: completed }", "session_completed"),
        ("{ principal: 'Agent::\"a\"', idle_timeout: 10m, used: 11m, opened: 1h }", "session_idle"),
        ("{ principal: 'Agent::\"a\"', opened: 11h }", "forbidden"),
        ("{ principal: 'Agent::\"a\"', scope: [{ actions: [export] }] }", "out_of_scope"),
        ("{ principal: 'Agent::\"a\"', scope: 'permit (principal, action, resource);' }", "permitted"),
        (
            "{ principal: 'Agent::\"a\"', scope: 'permit (principal, action == Action::\"x\", resource);' }",
            "out_of_scope",
        ),
        ("{ principal: 'Agent::\"a\"', binding: { spiffe_id: 'spiffe://example.org/a' } }", "permitted"),
        ("{ principal: 'Agent::\"a\"', binding: { spiffe_id: 'spiffe://example.org/b' } }", "binding_mismatch"),
        ("{ principal: 'Agent::\"a\"', binding: { zones: [office] } }", "permitted"),
        ("{ principal: 'Agent::\"a\"', binding: { zones: [home] } }", "binding_mismatch"),
        ("{ principal: 'Agent::\"gone\"' }", "principal_suspended"),
        ("{ principal: 'Agent::\"a\"', parent: { principal: 'Agent::\"gone\"' } }", "principal_suspended"),
        ("{ principal: 'Agent::\"a\"', parent: { principal: 'Agent::\"b\"', ended: revoked } }", "session_revoked"),
        ("~", "permitted"),
    ] {
        let presenter = "presenter: { spiffe_id: 'spiffe://example.org/a', address: 10.1.2.3 }";
        let entities = "entities: [{ uid: 'Agent::\"gone\"', attrs: { suspended: true } }]";
        let head = format!("{presenter}\n{entities}\ntests:\n");
        let test = format!("  - {{ name: it, session: {session}, {read}, expect: {{ reason: {reason} }} }}\n");
        assert_passes(&tested(&format!("{head}{test}")));
    }
}

#[test]
fn entities_of_a_test_are_added_to_those_of_its_file() {
    let read = |document: &str, policy: &str| {
        format!(
            "      - {{ request: {{ action: read, resource: 'Document::\"{document}\"' }}, expect: {{ policies: [{policy}] }} }}\n"
        )
    };
    let entities =
        |document: &str| format!("entities: [{{ uid: 'Document::\"{document}\"', attrs: {{ owner: nobody }} }}]\n");
    assert_passes(&tested(&format!(
        "{SESSION}{}tests:\n  - name: one\n    {}    steps:\n{}{}  - name: two\n    steps:\n{}{}",
        entities("1"),
        entities("2"),
        read("1", "owner"),
        read("2", "owner"),
        read("1", "owner"),
        read("2", "reads"),
    )));
    let unknown = format!("{SESSION}entities: [{{ uid: 'Person::\"1\"' }}]\ntests: []");
    assert_fails(&tested(&unknown), SYNTAX, 2, "Person");
}

#[test]
fn time_is_the_tests_own() {
    assert_passes(&tested(&format!(
        "{SESSION}at: 2030-06-01T00:00:00Z\ntests:\n  - name: it\n    session: {{ idle_timeout: 30m }}\n    steps:\n{}",
        "      - { after: 30m, request: { action: read, resource: 'Document::\"1\"' }, expect: allow }\n\
         \x20     - { after: 30m, request: { action: read, resource: 'Document::\"1\"' }, expect: allow }\n\
         \x20     - { after: 31m, request: { action: read, resource: 'Document::\"1\"' }, expect: { reason: session_idle } }\n\
         \x20     - { after: 10h, request: { action: read, resource: 'Document::\"1\"' }, expect: { reason: session_expired } }\n"
    )));
}

#[test]
fn revocation_ends_the_session_for_the_next_step() {
    assert_passes(&steps(
        r#"
- request: { action: read, resource: 'Document::"trap"' }
  expect: { outcome: deny, effects: ["revoke session", "alert trap:critical"] }
- request: { action: read, resource: 'Document::"1"' }
  expect: { reason: session_revoked }
"#,
    ));
    let tested = tested(
        "session: { principal: 'Agent::\"a\"', parent: { principal: 'Agent::\"b\"' } }\n\
         tests:\n  - name: it\n    steps:\n\
         \x20     - { request: { action: read, resource: 'Document::\"bomb\"' }, expect: { effects: [revoke tree] } }\n\
         \x20     - { request: { action: read, resource: 'Document::\"1\"' }, expect: { reason: session_revoked } }\n",
    );
    assert_passes(&tested);
}

#[test]
fn approvals_are_for_what_was_asked_and_are_used_up() {
    let export = "request: { action: export, resource: 'Document::\"pii\"', attributes: { format: csv } }";
    assert_passes(&steps(&format!(
        "- {{ {export}, expect: {{ outcome: challenge, step_ups: [pii], policies: [pii] }} }}\n\
         - approve: pii\n\
         - {{ {export}, expect: {{ outcome: allow, effects: [approval, count exports/1h += 1, \
           count principal:exports += 1, 'remember tree:documents/2h = Document::\"pii\"', risk +20] }} }}\n\
         - {{ {export}, expect: challenge }}\n\
         - approve: {{ step_up: pii, uses: 2, scope: tree, for: 20m }}\n\
         - {{ {export}, expect: allow }}\n\
         - {{ after: 21m, {export}, expect: challenge }}\n"
    )));
    let too_long = format!("- {{ {export}, expect: challenge }}\n- approve: {{ step_up: pii, for: 21m }}");
    assert_fails(&steps(&too_long), SYNTAX, 6, "at most 1200 s");
}

#[test]
fn raw_requests_go_through_the_mapping() {
    let http = |http: &str, expect: &str| steps(&format!("- {{ request: {{ http: {http} }}, expect: {expect} }}"));
    for (given, expect) in [
        (
            "{ path: /documents/1 }",
            "{ outcome: allow, changes: { set: { x-who: a }, remove: [authorization, x-session] } }",
        ),
        ("\"GET /documents/1 HTTP/1.1\"", "allow"),
        ("{ path: /documents/1, headers: { x-session: '${session}' } }", "allow"),
        ("{ path: /documents/1, headers: { x-session: chp_other } }", "{ reason: session_unknown }"),
        ("{ path: /documents/1, headers: { x-session: [a, b] } }", "{ reason: undecodable }"),
        ("{ path: /documents//1 }", "{ reason: undecodable }"),
        ("{ path: /other }", "{ reason: no_permit }"),
    ] {
        assert_passes(&http(given, expect));
    }
    assert_passes(&steps(
        "- { request: { decoder: { name: db, text: select 1 from a } }, expect: { reason: no_permit } }",
    ));
    assert_passes(&steps("- { request: { decoder: { name: db, text: selekt } }, expect: { reason: undecodable } }"));
}

#[test]
fn rows_of_a_table_are_tests_of_their_own() {
    let tested = tested(&format!(
        "{SESSION}tests:\n  - name: it\n    table:\n      - {{ document: 1, outcome: allow }}\n      \
         - {{ document: trap, outcome: allow }}\n      - {{ document: 2, outcome: allow }}\n    \
         request: {{ action: read, resource: 'Document::\"${{document}}\"' }}\n    expect: '${{outcome}}'\n"
    ));
    let names: Vec<_> = tested.cases.iter().map(|case| (case.name.as_str(), case.problems.is_empty())).collect();
    let shown =
        ["it [document=1, outcome=allow]", "it [document=trap, outcome=allow]", "it [document=2, outcome=allow]"];
    assert_eq!(names, [(shown[0], true), (shown[1], false), (shown[2], true)]);
    // At the row: that is what is wrong, or not.
    assert_fails(&tested, FAILED, 6, "expected `allow`, found `deny`");
}

#[test]
fn first_step_that_fails_ends_its_test_and_no_other() {
    let tested = tested(&format!(
        "{SESSION}tests:\n  - name: one\n    steps:\n      \
         - {{ name: first, request: {{ action: read, resource: 'Document::\"1\"' }}, expect: deny }}\n      \
         - {{ request: {{ action: read, resource: 'Document::\"1\"' }}, expect: deny }}\n  \
         - {{ name: two, request: {{ action: read, resource: 'Document::\"1\"' }}, expect: allow }}\n"
    ));
    assert_fails(&tested, FAILED, 5, "one, step 1 (first): the outcome");
    assert_eq!(tested.cases.iter().map(|case| case.steps).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn filter_takes_names_and_files() {
    let text = format!(
        "{SESSION}tests:\n  - {{ name: one, request: {{ action: read, resource: 'Document::\"1\"' }}, expect: allow }}\n  \
         - {{ name: two, request: {{ action: read, resource: 'Document::\"1\"' }}, expect: deny }}\n"
    );
    let source = source(&text);
    for (filter, count) in [("one", 1), ("a.yaml", 2), ("three", 0)] {
        let options = Options { filter: Some(filter), ..Options::default() };
        assert_eq!(run(&source, Arc::clone(&BUNDLE), &options).cases.len(), count, "{filter}");
    }
}

#[test]
fn limits_hold_and_fail() {
    let rows = "{ d: 1 }, ".repeat(STEPS_MAX / 2 + 1);
    let text = format!(
        "{SESSION}tests:\n  - name: it\n    table: [{rows}]\n    steps:\n      \
         - {{ request: {{ action: read, resource: 'Document::\"${{d}}\"' }}, expect: allow }}\n      \
         - {{ request: {{ action: read, resource: 'Document::\"2\"' }}, expect: allow }}\n"
    );
    assert_fails(&tested(&text), LIMIT, 3, "more than 10000 steps");
    let source = source(&text);
    let options = Options { time_max: Some(Duration::ZERO), ..Options::default() };
    let tested = run(&source, Arc::clone(&BUNDLE), &options);
    assert_fails(&tested, LIMIT, 0, "the tests take longer than 0 s");
    assert!(!tested.passed());
}

#[test]
fn upload_is_told_of_the_first_problems_only() {
    let rows = "{ d: 1 }, ".repeat(500);
    let text = format!(
        "{SESSION}tests:\n  - name: it\n    table: [{rows}]\n    \
         request: {{ action: read, resource: 'Document::\"${{d}}\"' }}\n    expect: deny\n"
    );
    let source = source(&text);
    assert_eq!(problems(&source, Arc::clone(&BUNDLE)).len(), PROBLEMS_MAX);
    let none =
        BundleSource { files: source.files.into_iter().filter(|(path, _)| !path.starts_with("tests/")).collect() };
    assert!(problems(&none, Arc::clone(&BUNDLE)).is_empty());
}

#[test]
fn coverage_tells_what_no_test_has_met() {
    let source = source(&format!(
        "{SESSION}tests:\n  - {{ name: one, request: {{ action: export, resource: 'Document::\"1\"', \
         attributes: {{ format: csv }} }}, expect: allow }}\n"
    ));
    let coverage = Rc::new(Coverage::new(&source, &BUNDLE).expect("they go together"));
    let options = Options { coverage: Some(Rc::clone(&coverage)), ..Options::default() };
    assert_passes(&run(&source, Arc::clone(&BUNDLE), &options));
    let policies = coverage.policies();
    let determined = policies.iter().filter(|policy| policy.determined > 0).map(|policy| policy.id.as_str());
    assert_eq!(determined.collect::<Vec<_>>(), ["exports"]);
    let limit = policies.iter().find(|policy| policy.id == "three-an-hour").expect("it is there");
    assert_eq!((limit.conditions[0].was_true, limit.conditions[0].was_false), (0, 1));
}
