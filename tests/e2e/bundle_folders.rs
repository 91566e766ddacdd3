//! What the command line does with a bundle's folder, without a server.

use std::fs;
use std::path::Path;

use chaperone_e2e::binaries;
use chaperone_e2e::cli::{self, Finished};
use serde_json::Value;
use tempfile::TempDir;

/// A bundle as `bundle init` writes it.
fn first() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let written = cli::run(&["bundle", "init", text(folder.path())]);
    assert_eq!(written.code, 0, "{written:?}");
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn bundle(command: &str, folder: &TempDir, options: &[&str]) -> Finished {
    cli::run(&[&["bundle", command, text(folder.path())], options].concat())
}

/// Adds a policy, of which the bundle's own tests do not know.
fn add_policy(folder: &TempDir, policy: &str) {
    let tests = folder.path().join("tests");
    if tests.exists() {
        fs::remove_dir_all(tests).expect("they go");
    }
    fs::write(folder.path().join("policies/more.cedar"), policy).expect("the file is written");
}

#[test]
fn first_bundle_is_valid_formatted_and_without_findings() {
    let folder = first();
    for (command, options) in [("validate", &[][..]), ("lint", &[]), ("fmt", &["--check"])] {
        let done = bundle(command, &folder, options);
        assert_eq!(done.code, 0, "{command}: {done:?}");
    }
    let again = bundle("init", &folder, &[]);
    assert!(again.code == 2 && again.stderr.contains("bundle.toml"), "{again:?}");
}

#[test]
fn finding_is_told_in_every_form_until_it_is_allowed() {
    let folder = first();
    add_policy(&folder, "@id(\"all\")\npermit (principal, action, resource);\n");
    let shown = bundle("lint", &folder, &[]);
    assert_eq!(shown.code, 1, "{shown:?}");
    assert!(
        shown.stdout.contains("warning[permit_broad]:") && shown.stdout.contains("policies/more.cedar:1:1"),
        "{shown:?}"
    );
    let told: Value = serde_json::from_str(&bundle("lint", &folder, &["--output", "json"]).stdout).expect("JSON");
    assert_eq!((&told["valid"], &told["findings"][0]["code"]), (&true.into(), &"permit_broad".into()), "{told}");
    let sarif = bundle("lint", &folder, &["--output", "sarif"]);
    let told: Value = serde_json::from_str(&sarif.stdout).expect("JSON");
    assert_eq!(sarif.code, 1);
    assert_eq!(told["runs"][0]["results"][0]["ruleId"], "permit_broad", "{told}");
    let command = bundle("lint", &folder, &["--output", "github"]);
    assert!(command.code == 1 && command.stdout.starts_with("::warning file="), "{command:?}");
    assert!(command.stdout.contains("policies/more.cedar,line=1,col=1,title=permit_broad::"), "{command:?}");
    let valid = bundle("validate", &folder, &[]);
    assert_eq!(valid.code, 0, "a finding is no problem: {valid:?}");
    add_policy(&folder, "@id(\"all\")\n@lint_allow(\"permit_broad\")\npermit (principal, action, resource);\n");
    let allowed = bundle("lint", &folder, &[]);
    assert_eq!(allowed.code, 0, "{allowed:?}");
}

#[test]
fn bundles_that_ship_have_no_findings() {
    let repository = binaries::repository();
    let below = |folder: &str| {
        let entries = fs::read_dir(repository.join(folder)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.join("schema.cedarschema").exists())
    };
    let shipped: Vec<_> =
        below("deploy/samples").chain(below("examples")).chain([repository.join("deploy/sample-bundle")]).collect();
    assert!(shipped.len() > 10, "{shipped:?}");
    for folder in shipped {
        let linted = cli::run(&["bundle", "lint", text(&folder)]);
        assert_eq!(linted.code, 0, "{linted:?}");
    }
}

#[test]
fn problem_is_told_in_every_form_by_validate_and_lint() {
    let folder = first();
    add_policy(&folder, "@id(\"all\")\npermit (principal is Nobody, action, resource);\n");
    for command in ["validate", "lint"] {
        let shown = bundle(command, &folder, &[]);
        assert!(shown.code == 1 && shown.stderr.contains("policies/more.cedar:2:22"), "{command}: {shown:?}");
        let told = bundle(command, &folder, &["--output", "github"]);
        assert!(told.code == 1 && told.stdout.contains("more.cedar,line=2,col=22,title=policy_type::"), "{told:?}");
        assert!(told.stdout.starts_with("::error "), "{told:?}");
        let sarif: Value =
            serde_json::from_str(&bundle(command, &folder, &["--output", "sarif"]).stdout).expect("JSON");
        assert_eq!(sarif["runs"][0]["results"][0]["level"], "error", "{sarif}");
    }
    let nowhere = cli::run(&["bundle", "lint", "/does/not/exist"]);
    assert_eq!(nowhere.code, 2, "{nowhere:?}");
}

#[test]
fn policies_are_formatted_and_mean_the_same() {
    let folder = first();
    let digest = |folder: &TempDir| {
        let told: Value =
            serde_json::from_str(&bundle("validate", folder, &["--output", "json"]).stdout).expect("JSON");
        told["digest"].as_str().expect("a digest").to_owned()
    };
    let uneven = "// why\n@id(\"more\")  permit(principal is Agent,action==Action::\"read\",resource)when{ resource.team==resource.team };\n";
    add_policy(&folder, uneven);
    let before = digest(&folder);
    let checked = bundle("fmt", &folder, &["--check", "--diff"]);
    assert!(
        checked.code == 1 && checked.stdout.contains("+permit (") && checked.stdout.contains("-@id(\"more\")  permit("),
        "{checked:?}"
    );
    assert_eq!(digest(&folder), before, "a check changes nothing");
    assert_eq!(bundle("fmt", &folder, &[]).code, 0);
    assert_ne!(digest(&folder), before);
    let formatted = fs::read_to_string(folder.path().join("policies/more.cedar")).expect("the file is there");
    assert!(formatted.starts_with("// why\n@id(\"more\")\npermit (\n"), "{formatted}");
    assert_eq!(bundle("fmt", &folder, &["--check"]).code, 0);
    assert_eq!(bundle("validate", &folder, &[]).code, 0);
}
