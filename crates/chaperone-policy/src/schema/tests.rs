use super::*;
use crate::shape::Type;

fn compile(text: &str) -> Result<CompiledSchema, Vec<Problem>> {
    CompiledSchema::compile(text, Decoders::default(), MemoryLayout::default())
}

fn problems(text: &str) -> Vec<(u32, &'static str)> {
    let problems = compile(text).expect_err("the schema is refused");
    problems.iter().map(|problem| (problem.line, problem.code)).collect()
}

const VALID: &str = r#"
entity Agent in [Team] = { suspended?: Bool };
entity Team;
entity Document = { owner: String };
action read in [Chaperone::Action::"data.read"] appliesTo {
  principal: [Agent, Chaperone::Workload], resource: [Document],
  context: { session: Chaperone::Session, tree: Chaperone::Tree, request: {} } };
action export in [Chaperone::Action::"data.export"] appliesTo {
  principal: [Agent], resource: [Document],
  context: { request: { format: String, rows?: Long, from?: ipaddr, tags?: Set<String>, to?: Agent } } };
"#;

#[test]
fn supplied_schema_stands_alone() {
    let schema = compile("").expect("an empty schema is valid");
    assert_eq!(schema.shapes().len(), 3, "http, grpc and tcp");
}

#[test]
fn generic_actions_apply_to_every_principal_type() {
    let schema = compile(VALID).expect("valid");
    let shape = &schema.shapes()[&EntityRef::new("Chaperone::Action", "http")];
    assert_eq!(shape.principals, ["Agent", "Chaperone::Workload"]);
    assert_eq!(shape.resources, ["Chaperone::Endpoint"]);
    assert_eq!(shape.attributes["source_ip"].ty, Type::Ip);
    assert!(!shape.attributes["source_ip"].required);
}

#[test]
fn shapes_say_what_the_schema_says() {
    let schema = compile(VALID).expect("valid");
    let shape = &schema.shapes()[&EntityRef::new("Action", "export")];
    assert_eq!(shape.attributes["format"].ty, Type::String);
    assert_eq!(shape.attributes["tags"].ty, Type::Set(Box::new(Type::String)));
    assert_eq!(shape.attributes["to"].ty, Type::Entity("Agent".into()));
    assert!(shape.attributes["format"].required && !shape.attributes["rows"].required);
}

#[test]
fn actions_know_their_groups_and_what_they_read() {
    let schema = compile(VALID).expect("valid");
    let action = schema.action(&schema.shapes()[&EntityRef::new("Action", "export")]).expect("declared");
    let groups: Vec<_> = action.groups.iter().map(|group| group.name().clone()).collect();
    assert_eq!(groups, [EntityRef::new("Chaperone::Action", "data.export")]);
    assert!(!action.reads_session && !action.reads_tree);
}

#[test]
fn reserved_namespace_is_refused() {
    assert_eq!(problems("entity A;\nnamespace Chaperone { entity B; }"), [(2, "schema_namespace")]);
    assert_eq!(problems("namespace Chaperone::Mine { entity B; }"), [(1, "schema_namespace")]);
    assert!(compile("namespace ChaperoneMine { entity B; }").is_ok());
}

#[test]
fn syntax_and_type_errors_have_a_place() {
    assert_eq!(problems("entity A;\nentity ;"), [(2, "schema_syntax")]);
    assert_eq!(problems("entity A;\nentity B in [Nowhere];"), [(2, "schema_type")]);
}

#[test]
fn action_context_is_checked_for_every_action() {
    let text = "entity A;\n\
        action one appliesTo { principal: A, resource: A };\n\
        action two appliesTo { principal: A, resource: A, context: { request: {}, more: Long } };\n\
        action \"three\" appliesTo { principal: A, resource: A, context: { request: {}, session: Chaperone::Tree } };\n\
        action four appliesTo { principal: A, resource: A, context: { request: String } };\n\
        action five appliesTo { principal: A, resource: A, context: { request: {} } };\n";
    let mut found = problems(text);
    found.sort_unstable();
    assert_eq!(found, [(2, "action_context"), (3, "action_context"), (4, "action_context"), (5, "action_context")]);
}

#[test]
fn own_types_cannot_change_the_supplied_ones() {
    let text = "type ipaddr = { a: Long };\nentity String;\n";
    if let Ok(schema) = compile(text) {
        let shape = &schema.shapes()[&EntityRef::new("Chaperone::Action", "http")];
        assert_eq!((&shape.attributes["source_ip"].ty, &shape.attributes["host"].ty), (&Type::Ip, &Type::String));
    }
}

#[test]
fn deeply_nested_schema_is_refused_not_a_crash() {
    let text = format!("entity A = {{ a: {}Long{} }};", "Set<".repeat(100_000), ">".repeat(100_000));
    assert_eq!(problems(&text), [(1, "schema_syntax")]);
}

#[test]
fn chain_of_declarations_is_bounded() {
    let chain = |length: usize| {
        let links: Vec<_> = (0..length).map(|link| format!("entity A{link} in [A{}];\n", link + 1)).collect();
        format!("{}entity A{length};\n", links.concat())
    };
    assert!(compile(&chain(100)).is_ok());
    assert_eq!(problems(&chain(100_000)), [(1_001, "schema_syntax")]);
}

#[test]
fn name_that_chaperone_supplies_is_free_in_a_namespace_only() {
    let session = "// A comment that makes the text long enough for any place in it to exist.\nentity Session;\n";
    assert_eq!(problems(session), [(2, "schema_type")]);
    let action = "entity A;\naction http appliesTo { principal: A, resource: A, context: { request: {} } };";
    assert_eq!(problems(action), [(2, "schema_type")]);
    let problems = compile(session).expect_err("refused");
    assert!(problems[0].help.contains("namespace"), "{problems:?}");
    assert!(compile("namespace Mine { entity Session; }").is_ok());
}
