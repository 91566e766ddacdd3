//! What is counted and remembered has one type, and only what is can be read.

use chaperone_policy::{Amount, Attributes, Change, Level, Outcome, Scope, Value};

use crate::fixture::*;

#[test]
fn counter_of_two_kinds_is_refused() {
    let policies = "@id(\"a\") @count(\"usd += context.request.usd\")\npermit (principal, action == Action::\"spend\", resource);\n\
        @id(\"b\") @count(\"usd += context.request.items\")\npermit (principal, action == Action::\"spend\", resource);\n";
    let expected = "3:10 annotation_type: `usd` counts whole numbers in one place and decimals in another";
    assert_eq!(problems(policies), [expected]);
    // At another level it is another counter.
    assert!(compile(&policies.replacen("usd +=", "tree:usd +=", 1)).is_ok());
}

#[test]
fn what_cannot_be_counted_or_remembered_is_refused() {
    let of = |annotation: &str| {
        problems(&format!("@id(\"a\") {annotation}\npermit (principal, action == Action::\"spend\", resource);"))
    };
    let no_name = "1:10 annotation_type: `context.request` of the action Action::\"spend\" has no `dollars`";
    assert_eq!(of("@count(\"usd += context.request.dollars\")"), [no_name]);
    let nested = "1:10 annotation_type: `context.request.to` of the action Action::\"spend\" has no `name`";
    assert_eq!(of("@remember(\"names = context.request.to.name\")"), [nested]);
    let no_record = "1:10 annotation_type: `context.request.items` is no record";
    assert_eq!(of("@count(\"n += context.request.items.more\")"), [no_record]);
    let no_amount = "1:10 annotation_type: `n` counts a `Long` or a `decimal`, and this is neither";
    assert_eq!(of("@count(\"n += context.request.to.account\")"), [no_amount]);
    let no_value = "1:10 annotation_type: `s` can remember entities, `String`, `Long` and `ipaddr`";
    assert_eq!(of("@remember(\"s = context.request.usd\")"), [no_value]);
    assert_eq!(of("@remember(\"s = context.request.to\")"), [no_value]);
}

#[test]
fn resource_of_two_types_is_refused_with_advice() {
    let policies =
        "@id(\"a\") @remember(\"seen = resource\")\npermit (principal, action == Action::\"read\", resource);";
    let expected = "1:10 annotation_type: it would be a `Document` and a `Folder`; narrow the policy to one of them, such as by \
        `resource is …` or `action == …`";
    assert_eq!(problems(policies), [expected]);
    assert!(compile(&policies.replace("resource);", "resource is Folder);")).is_ok());
    // The set has members of one type, whoever adds them.
    let both = format!(
        "{}\n{}",
        policies.replace("resource);", "resource is Folder);"),
        policies.replace("\"a\"", "\"b\"").replace("resource);", "resource is Document);")
    );
    assert_eq!(problems(&both), ["3:10 annotation_type: `seen` remembers a `Folder` elsewhere, and a `Document` here"]);
}

#[test]
fn name_that_nothing_keeps_is_refused_where_it_is_read() {
    let read = |condition: &str| {
        format!(
            "{READ}@id(\"b\") @count(\"exports/1h\") @remember(\"tree:docs = resource\")\nforbid (principal, action == \
         Action::\"spend\", resource)\nwhen {{ {condition} }};\n"
        )
    };
    assert!(
        compile(&read("context.session.counts[\"exports/1h\"] > 3 && context.tree.sets.docs.contains(resource)"))
            .is_ok()
    );
    for condition in [
        "context.session.counts[\"export/1h\"] > 3",
        "context.tree.counts[\"exports/1h\"] > 3",
        "context.session.sets.docs.isEmpty()",
        "context.principal.counts[\"exports/1h\"] > 3",
    ] {
        let found = problems(&read(condition));
        assert!(found.len() == 1 && found[0].starts_with("4:8 policy_type: attribute"), "{condition}: {found:#?}");
    }
    // Of another kind or type than it is.
    for condition in [
        "context.session.counts[\"exports/1h\"].lessThan(decimal(\"1.0\"))",
        "context.tree.sets.docs.contains(principal)",
    ] {
        let found = problems(&read(condition));
        assert!(found.iter().all(|problem| problem.contains("policy_type")), "{condition}: {found:#?}");
    }
}

#[test]
fn broken_counter_does_not_hide_or_break_the_others() {
    let policies = "@id(\"a\") @count(\"exports, usd += context.request.dollars\")\n\
        permit (principal, action == Action::\"spend\", resource)\nwhen { context.session.counts.exports < 3 };";
    assert_eq!(problems(policies).len(), 1, "{:#?}", problems(policies));
}

#[test]
fn scope_may_read_what_is_counted_and_does_nothing() {
    let bundle = bundle(&format!(
        "{READ}@id(\"n\") @observe @count(\"reads\") permit (principal, action == Action::\"read\", resource);"
    ));
    let reads = "permit (principal, action == Action::\"read\", resource) when { context.session.counts.reads < 2 };";
    let scope = |text: &str| Scope::parse(text).expect("it parses");
    assert_eq!(bundle.check_scope(&scope(reads)), Ok(()));
    for annotation in ["@label(\"pii\")", "@observe", "@count(\"reads\")", "@stepup(\"x\")"] {
        let problems = bundle.check_scope(&scope(&format!("\n{annotation} {reads}"))).expect_err("refused");
        assert_eq!((problems[0].line, problems[0].column, problems[0].code), (2, 1, "annotation_in_scope"));
    }
    let mut session = chain([chaperone_policy::Session { scope: scope(reads), ..root() }]);
    let outcomes = (0..3).map(|second| act(&bundle, &mut session, &read(&bundle), at(60 + second)).outcome);
    assert_eq!(outcomes.collect::<Vec<_>>(), [Outcome::Allow, Outcome::Allow, Outcome::Deny]);
    // Under policies that count nothing, the scope speaks of what is not there.
    let other = self::bundle(READ);
    assert_eq!(decide_in(&other, &session, &read(&other)).reason, chaperone_policy::Reason::OutOfScope);
    assert_eq!(decide_in(&bundle, &with(&session, &[]), &read(&bundle)).reason, chaperone_policy::Reason::OutOfScope);
}

#[test]
fn every_level_is_read_by_name() {
    let keeps = "@id(\"k\") @observe @count(\"n, tree:n, principal:n\") @remember(\"s = resource, tree:s = resource, principal:s = resource\")\n\
        @label(\"l\") permit (principal, action == Action::\"spend\", resource);\n";
    let holds = |condition: &str, changes: &[(usize, Change)]| {
        let text = format!(
            "{keeps}@id(\"r\") permit (principal, action == Action::\"read\", resource is Document) when {{ {condition} }};"
        );
        let bundle = bundle(&text);
        decide_in(&bundle, &with(&chain([root()]), changes), &read(&bundle)).outcome == Outcome::Allow
    };
    for (place, level) in Level::ALL.into_iter().enumerate() {
        let changes = [
            (place, Change::Count(name("n"), Amount::Whole(2))),
            (place, Change::Remember(name("s"), Value::Entity(document("1")))),
            (place, Change::Label("l".into())),
        ];
        let conditions = [
            format!("context.{level}.counts.n == 2"),
            format!("context.{level}.counts[\"n\"] == 2"),
            format!("context has {level} && context.{level}.counts == {{n: 2}}"),
            format!("context has {level}.counts.n && context.{level} has counts && context.{level}.counts.n > 1"),
            format!("context.{level}.sets.s.contains(resource)"),
            format!("context.{level}.sets.s.containsAny([Document::\"1\"])"),
            format!("!context.{level}.sets.s.isEmpty()"),
            format!("context.{level}.labels.contains(\"l\")"),
        ];
        let conditions = conditions.map(|condition| format!("({condition})"));
        assert!(holds(&conditions.join(" && "), &changes), "all of {level}");
        assert!(!holds(&conditions.join(" || "), &[]), "any of {level}");
    }
}

#[test]
fn names_that_look_like_the_schema_s_own_are_names() {
    for name in ["__SESSION_SETS__", "$SESSION_SETS$", "__cedar", "exists", "..-", "0/1s", "a.b/1d"] {
        let text = format!(
            "@id(\"a\") @count(\"{name}\") permit (principal, action == Action::\"read\", resource)\n\
             when {{ context.session.counts[\"{name}\"] < 1 && context.session.counts == {{\"{name}\": 0}} }};"
        );
        let Ok(bundle) = compile(&text) else {
            assert!(name.contains('$'), "{name}");
            continue;
        };
        let mut session = chain([root()]);
        let outcomes = [60, 61].map(|now| act(&bundle, &mut session, &read(&bundle), at(now)).outcome);
        assert_eq!(outcomes, [Outcome::Allow, Outcome::Deny], "{name}");
    }
}

#[test]
fn action_that_does_not_declare_a_level_has_none() {
    let text = "@id(\"k\") @observe @count(\"principal:n\") permit (principal, action == Action::\"spend\", resource);\n\
        @id(\"p\") permit (principal is Agent, action, resource is Document)\n\
        when { !(context has principal) || context.principal.counts.n == 0 };\n";
    let bundle = bundle(text);
    let plain = bundle.request("plain", document("1"), Attributes::new()).expect("valid");
    let some = with(&chain([root()]), &[(2, Change::Count(name("n"), Amount::Whole(1)))]);
    assert_eq!(decide_in(&bundle, &some, &plain).outcome, Outcome::Allow);
    assert_eq!(decide_in(&bundle, &some, &read(&bundle)).outcome, Outcome::Deny);
    assert_eq!(decide_in(&bundle, &chain([root()]), &read(&bundle)).outcome, Outcome::Allow);
}

#[test]
fn result_that_the_mapping_does_not_name_for_every_action_is_refused() {
    let of = |annotation: &str, action: &str| {
        problems(&format!("@id(\"a\") {annotation}\npermit (principal, {action}, resource);"))
    };
    let spend = "action == Action::\"spend\"";
    let missing = |fact: &str, action: &str| {
        format!("1:10 annotation_type: the mapping names no result `{fact}` of the action Action::\"{action}\"")
    };
    assert_eq!(of("@count(\"n += result.lines on executed\")", spend), [missing("lines", "spend")]);
    assert_eq!(of("@remember(\"s = result.path on failed\")", "action == Action::\"read\""), [missing("path", "read")]);
    let both = "action in [Action::\"read\", Action::\"plain\"]";
    assert_eq!(of("@count(\"n += result.rows on executed\")", both), [missing("rows", "plain")]);
    let neither = "1:10 annotation_type: `n` counts a `Long` or a `decimal`, and this is neither";
    assert_eq!(of("@count(\"n += result.path on executed\")", spend), [neither]);
    let price = "1:10 annotation_type: `s` can remember entities, `String`, `Long` and `ipaddr`";
    assert_eq!(of("@remember(\"s = result.price on executed\")", spend), [price]);
    let shared = "@id(\"a\") @count(\"n += result.rows on executed\") permit (principal, action in [Action::\"read\", Action::\"spend\"], resource);";
    assert!(compile(shared).is_ok());
}
