use super::*;
use crate::convert;
use crate::source::BundleSource;

fn bundle() -> Bundle {
    let schema = "
        entity Agent; entity Folder in [Folder]; entity Document in [Folder] = { owner: String };
        action reads;
        action read in [reads] appliesTo { principal: Agent, resource: Document, context: { request: {} } };
        namespace Docs { action export appliesTo { principal: Agent, resource: Document, context: { request: {} } }; }
    ";
    let mut source = BundleSource::default();
    source.files.insert("schema.cedarschema".into(), schema.into());
    source.files.insert("policies/a.cedar".into(), "@id(\"a\") permit (principal, action, resource);".into());
    Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn grant(actions: &[&str], resources: &[(&str, &str)]) -> Grant {
    Grant {
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        resources: resources.iter().map(|(kind, id)| EntityRef::new(*kind, *id)).collect(),
    }
}

fn text(grants: &[Grant]) -> Result<String, ScopeError> {
    Scope::from_grants(grants, &bundle()).map(|scope| scope.source().unwrap_or_default().to_owned())
}

#[test]
fn grants_become_the_policies_that_say_so() {
    let grants = [
        grant(&["read", "Docs::Action::\"export\""], &[("Document", "1"), ("Folder", "open")]),
        grant(&["reads"], &[]),
        grant(&[], &[("Document", "2")]),
    ];
    let expected = "permit (principal, action in [Action::\"read\", Docs::Action::\"export\"], resource in Document::\"1\");\n\
        permit (principal, action in [Action::\"read\", Docs::Action::\"export\"], resource in Folder::\"open\");\n\
        permit (principal, action in [Action::\"reads\"], resource);\n\
        permit (principal, action, resource in Document::\"2\");\n";
    assert_eq!(text(&grants), Ok(expected.to_owned()));
}

#[test]
fn written_grants_are_valid_scopes() {
    let bundle = bundle();
    let scope = Scope::from_grants(&[grant(&["read"], &[("Folder", "open")])], &bundle).expect("valid");
    assert_eq!(bundle.check_scope(&scope), Ok(()));
}

#[test]
fn no_id_can_leave_its_quotes() {
    for id in ["\"); permit (principal, action, resource); //", "\\", "a\nb", "\u{0}\u{7f}é🦀", "?principal"] {
        let bundle = bundle();
        let scope = Scope::from_grants(&[grant(&["read"], &[("Document", id)])], &bundle).expect("valid");
        let Scope::Policies(policies) = &scope else { panic!("policies") };
        let [policy] = policies.policies.as_slice() else { panic!("one policy: {id:?}") };
        let constraint = policy.resource_constraint();
        let named = constraint.as_inner().get_euid().expect("an identity");
        assert_eq!(convert::entity_ref(named), EntityRef::new("Document", id));
    }
}

#[test]
fn grants_of_what_the_schema_does_not_know_are_refused() {
    for grants in [
        vec![],
        vec![grant(&["write"], &[])],
        vec![grant(&["read\", Action::\"reads"], &[])],
        vec![grant(&["read"], &[("Ghost", "1")])],
        vec![grant(&["read"], &[("Document::\"1\") || true; //", "1")])],
        vec![grant(&["read"], &[("Document", "x".repeat(SCOPE_BYTES_MAX).as_str())])],
    ] {
        assert!(text(&grants).is_err(), "{grants:?}");
    }
}

#[test]
fn scope_that_is_no_plain_policies_is_refused() {
    let too_long = format!("permit (principal, action, resource);{}", " ".repeat(SCOPE_BYTES_MAX));
    for source in ["permit", "permit (principal == ?principal, action, resource);", &too_long, &"(".repeat(1_000)] {
        assert!(Scope::parse(source).is_err());
    }
    let error = Scope::parse("permit (principal, action, resource);\npermit (").expect_err("it ends early");
    assert!(error.message.starts_with("line 2, column "), "{error}");
}

#[test]
fn scope_is_checked_against_the_schema() {
    let bundle = bundle();
    let scope = Scope::parse(
        "permit (principal, action, resource);\npermit (principal is Ghost, action, resource);\n\
         permit (principal, action, resource is Document) when { resource.size > 3 };",
    );
    let problems = bundle.check_scope(&scope.expect("it parses")).expect_err("two mistakes");
    let places: Vec<_> = problems.iter().map(|problem| (problem.file.as_str(), problem.line, problem.code)).collect();
    assert_eq!(places, [("scope", 2, "policy_type"), ("scope", 3, "policy_type")]);
    assert_eq!(bundle.check_scope(&Scope::Unrestricted), Ok(()));
}
