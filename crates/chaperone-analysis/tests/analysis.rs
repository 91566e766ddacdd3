//! Proofs and examples by the real solver. Where there is none, nothing can be shown: `CHAPERONE_ANALYSIS_SOLVER` names one.
#![allow(clippy::expect_used, clippy::panic, clippy::missing_docs_in_private_items, reason = "tests")]

use std::path::PathBuf;
use std::time::Duration;

use chaperone_analysis::{Analysis, Comparison, Finding, Limits, Solver, Uncovered, Verdict, analyze};
use chaperone_policy::BundleSource;

const SCHEMA: &str = r"
entity Agent { level: Long };
entity Document { level: Long, public: Bool };
action read, write appliesTo {
  principal: [Agent], resource: [Document],
  context: { session: Chaperone::Session, request: { rows?: Long } }
};
";
const READS: &str =
    r#"@id("reads") permit (principal, action == Action::"read", resource) when { principal.level > 3 };"#;

fn solver() -> Solver {
    let path = std::env::var_os("CHAPERONE_ANALYSIS_SOLVER").map(PathBuf::from);
    Solver::find(path.as_deref()).expect("cvc5 is needed: install it, or name it with CHAPERONE_ANALYSIS_SOLVER")
}

fn bundle(schema: &str, policies: &str) -> BundleSource {
    let files = [("schema.cedarschema", schema), ("policies/main.cedar", policies), ("bundle.toml", "name = \"a\"\n")];
    BundleSource { files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into() }
}

fn analysis_of(before: &BundleSource, after: &BundleSource) -> Analysis {
    let comparison = Comparison::between(before, after).expect("both are valid");
    analyze(&comparison, &solver(), Limits::default())
}

fn analysis(before: &str, after: &str) -> Analysis {
    analysis_of(&bundle(SCHEMA, before), &bundle(SCHEMA, after))
}

fn verdict<'a>(analysis: &'a Analysis, action: &str) -> &'a Verdict {
    let is_asked = |finding: &&Finding| finding.action == action && finding.principal == "Agent";
    &analysis.findings.iter().find(is_asked).expect("the action is asked about").verdict
}

#[test]
fn identical_and_tightened_policies_allow_no_more() {
    let tighter = READS.replace("> 3", "> 5");
    let other = format!(
        "{READS} @id(\"wide\") forbid (principal, action, resource is Document) when {{ resource.level > 9 }};"
    );
    for after in [READS, &tighter, &other] {
        let analysis = analysis(READS, after);
        assert!(analysis.is_no_wider(), "{analysis:?}");
        assert!(!analysis.is_wider());
    }
}

#[test]
fn loosened_policy_is_shown_by_a_request_that_only_it_allows() {
    let analysis = analysis(READS, &READS.replace("> 3", "> 2"));
    assert!(analysis.is_wider() && !analysis.is_no_wider());
    let Verdict::More(example) = verdict(&analysis, "Action::\"read\"") else { panic!("{analysis:?}") };
    let agent = example.entities.as_array().into_iter().flatten().find(|entity| entity["uid"]["type"] == "Agent");
    assert_eq!(agent.expect("the agent is told").get("attrs"), Some(&serde_json::json!({ "level": 3 })));
    assert_eq!(example.action, "Action::\"read\"");
    assert_eq!(verdict(&analysis, "Action::\"write\""), &Verdict::NoMore);
}

#[test]
fn removed_forbid_is_found_even_where_it_only_failed() {
    // The sum overflows for some levels: then it fails, and with us that denies. Otherwise it never applies.
    let failing = format!(
        "{READS} @id(\"sum\") forbid (principal, action, resource is Document) when {{ resource.level + 1 < resource.level }};"
    );
    let removed = analysis(&failing, READS);
    let Verdict::More(example) = verdict(&removed, "Action::\"read\"") else { panic!("{removed:?}") };
    assert!(example.entities.to_string().contains(&i64::MAX.to_string()), "{example}");
    let added = analysis(READS, &failing);
    assert!(added.is_no_wider(), "{added:?}");
}

#[test]
fn observer_permits_nothing_and_still_denies_where_it_fails() {
    let observer =
        format!("{READS} @id(\"sees\") @observe(\"allow\") permit (principal, action, resource is Document);");
    assert!(analysis(READS, &observer).is_no_wider());
    let failing = observer.replace("Document);", "Document) when { resource.level + 1 > 0 };");
    assert!(analysis(READS, &failing).is_no_wider());
    assert!(analysis(&failing, READS).is_wider());
}

#[test]
fn step_up_in_place_of_a_forbid_is_more_with_an_approval() {
    let forbid = format!(
        "{READS} @id(\"secret\") forbid (principal, action, resource is Document) when {{ resource.level > 7 }};"
    );
    let step_up = forbid.replace("@id(\"secret\")", "@id(\"secret\") @stepup(\"boss\")");
    let softened = analysis(&forbid, &step_up);
    assert!(matches!(verdict(&softened, "Action::\"read\""), Verdict::MoreWithApproval(_)), "{softened:?}");
    assert!(analysis(&step_up, &forbid).is_no_wider());
    let renamed = analysis(&step_up, &step_up.replace("boss", "colleague"));
    assert_eq!(renamed.uncovered, [Uncovered::StepUps]);
    assert!(!renamed.is_no_wider() && !renamed.is_wider());
}

#[test]
fn new_action_is_more_where_anything_is_allowed_of_it() {
    let schema = SCHEMA.replace("read, write", "read, write, share");
    let permits = format!("{READS} @id(\"shares\") permit (principal, action == Action::\"share\", resource);");
    let before = bundle(SCHEMA, READS);
    let analysis = analysis_of(&before, &bundle(&schema, &permits));
    assert!(matches!(verdict(&analysis, "Action::\"share\""), Verdict::More(_)), "{analysis:?}");
    assert_eq!(verdict(&analysis, "Action::\"read\""), &Verdict::NoMore);
    assert!(analysis_of(&before, &bundle(&schema, READS)).is_no_wider());
}

#[test]
fn schemas_that_do_not_fit_cannot_be_compared() {
    let added = SCHEMA.replace("public: Bool", "public: Bool, owner: String");
    assert!(analysis_of(&bundle(SCHEMA, READS), &bundle(&added, READS)).is_no_wider());
    let loosened = SCHEMA.replace("public: Bool", "public?: Bool");
    let analysis = analysis_of(&bundle(SCHEMA, READS), &bundle(&loosened, READS));
    let Verdict::Unknown(why) = verdict(&analysis, "Action::\"read\"") else { panic!("{analysis:?}") };
    assert!(why.contains("`public`"), "{why}");
    let sought = format!(
        "{READS} @id(\"no\") forbid (principal, action in [Action::\"read\", Action::\"write\"], resource) when {{ context.request has zone }};"
    );
    let zone = SCHEMA.replace("rows?: Long", "rows?: Long, zone?: String");
    let analysis = analysis_of(&bundle(SCHEMA, &sought), &bundle(&zone, &sought));
    assert!(matches!(verdict(&analysis, "Action::\"read\""), Verdict::Unknown(_)), "{analysis:?}");
}

#[test]
fn what_the_proof_is_not_about_is_told() {
    let counting = READS.replace("@id(\"reads\")", "@id(\"reads\") @label(\"seen\")");
    assert_eq!(analysis(&counting, READS).uncovered, [Uncovered::Memory]);
    let mut other = bundle(SCHEMA, READS);
    other.files.insert("entities.json".to_owned(), "[]".to_owned());
    assert_eq!(analysis_of(&bundle(SCHEMA, READS), &other).uncovered, [Uncovered::Entities]);
}

#[test]
fn time_that_is_over_is_unknown() {
    let comparison = Comparison::between(&bundle(SCHEMA, READS), &bundle(SCHEMA, &READS.replace("> 3", "> 2")));
    let limits = Limits { total: Duration::ZERO, ..Limits::default() };
    let analysis = analyze(&comparison.expect("both are valid"), &solver(), limits);
    assert!(matches!(verdict(&analysis, "Action::\"read\""), Verdict::Unknown(_)), "{analysis:?}");
    assert!(!analysis.is_no_wider());
}

#[test]
fn program_that_is_no_solver_is_none() {
    assert!(Solver::find(Some("/bin/true".as_ref())).is_err());
    assert!(Solver::find(Some("/nowhere/cvc5".as_ref())).is_err());
}
