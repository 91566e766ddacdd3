use super::*;
use crate::compiled::Uid;
use crate::entities::EntityRecord;
use crate::value::Value;

const SCHEMA: &str = r#"entity Agent in [Team] = { suspended?: Bool };
entity Team;
entity Document = { owner: String, sensitivity?: String };
action read in [Chaperone::Action::"data.read"] appliesTo {
  principal: [Agent, Chaperone::Workload], resource: [Document],
  context: { session: Chaperone::Session, tree: Chaperone::Tree, request: {} } };
action export in [Chaperone::Action::"data.export"] appliesTo {
  principal: [Agent], resource: [Document],
  context: { session: Chaperone::Session, tree: Chaperone::Tree,
             request: { format: String, rows?: Long, from?: ipaddr } } };
"#;
const POLICY: &str = "@id(\"read\")\npermit (principal, action == Action::\"read\", resource);\n";

fn source(files: &[(&str, &str)]) -> BundleSource {
    let mut source = BundleSource::default();
    for (path, text) in [(schema::PATH, SCHEMA), ("policies/main.cedar", POLICY)].iter().chain(files) {
        source.files.insert((*path).to_owned(), (*text).to_owned());
    }
    source
}

fn compile(files: &[(&str, &str)]) -> Result<Bundle, Vec<Problem>> {
    Bundle::compile(&source(files))
}

/// Each problem as `file:line:column code`.
fn places(files: &[(&str, &str)]) -> Vec<String> {
    let problems = compile(files).expect_err("the bundle is refused");
    let place = |problem: &Problem| format!("{}:{}:{} {}", problem.file, problem.line, problem.column, problem.code);
    problems.iter().map(place).collect()
}

/// Each problem of `policies/main.cedar` as `line code`.
fn policy_problems(text: &str) -> Vec<String> {
    let problems = compile(&[("policies/main.cedar", text)]).expect_err("the bundle is refused");
    problems.iter().map(|problem| format!("{} {}", problem.line, problem.code)).collect()
}

#[test]
fn valid_bundle_compiles() {
    let entities =
        r#"[{ "uid": { "type": "Agent", "id": "a" }, "attrs": {}, "parents": [{ "type": "Team", "id": "t" }] }]"#;
    let bundle = compile(&[("bundle.toml", "name = \"docs\""), ("entities.json", entities)]).expect("valid");
    assert_eq!(bundle.manifest().name, "docs");
    assert_eq!((bundle.policy_count(), bundle.policy_ids().collect::<Vec<_>>()), (1, vec!["read"]));
    assert!(bundle.entities([]).is_ok());
}

#[test]
fn tests_are_files_of_a_bundle_and_change_nothing_that_is_decided_with() {
    // The text names a decoder's action, which in any other file would have the schema supply that.
    let text = "Chaperone::Action::\"sql.select\"";
    let with_tests = compile(&[("tests/a.yaml", text), ("tests/more/b.yaml", text)]).expect("valid");
    let without = compile(&[]).expect("valid");
    assert_eq!(with_tests.schema_digest(), without.schema_digest());
    assert_eq!(with_tests.shapes(), without.shapes());
    assert_ne!(source(&[("tests/a.yaml", text)]).digest(), source(&[]).digest());
    for path in ["tests/a.yml", "tests/.yaml", "tests/../a.yaml", "tests/a.json", "test/a.yaml"] {
        assert_eq!(places(&[(path, "")]), [format!("{path}:0:0 unknown_file")]);
    }
}

#[test]
fn nul_and_control_characters_in_paths_are_refused() {
    for path in ["policies/a\0.cedar", "policies/a\n.cedar", "tests/a\u{85}/b.yaml"] {
        assert_eq!(places(&[(path, "")]), [format!("{path}:0:0 unknown_file")]);
    }
    for path in ["policies/a.cedar", "bundle.toml", "tests/a.yaml"] {
        assert_eq!(places(&[(path, "# a\0b\n")]), [format!("{path}:0:0 nul_character")]);
    }
    assert!(compile(&[("policies/a.cedar", "// a\tb\r\n")]).is_ok());
}

#[test]
fn every_problem_of_every_file_is_reported_at_once() {
    let first = "@id(\"read\")\npermit (principal, action == Action::\"read\", resource);\n\n\
        permit (principal, action, resource);\n\
        @id(\"a\") permit (principal == ?principal, action, resource);\n";
    let second = "@id(\"b\") permit (principal, action, resource) when { oops };\n";
    let third = "@id(\"c\")\n@reason(\"{who}\")\n@stepup(\"two words\")\nforbid (principal is Person, action, resource);\n\
        @id(\"c\")\nforbid (principal, action, resource is Document) when { resource.owner.size };\n\
        @id(\"not valid\") permit (principal, action, resource);\n";
    let entities = "[\n  { \"uid\": { \"type\": \"Agent\", \"id\": \"a\" }, \"attrs\": { \"age\": 3 }, \"parents\": [] },\n  \
        { \"uid\": { \"type\": \"Ghost\", \"id\": \"g\" }, \"attrs\": {}, \"parents\": [] }\n]";
    let found = places(&[
        ("bundle.toml", "name = 3\n"),
        ("policies/main.cedar", first),
        ("policies/second.cedar", second),
        ("policies/third.cedar", third),
        ("entities.json", entities),
    ]);
    let expected = [
        "bundle.toml:1:8 manifest_syntax",
        "entities.json:2:3 entities_type",
        "entities.json:3:3 entities_type",
        "policies/main.cedar:5:1 policy_template",
        "policies/second.cedar:1:54 policy_syntax",
        "policies/third.cedar:2:1 reason_placeholder",
        "policies/third.cedar:3:10 annotation_syntax",
        "policies/third.cedar:4:22 policy_type",
        "policies/third.cedar:5:1 policy_id_duplicate",
        "policies/third.cedar:6:57 policy_type",
        "policies/third.cedar:7:1 policy_id_invalid",
    ];
    assert_eq!(found, expected);
}

#[test]
fn ids_are_required_valid_and_unique_over_all_files() {
    let other = "@id(\"read\") permit (principal, action, resource);\npermit (principal, action, resource);\n";
    let found = places(&[("policies/other.cedar", other)]);
    assert_eq!(found, ["policies/other.cedar:1:1 policy_id_duplicate", "policies/other.cedar:2:1 policy_id_missing"]);
    let problems = compile(&[("policies/other.cedar", other)]).expect_err("refused");
    assert!(problems[0].help.contains("policies/main.cedar:1:1"), "{}", problems[0].help);
    assert_eq!(policy_problems("@id permit (principal, action, resource);"), ["1 policy_id_invalid"]);
    assert_eq!(policy_problems("@id(\"\") permit (principal, action, resource);"), ["1 policy_id_invalid"]);
}

#[test]
fn annotations_of_other_families_are_allowed() {
    let text = "@id(\"a\") @advice(\"x\") @owner(\"me\") permit (principal, action, resource);";
    assert!(compile(&[("policies/main.cedar", text)]).is_ok());
}

#[test]
fn broken_schema_hides_type_errors_only() {
    let found = places(&[
        ("schema.cedarschema", "entity Agent;\nentity Document in [Nowhere];\n"),
        ("policies/main.cedar", "permit (principal is Person, action, resource);"),
        ("entities.json", "[{]"),
    ]);
    assert_eq!(
        found,
        [
            "entities.json:1:3 entities_syntax",
            "policies/main.cedar:1:1 policy_id_missing",
            "schema.cedarschema:2:21 schema_type",
        ]
    );
}

#[test]
fn missing_files_are_named() {
    let problems = Bundle::compile(&BundleSource::default()).expect_err("nothing is there");
    let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["policies_missing", "schema_missing"]);
}

#[test]
fn problem_shows_the_place_and_the_way_out() {
    let problems = compile(&[("policies/main.cedar", "@id(\"a\")\npermit (principal is Agnet, action, resource);")])
        .expect_err("a misspelt type");
    let text = problems[0].to_string();
    assert!(text.contains("policies/main.cedar:2:22: unrecognized entity type `Agnet` [policy_type]"), "{text}");
    assert!(text.contains("2 | permit (principal is Agnet, action, resource);"), "{text}");
    assert!(text.contains("help: did you mean `Agent`?"), "{text}");
}

#[test]
fn entities_are_checked_one_by_one() {
    let entities = "[\n{ \"uid\": { \"type\": \"Team\", \"id\": \"a\" }, \"attrs\": {}, \"parents\": [] },\n\
        { \"uid\": { \"type\": \"Team\", \"id\": \"a\" }, \"attrs\": {}, \"parents\": [] },\n\
        { \"uid\": { \"type\": \"Document\", \"id\": \"d\" }, \"attrs\": {}, \"parents\": [] },\n3\n]";
    let found = places(&[("entities.json", entities)]);
    assert_eq!(
        found,
        ["entities.json:3:1 entities_type", "entities.json:4:1 entities_type", "entities.json:5:1 entities_type"]
    );
}

#[test]
fn entities_that_are_their_own_ancestors_are_refused() {
    let schema = format!("{SCHEMA}entity Folder in [Folder];\n");
    let entities = "[\n{ \"uid\": { \"type\": \"Folder\", \"id\": \"a\" }, \"attrs\": {}, \"parents\": [{ \"type\": \"Folder\", \"id\": \"b\" }] },\n\
        { \"uid\": { \"type\": \"Folder\", \"id\": \"b\" }, \"attrs\": {}, \"parents\": [{ \"type\": \"Folder\", \"id\": \"a\" }] }]";
    assert_eq!(
        places(&[("schema.cedarschema", &schema), ("entities.json", entities)]),
        ["entities.json:2:1 entities_type"]
    );
}

#[test]
fn stored_entities_stand_before_the_bundle_s_own() {
    let entities = r#"[{ "uid": { "type": "Agent", "id": "a" }, "attrs": { "suspended": true }, "parents": [] }]"#;
    let bundle = compile(&[("entities.json", entities)]).expect("valid");
    let uid = EntityRef::new("Agent", "a");
    let is_suspended = |store: &EntityStore| store.find(&Uid::new(uid.clone())).is_some_and(EntityRecord::is_suspended);
    assert!(is_suspended(&bundle.entities([]).expect("valid")));
    let stored =
        Entity { uid: uid.clone(), attributes: Attributes::new(), tags: Attributes::new(), parents: Vec::new() };
    assert!(!is_suspended(&bundle.entities([&stored]).expect("valid")));
}

#[test]
fn stored_entities_are_checked_all_at_once() {
    let bundle = compile(&[]).expect("valid");
    let entity = |kind: &str, name: &str, value: Value| Entity {
        uid: EntityRef::new(kind, "x"),
        attributes: Attributes::from([(name.into(), value)]),
        tags: Attributes::new(),
        parents: Vec::new(),
    };
    let stored = [
        entity("Agent", "suspended", Value::Bool(true)),
        entity("Agent", "suspended", Value::Long(1)),
        entity("Ghost", "a", Value::Bool(true)),
        entity("not a type", "a", Value::Bool(true)),
        entity("Chaperone::Action", "a", Value::Bool(true)),
    ];
    let errors = bundle.entities(&stored).expect_err("four of them are refused");
    let kinds: Vec<_> = errors.iter().map(|error| error.uid.kind.as_str()).collect();
    assert_eq!(kinds, ["Agent", "Ghost", "not a type", "Chaperone::Action"]);
}

#[test]
fn request_is_completed_and_checked() {
    let bundle = compile(&[]).expect("valid");
    let document = || EntityRef::new("Document", "1");
    let request = |action: &str, resource, attributes: &[(&str, Value)]| {
        let attributes = attributes.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        bundle.request(action, resource, attributes)
    };
    let read = request("read", document(), &[]).expect("valid");
    assert_eq!(read.action, EntityRef::new("Action", "read"));
    assert_eq!(request("Action::\"read\"", document(), &[]), Ok(read));
    let format = ("format", Value::String("csv".into()));
    assert!(request("export", document(), &[format.clone(), ("from", Value::Ip("10.0.0.1".into()))]).is_ok());
    for (action, resource, attributes, field) in [
        ("write", document(), vec![], "action"),
        ("data.read", document(), vec![], "action"),
        ("read", EntityRef::new("Team", "t"), vec![], "resource"),
        ("export", document(), vec![], "attributes.format"),
        ("export", document(), vec![("format", Value::Long(1))], "attributes.format"),
        ("export", document(), vec![format.clone(), ("more", Value::Long(1))], "attributes.more"),
        ("export", document(), vec![format.clone(), ("from", Value::Ip("here".into()))], "attributes.from"),
    ] {
        let error = request(action, resource, &attributes).expect_err(field);
        assert_eq!(error.field, field);
    }
}

#[test]
fn hostile_text_is_refused_not_a_crash() {
    let long = 100_000;
    for condition in ["(", "[", "{", "!", "-", "1 + ", "true && ", "true || ", "if true then 1 else ", "a.", "ip("] {
        let text = format!("@id(\"a\") permit (principal, action, resource) when {{ {} }};", condition.repeat(long));
        assert!(compile(&[("policies/main.cedar", &text)]).is_err(), "{condition}");
    }
    let when = "when { true } ".repeat(long);
    assert!(
        compile(&[("policies/main.cedar", &format!("@id(\"a\") permit (principal, action, resource) {when};"))])
            .is_err()
    );
    let json = "[".repeat(long);
    assert!(compile(&[("entities.json", &json), ("bundle.toml", &format!("name = {json}"))]).is_err());
}

/// Threads of servers have 2 MiB: what is accepted must compile, evaluate and be dropped on one.
#[test]
fn deepest_accepted_text_fits_a_small_stack() {
    use crate::nesting::{BRACKETS_MAX, DEPTH_MAX};
    let deep = |part: &str, times: usize, middle: &str, end: &str| {
        format!(
            "@id(\"a\") permit (principal, action, resource) when {{ {}{middle}{} }};",
            part.repeat(times),
            end.repeat(times)
        )
    };
    let texts = [
        deep("(", BRACKETS_MAX - 2, "true", ")"),
        deep("[true].contains(", BRACKETS_MAX - 2, "true", ")"),
        deep("true && ", DEPTH_MAX - 20, "true", ""),
        deep("true || ", DEPTH_MAX - 20, "true", ""),
        deep("if true then true else ", DEPTH_MAX - 20, "true", ""),
        "@id(\"a\") permit (principal, action, resource) ".to_owned() + &"when { true } ".repeat(DEPTH_MAX - 20) + ";",
    ];
    let test = move || {
        for text in &texts {
            let bundle = compile(&[("policies/main.cedar", text)]).expect("accepted");
            let request =
                bundle.request("read", EntityRef::new("Document", "1"), Attributes::default()).expect("valid");
            let principal = EntityRef::new("Chaperone::Workload", "spiffe://example.com/a");
            let decision = crate::decide(
                &bundle,
                &bundle.entities([]).expect("valid"),
                &request,
                crate::Authority::Principal(&principal),
                &crate::Presenter::default(),
                crate::Timestamp::default(),
            );
            assert_eq!(decision.reason, crate::Reason::Permitted, "{text}");
        }
    };
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(test).expect("a thread");
    thread.join().expect("no overflow");
}
