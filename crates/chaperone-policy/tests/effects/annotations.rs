//! What annotations mean, and that nothing else is accepted.

use chaperone_policy::{Alert, Amount, Change, Effect, Level, Problem, Severity, Value};

use crate::fixture::*;

/// The problems of policies, each an effect with an annotation on the second of its three lines.
fn problems_of(annotated: &[(&str, &str)]) -> Vec<Problem> {
    let policy = |(place, (annotation, effect)): (usize, &(&str, &str))| {
        format!("@id(\"p{place}\")\n{annotation}\n{effect} (principal, action == Action::\"spend\", resource);\n")
    };
    let text: String = annotated.iter().enumerate().map(policy).collect();
    compile(&text).expect_err("it is refused")
}

#[test]
fn what_means_nothing_is_refused_where_it_stands() {
    let name = "a name has 1 to 64 characters, each of `A-Z`, `a-z`, `0-9`, `_`, `.`, `-`";
    let window = "a window is a whole number of `s`, `m`, `h` or `d`, such as `1h`, from one second to 366 days";
    let value = "does not say a value: `resource`, `principal`, `context.request.…`, `result.…` or a whole number";
    let unknown = |part: &str, what: &str| format!("`{part}` does not say {what}");
    let cases: Vec<(&str, usize, String)> = vec![
        ("@label", 1, name.into()),
        ("@label(\"\")", 1, name.into()),
        ("@label(\"p i\")", 9, name.into()),
        ("@label(\"p\\u{20}i\")", 1, name.into()),
        ("@label(\"pii, x y\")", 14, name.into()),
        ("@label(\"pii,\")", 1, name.into()),
        ("@label(\"abel:pii\")", 9, unknown("abel", "whose it is")),
        ("@label(\"tree:tree:pii\")", 14, name.into()),
        ("@count", 1, name.into()),
        ("@count(\"a, b, a/0h\")", 15, window.into()),
        ("@count(\"exports/1w\")", 9, window.into()),
        ("@count(\"exports/400d\")", 9, window.into()),
        ("@count(\"galaxy:exports\")", 9, unknown("galaxy", "whose it is")),
        ("@count(\"exports += -1\")", 20, format!("`-1` {value}")),
        ("@count(\"exports += +1\")", 20, format!("`+1` {value}")),
        ("@count(\"exports += 1.5\")", 20, format!("`1.5` {value}")),
        ("@count(\"exports += 9223372036854775808\")", 20, format!("`9223372036854775808` {value}")),
        ("@count(\"exports += context.session.risk\")", 20, format!("`context.session.risk` {value}")),
        ("@count(\"exports += context.request.\")", 20, unknown("context.request.", "an attribute of the request")),
        ("@count(\"exports += resource\")", 20, unknown("resource", "how much is counted")),
        ("@count(\"+= 1\")", 1, name.into()),
        ("@remember(\"documents\")", 12, unknown("documents", "what is remembered")),
        ("@remember(\"documents = 5\")", 24, unknown("5", "what is remembered")),
        ("@remember(\"documents == resource\")", 23, format!("`= resource` {value}")),
        ("@remember(\"documents/0h = resource\")", 12, window.into()),
        ("@risk(\"20\")", 8, unknown("20", "by how many points the risk moves")),
        ("@risk(\"+101\")", 8, unknown("+101", "by how many points the risk moves")),
        ("@risk(\"-1000\")", 8, unknown("-1000", "by how many points the risk moves")),
        ("@risk(\"+20, high\")", 13, unknown("high", "by how many points the risk moves")),
        ("@alert(\"x\")", 9, unknown("x", "how grave the alert is")),
        ("@alert(\"x:huge\")", 11, unknown("huge", "how grave the alert is")),
        ("@alert(\"x y:high\")", 9, name.into()),
        ("@observe(\"never\")", 11, "this is no outcome".into()),
        ("@revoke(\"session\")", 10, "`@revoke` is for a `forbid`".into()),
    ];
    let many = format!("@label(\"{}\")", ["l"; 33].join(","));
    let cases: Vec<_> = cases.into_iter().chain([(many.as_str(), 9, "there are more than 32 items".into())]).collect();
    let observes = "`@observe` is for a `permit`: a forbid that takes no part would forbid nothing";
    let of_forbids = [
        ("@revoke(\"planet\")", 10, unknown("planet", "what is revoked")),
        ("@revoke", 1, unknown("", "what is revoked")),
        ("@observe", 1, observes.into()),
        ("@observe(\"any\")", 11, observes.into()),
    ];
    let permits = cases.iter().map(|case| (case, "permit"));
    let all: Vec<_> = permits.chain(of_forbids.iter().map(|case| (case, "forbid"))).collect();
    let annotated: Vec<_> = all.iter().map(|((annotation, ..), effect)| (*annotation, *effect)).collect();
    let found = problems_of(&annotated);
    assert_eq!(found.len(), all.len(), "{found:#?}");
    for ((place, ((annotation, column, message), _)), found) in all.iter().enumerate().zip(&found) {
        let expected = (3 * place + 2, *column, "annotation_syntax", message);
        let found = (found.line as usize, found.column as usize, found.code, &found.message);
        assert_eq!(found, expected, "{annotation}");
    }
}

#[test]
fn help_shows_how_it_is_written() {
    let cases = [
        ("@label(\"?\")", "@label(\"tree:pii\")"),
        ("@count(\"?\")", "@count(\"principal:usd/24h += context.request.amount\")"),
        ("@remember(\"?\")", "@remember(\"documents/1h = resource\")"),
        ("@risk(\"?\")", "@risk(\"+20\")"),
        ("@alert(\"?\")", "@alert(\"token-reuse:high\")"),
        ("@observe(\"?\")", "@observe(\"deny\")"),
        ("@revoke(\"?\")", "on a `forbid`"),
        ("@stepup(\"?\")", "@stepup(\"data-protection\")"),
    ];
    let found = problems_of(&cases.map(|(annotation, _)| (annotation, "permit")));
    for ((annotation, help), problem) in cases.into_iter().zip(found) {
        assert!(problem.help.contains(help), "{annotation}: {}", problem.help);
    }
}

#[test]
fn every_form_does_what_it_says() {
    use Level::{Principal, Session, Tree};
    let spends = "permit (principal, action == Action::\"spend\", resource);";
    let effects = |annotation: &str| {
        let bundle = bundle(&format!("@id(\"a\") {annotation} {spends}"));
        decide_in(&bundle, &chain([root()]), &spend(&bundle, "2.5", &[])).effects
    };
    let whole = Amount::Whole;
    let document = || Value::Entity(document("1"));
    assert_eq!(effects("@label(\"pii\")"), [labelled(Session, "pii")]);
    let labels = [labelled(Tree, "a"), labelled(Principal, "b"), labelled(Session, "c")];
    assert_eq!(effects("@label(\"tree:a, principal : b,session:c\")"), labels);
    let counts = [counted(Session, "exports/1h", whole(1)), counted(Principal, "usd/24h", Amount::Decimal(25_000))];
    assert_eq!(effects("@count(\"exports/1h, principal:usd/24h += context.request.usd\")"), counts);
    assert_eq!(effects("@count(\"tree:exports+=3\")"), [counted(Tree, "exports", whole(3))]);
    assert_eq!(effects("@remember(\"documents/1h = resource\")"), [remembered(Session, "documents/1h", document())]);
    let sets = [
        remembered(Principal, "payees", Value::String("acme".into())),
        remembered(Tree, "addresses", Value::Ip("10.0.0.1/32".into())),
        remembered(Session, "who", Value::Entity(root().principal)),
    ];
    let remembers =
        "principal:payees = context.request.to.account, tree:addresses=context.request.from, who = principal";
    assert_eq!(effects(&format!("@remember(\"{remembers}\")")), sets);
    let risks = [20, -100].map(|points| Effect::Remember(Session, Change::Risk(points)));
    assert_eq!(effects("@risk(\"+20, -100\")"), risks);
    let alert = Alert { name: "odd".into(), severity: Severity::Critical, policy: "a".into() };
    assert_eq!(effects("@alert(\"odd: critical\")"), [Effect::Alert(alert)]);
    assert_eq!(effects("@note(\"mine\")"), []);
}

#[test]
fn forbid_revokes() {
    for level in Level::ALL {
        let bundle = bundle(&format!("@id(\"no\") @revoke(\"{level}\") forbid (principal, action, resource);"));
        let decision = decide_in(&bundle, &chain([root()]), &read(&bundle));
        assert_eq!(decision.effects, [Effect::Revoke { level, policy: "no".into() }]);
    }
}

#[test]
fn what_waits_for_a_report_is_refused_where_nothing_is_reported() {
    let outcome = |word: &str| format!("`{word}` is no outcome that is reported");
    let no_allow = "only what was allowed is reported, and this policy determines no allow";
    let result = |item: &str| format!("`{item}` speaks of a result, which only a report tells");
    let cases = [
        ("@count(\"deploys/1h on success\")", "permit", 23, outcome("success")),
        ("@label(\"a, b on  done\")", "permit", 18, outcome("done")),
        ("@risk(\"+10 on Failed\")", "permit", 15, outcome("Failed")),
        ("@count(\"deploys/1h on executed\")", "forbid", 23, no_allow.to_owned()),
        ("@observe(\"deny\") @label(\"a on failed\")", "permit", 31, no_allow.to_owned()),
        ("@alert(\"odd:high on failed\")", "permit", 21, "`@alert` does not wait for a report".into()),
        ("@revoke(\"tree on failed\")", "forbid", 18, "`@revoke` does not wait for a report".into()),
        ("@count(\"rows += result.rows\")", "permit", 9, result("rows += result.rows")),
        ("@remember(\"files = result.path\")", "permit", 12, result("files = result.path")),
    ];
    let found = problems_of(&cases.clone().map(|(annotation, effect, ..)| (annotation, effect)));
    assert_eq!(found.len(), cases.len(), "{found:#?}");
    for ((place, (annotation, _, column, message)), found) in cases.iter().enumerate().zip(&found) {
        let expected = (3 * place + 2, *column, "annotation_syntax", message);
        let found = (found.line as usize, found.column as usize, found.code, &found.message);
        assert_eq!(found, expected, "{annotation}");
    }
    assert!(found[3].help.contains("put it on a `permit`"), "{}", found[3].help);
    assert!(found[7].help.contains("` on executed`"), "{}", found[7].help);
}
