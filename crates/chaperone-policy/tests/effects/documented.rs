//! The examples of docs/policies.md.

use chaperone_policy::{Bundle, BundleSource};

const SCHEMA: &str = r#"
entity Agent;
entity Document = { sensitivity?: String };
type Context = { session: Chaperone::Session, tree: Chaperone::Tree, principal: Chaperone::Principal, request: {} };
action read in [Chaperone::Action::"data.read"] appliesTo {
  principal: [Agent], resource: [Document], context: {
    session: Chaperone::Session, tree: Chaperone::Tree, principal: Chaperone::Principal,
    request: { source_ip: ipaddr } } };
action edit, send in [Chaperone::Action::"net.egress", Chaperone::Action::"privileged"] appliesTo {
  principal: [Agent], resource: [Document], context: Context };
action pay appliesTo {
  principal: [Agent], resource: [Document], context: {
    session: Chaperone::Session, principal: Chaperone::Principal, request: { cents: Long } } };
action test, promote appliesTo { principal: [Agent], resource: [Document], context: Context };
action login appliesTo { principal: [Agent], resource: [Document], context: { request: { password_ok: Bool } } };
"#;

/// The blocks of a language in a text that begin so.
fn blocks<'t>(text: &'t str, language: &str, beginning: &str) -> String {
    let fence = format!("```{language}\n{beginning}");
    let blocks = text.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next());
    blocks.collect::<Vec<&'t str>>().concat()
}

#[test]
fn examples_of_what_policies_do_are_valid() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policies.md");
    let text = std::fs::read_to_string(path).expect("it is there");
    let section = text.split("\n## ").find(|section| section.starts_with("What a policy can do")).expect("it is there");
    let mut source = BundleSource::default();
    source.files.insert("bundle.toml".into(), blocks(section, "toml", "# bundle.toml"));
    source.files.insert("mapping.toml".into(), blocks(section, "toml", "# mapping.toml"));
    source.files.insert("schema.cedarschema".into(), SCHEMA.into());
    source.files.insert("policies/main.cedar".into(), blocks(section, "cedar", ""));
    let bundle = Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!((bundle.policy_count(), bundle.manifest().risk.decay_per_hour), (13, 10));
}
