use super::*;

const SCHEMA: &str = r"entity Agent in [Team];
entity Team;
entity Document in [Folder] = { owner: String };
entity Folder;
entity Setting;
action read appliesTo {
  principal: [Agent], resource: [Document],
  context: { session: Chaperone::Session, tree: Chaperone::Tree, principal: Chaperone::Principal, request: {} } };
action export appliesTo {
  principal: [Agent], resource: [Document],
  context: { session: Chaperone::Session, tree: Chaperone::Tree, principal: Chaperone::Principal,
             request: { format: String, rows?: Long } } };
";
/// Lets every action be permitted, without a finding of its own.
const AGENTS: &str = "@id(\"agents\") permit (principal is Agent, action, resource);\n";

/// Each finding of policies beside [`AGENTS`], as `file:line:column code`.
fn findings(policies: &str) -> Vec<String> {
    let policies = format!("{AGENTS}{policies}");
    found(&[("policies/main.cedar", &policies)])
}

fn found(files: &[(&str, &str)]) -> Vec<String> {
    let mut source = BundleSource::default();
    for (path, text) in [(schema::PATH, SCHEMA), ("policies/main.cedar", AGENTS)].iter().chain(files) {
        source.files.insert((*path).to_owned(), (*text).to_owned());
    }
    let found = lint(&source).unwrap_or_else(|problems| panic!("{problems:#?}"));
    found.iter().map(|it| format!("{}:{}:{} {}", it.file, it.line, it.column, it.code)).collect()
}

/// The code that these policies are found for, in their first line.
#[track_caller]
fn assert_found(code: &str, policies: &str) {
    let found = findings(policies);
    assert!(
        found.iter().any(|it| it.starts_with("policies/main.cedar:2:") && it.ends_with(code)),
        "{policies}: {found:?}"
    );
}

#[track_caller]
fn assert_clean(policies: &str) {
    assert_eq!(findings(policies), Vec::<String>::new(), "{policies}");
}

#[test]
fn ordinary_bundle_has_no_findings() {
    assert_clean("");
}

#[test]
fn bundle_with_problems_is_not_looked_at() {
    let source = BundleSource::default();
    assert!(lint(&source).is_err_and(|problems| problems.iter().any(|problem| problem.code == "schema_missing")));
}

#[test]
fn policy_that_applies_to_no_request_is_found() {
    for scope in [
        "(principal is Document, action, resource)",
        "(principal, action == Action::\"read\", resource is Setting)",
        "(principal in Folder::\"f\", action, resource)",
        "(principal, action, resource) when { 1 > 2 }",
        "(principal, action, resource) when { resource is Setting }",
        "(principal, action == Action::\"read\", resource) when { context.request has rows }",
    ] {
        assert_found("policy_unreachable", &format!("@id(\"a\") @reason(\"no\") forbid {scope};"));
        assert_found("policy_unreachable", &format!("@id(\"a\") permit {scope};"));
    }
}

#[test]
fn policy_that_may_apply_is_not_called_unreachable() {
    for scope in [
        "(principal in Team::\"t\", action, resource)",
        "(principal, action == Action::\"export\", resource) when { context.request has rows && context.request.rows > 3 && context.request.rows < 2 }",
        "(principal is Chaperone::Workload, action, resource)",
        "(principal, action, resource == Document::\"not stored\")",
    ] {
        assert_clean(&format!("@id(\"a\") @reason(\"no\") forbid {scope};"));
    }
}

#[test]
fn permit_of_nothing_but_what_is_forbidden_is_found() {
    for (permit, forbid) in [
        ("(principal is Agent, action == Action::\"read\", resource)", "(principal, action, resource)"),
        ("(principal, action == Action::\"read\", resource)", "(principal is Agent, action, resource is Document)"),
        (
            "(principal in Team::\"t\", action, resource == Document::\"d\")",
            "(principal in Team::\"t\", action, resource == Document::\"d\")",
        ),
        (
            "(principal, action == Action::\"read\", resource is Document in Folder::\"f\")",
            "(principal, action, resource in Folder::\"f\")",
        ),
        (
            "(principal, action == Action::\"read\", resource) when { resource.owner == \"a\" && context.session.risk < 3 }",
            "(principal, action, resource is Document) when { resource.owner == \"a\" }",
        ),
    ] {
        let policies = format!("@id(\"a\") permit {permit};\n@id(\"b\") @reason(\"no\") forbid {forbid};\n");
        assert_found("permit_shadowed", &policies);
    }
    let two = "@id(\"a\") permit (principal is Agent, action, resource is Document);\n\
        @id(\"b\") @reason(\"no\") forbid (principal, action == Action::\"read\", resource);\n\
        @id(\"c\") @reason(\"no\") forbid (principal, action == Action::\"export\", resource);\n";
    // Both forbids together take all that it permits.
    assert_found("permit_shadowed", two);
}

#[test]
fn permit_of_more_than_what_is_forbidden_is_no_finding() {
    for (permit, forbid) in [
        (
            "(principal is Agent, action == Action::\"read\", resource)",
            "(principal, action == Action::\"export\", resource)",
        ),
        ("(principal is Agent, action == Action::\"read\", resource)", "(principal in Team::\"t\", action, resource)"),
        (
            "(principal == Agent::\"a\", action == Action::\"read\", resource)",
            "(principal in Team::\"t\", action, resource)",
        ),
        (
            "(principal is Agent, action == Action::\"read\", resource)",
            "(principal, action, resource) when { resource is Document && resource.owner == \"a\" }",
        ),
    ] {
        let policies = format!("@id(\"a\") permit {permit};\n@id(\"b\") @reason(\"no\") forbid {forbid};\n");
        assert!(!findings(&policies).iter().any(|it| it.ends_with("permit_shadowed")), "{policies}");
    }
}

#[test]
fn step_up_and_observer_of_denials_leave_a_permit_its_sense() {
    let permit = "@id(\"a\") permit (principal is Agent, action == Action::\"read\", resource);\n";
    let lifted =
        "@id(\"b\") @reason(\"no\") @stepup(\"people\") forbid (principal, action == Action::\"read\", resource);\n";
    assert_clean(&format!("{permit}{lifted}"));
    let observer = "@id(\"a\") @observe(\"deny\") permit (principal is Agent, action == Action::\"read\", resource);\n";
    let forbid = "@id(\"b\") @reason(\"no\") forbid (principal, action == Action::\"read\", resource);\n";
    assert_clean(&format!("{observer}{forbid}"));
    assert_found("permit_shadowed", &format!("{permit}{forbid}"));
}

#[test]
fn forbid_without_a_reason_is_found() {
    assert_found("reason_missing", "@id(\"a\") forbid (principal, action, resource == Document::\"d\");");
    assert_found(
        "reason_missing",
        "@id(\"a\") @stepup(\"x\") forbid (principal, action, resource == Document::\"d\");",
    );
    assert_clean("@id(\"a\") @reason(\"it is secret\") forbid (principal, action, resource == Document::\"d\");");
}

#[test]
fn permit_of_everything_is_found() {
    assert_found("permit_broad", "@id(\"a\") permit (principal, action, resource);");
    assert_found("permit_broad", "@id(\"a\") permit (principal, action, resource) when { true || 1 > 2 };");
    assert_clean(
        "@id(\"a\") permit (principal, action, resource) when { context has session && context.session.risk < 3 };",
    );
    assert_clean("@id(\"a\") permit (principal, action == Action::\"read\", resource);");
    // It permits nothing.
    assert_clean("@id(\"a\") @observe @alert(\"seen:low\") permit (principal, action, resource);");
}

#[test]
fn what_is_remembered_and_never_read_is_found_once() {
    let head = "permit (principal, action == Action::\"read\", resource is Document)";
    for (code, annotation) in [
        ("counter_unread", "@count(\"reads/1h\")"),
        ("counter_unread", "@count(\"principal:reads/1h\")"),
        ("set_unread", "@remember(\"documents/1h = resource\")"),
        ("label_unread", "@label(\"read\")"),
        ("risk_unread", "@risk(\"+1\")"),
    ] {
        assert_found(code, &format!("@id(\"a\") {annotation} {head};"));
        let twice = format!(
            "@id(\"a\") {annotation} {head};\n@id(\"b\") {annotation} {head} when {{ resource.owner == \"o\" }};"
        );
        assert_eq!(findings(&twice).iter().filter(|it| it.ends_with(code)).count(), 1, "{twice}");
    }
}

#[test]
fn what_a_condition_reads_is_no_finding() {
    let head = "(principal, action == Action::\"read\", resource is Document)";
    for (annotation, condition) in [
        ("@count(\"reads/1h\")", "context.session.counts[\"reads/1h\"] > 3"),
        ("@count(\"principal:reads/1h\")", "if true then context.principal.counts[\"reads/1h\"] > 3 else false"),
        ("@remember(\"documents/1h = resource\")", "context.session.sets[\"documents/1h\"].contains(resource)"),
        ("@label(\"read\")", "context.session.labels.contains(\"read\")"),
        ("@label(\"tree:read\")", "context.tree.labels.containsAny([\"x\", \"read\"])"),
        ("@label(\"read\")", "!context.session.labels.isEmpty()"),
        ("@label(\"read\")", "context.session.labels.contains(resource.owner)"),
        ("@label(\"read\")", "context.session.chain.containsAll(context.session.labels)"),
        ("@risk(\"+1\")", "context.session.risk > 3"),
        ("@risk(\"+1\")", "context.session == context.session"),
    ] {
        assert_clean(&format!(
            "@id(\"a\") {annotation} permit {head};\n@id(\"b\") @reason(\"no\") forbid {head} when {{ {condition} }};"
        ));
    }
}

#[test]
fn what_is_read_elsewhere_stays_a_finding() {
    let head = "(principal, action == Action::\"read\", resource is Document)";
    for (code, annotation, condition) in [
        ("counter_unread", "@count(\"reads/1h, tree:reads/1h\")", "context.tree.counts[\"reads/1h\"] > 3"),
        ("label_unread", "@label(\"read\")", "context.tree.labels.contains(\"read\")"),
        ("label_unread", "@label(\"read\")", "context.session.labels.contains(\"other\")"),
        ("risk_unread", "@risk(\"+1\")", "context has session && context.session has risk"),
    ] {
        assert_found(
            code,
            &format!(
                "@id(\"a\") {annotation} permit {head};\n@id(\"b\") @reason(\"no\") forbid {head} when {{ {condition} }};"
            ),
        );
    }
}

#[test]
fn action_that_nobody_can_permit_is_found_in_the_schema() {
    let policies = "@id(\"a\") permit (principal, action == Action::\"read\", resource);\n\
        @id(\"b\") @observe @alert(\"seen:low\") permit (principal, action == Action::\"export\", resource);\n";
    assert_eq!(found(&[("policies/main.cedar", policies)]), ["schema.cedarschema:9:8 action_unpermitted"]);
}

#[test]
fn policy_that_stands_twice_is_found() {
    let a = "@id(\"a\") permit (principal, action == Action::\"read\", resource) when { context.session.risk < 3 };\n";
    let b = "@id(\"b\") permit (principal, action == Action::\"read\", resource)\nwhen { context.session.risk < 3 };\n";
    let found = findings(&format!("{a}{b}"));
    assert_eq!(found, ["policies/main.cedar:3:1 policy_repeated"]);
    assert_clean(&format!("{a}{}", b.replace("< 3", "< 4")));
    assert_clean(&format!("{a}{}", b.replace("permit", "@reason(\"another\") permit")));
}

#[test]
fn text_that_hides_its_direction_is_found_where_it_stands() {
    let found = findings(
        "@id(\"a\") permit (principal, action == Action::\"read\", resource)\nwhen { resource.owner == \"a\u{202e}b\" };",
    );
    assert_eq!(found, ["policies/main.cedar:3:26 policy_confusable"]);
}

#[test]
fn finding_can_be_allowed_for_a_policy_and_for_the_bundle() {
    let broad = "permit (principal, action, resource);";
    assert_clean(&format!("@id(\"a\") @lint_allow(\"permit_broad\") {broad}"));
    assert_clean(&format!("@id(\"a\") @lint_allow(\"reason_missing, permit_broad\") {broad}"));
    let policies = format!("@id(\"a\") {broad}\n");
    let manifest = "[lint]\nallow = [\"permit_broad\"]\n";
    assert!(found(&[("bundle.toml", manifest), ("policies/main.cedar", &policies)]).is_empty());
    assert_eq!(found(&[("policies/main.cedar", &policies)]), ["policies/main.cedar:1:1 permit_broad"]);
}

#[test]
fn code_that_no_finding_has_cannot_be_allowed_unnoticed() {
    let manifest = "[lint]\nallow = [\"permit_brod\"]\n";
    assert_eq!(found(&[("bundle.toml", manifest)]), ["bundle.toml:2:10 lint_unknown"]);
    assert_found(
        "lint_unknown",
        "@id(\"a\") @lint_allow(\"x\") permit (principal is Agent, action == Action::\"read\", resource);",
    );
}

#[test]
fn codes_are_in_order_and_documented() {
    assert!(LINTS.is_sorted_by(|a, b| a.code < b.code));
    let documents = include_str!("../../../../docs/policies.md");
    let (_, findings) = documents.split_once("\n## Findings\n").expect("a section");
    for lint in LINTS {
        assert!(findings.contains(&format!("`{}`", lint.code)), "{}", lint.code);
    }
}
