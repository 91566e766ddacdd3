//! `bundle test`, on the bundles of this repository and on ones that fail.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{code, json_of, run, stderr, stdout};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A copy of an example, with these tests and no others.
fn example_with(name: &str, tests: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let example = repository().join("examples").join(name);
    for path in ["schema.cedarschema", "entities.json", "policies/main.cedar"] {
        if let Ok(content) = fs::read(example.join(path)) {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, content).expect("written");
        }
    }
    fs::create_dir(folder.path().join("tests")).expect("made");
    fs::write(folder.path().join("tests/a.yaml"), tests).expect("written");
    folder
}

fn path_of(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().expect("UTF-8")
}

const FAILING: &str = "session: { principal: 'Job::\"nightly\"' }
tests:
  - name: passes
    request: { action: deploy, resource: 'Service::\"shop\"' }
    expect: allow
  - name: fails
    request: { action: deploy, resource: 'Service::\"shop\"' }
    expect: deny
";

#[test]
fn every_bundle_of_the_repository_passes_its_tests() {
    let mut folders = vec![repository().join("deploy/sample-bundle")];
    for parent in ["examples", "deploy/samples"] {
        let entries = fs::read_dir(repository().join(parent)).expect("a folder");
        let entries = entries.map(|entry| entry.expect("an entry").path());
        folders.extend(entries.filter(|path| path.join("schema.cedarschema").exists()));
    }
    assert!(folders.len() >= 15, "{folders:?}");
    for folder in folders {
        let folder = folder.to_str().expect("UTF-8");
        let output = run(&["bundle", "test", folder, "--output", "json", "--coverage"]);
        assert_eq!(code(&output), 0, "{folder}\n{}{}", stdout(&output), stderr(&output));
        let results: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(results["passed_count"].as_u64() >= Some(1), "{folder} has no tests");
        // Each example is small enough that its tests meet all of it.
        if folder.contains("/examples/") {
            let coverage = &results["coverage"];
            assert_eq!(coverage["policies_met"], coverage["policy_count"], "{folder}: {coverage}");
            assert_eq!(coverage["conditions_met"], coverage["condition_count"], "{folder}: {coverage}");
        }
    }
}

#[test]
fn example_of_the_documentation_passes_and_fails_as_it_says() {
    let text = fs::read_to_string(repository().join("docs/testing.md")).expect("the page");
    let block = |fence: &str| text.split(fence).nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let example = block("```yaml\n");
    let folder = example_with("export-after-personal-data", example);
    let output = run(&["bundle", "test", path_of(&folder)]);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()), "{}", stdout(&output));
    let folder = example_with("export-after-personal-data", &example.replacen("expect: allow", "expect: deny", 1));
    let output = run(&["bundle", "test", path_of(&folder)]);
    assert_eq!(code(&output), 1);
    // The page's file has another name.
    let shown = stdout(&output).replace(&format!("{}/tests/a.yaml", path_of(&folder)), "./bundle/tests/export.yaml");
    let told = block("```text\n");
    assert!(shown.starts_with(told), "{shown}\n\nis not\n\n{told}");
}

#[test]
fn failure_gives_1_with_its_place_and_json_tells_the_same() {
    let folder = example_with("deploys-per-hour", FAILING);
    let output = run(&["bundle", "test", path_of(&folder)]);
    assert_eq!((code(&output), stderr(&output)), (1, String::new()));
    let shown = stdout(&output);
    for part in [
        "error[test_failed]: fails: the outcome: expected `deny`, found `allow`\n",
        "tests/a.yaml:8:13\n",
        "8 |     expect: deny\n",
        "by jobs-deploy",
        "FAIL  tests/a.yaml  1 of 2 tests\n",
        "1 passed, 1 failed\n",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let results = json_of(&run(&["bundle", "test", path_of(&folder), "--output", "json"]));
    assert_eq!(
        (&results["passed"], &results["passed_count"], &results["failed_count"]),
        (&false.into(), &1.into(), &1.into())
    );
    let failed = &results["tests"][1];
    assert_eq!(
        (&failed["name"], &failed["line"], &failed["problems"][0]["line"]),
        (&"fails".into(), &6.into(), &8.into())
    );
}

#[test]
fn filter_runs_what_it_names_and_nothing_gives_2() {
    let folder = example_with("deploys-per-hour", FAILING);
    let output = run(&["bundle", "test", path_of(&folder), "--filter", "passes"]);
    assert_eq!((code(&output), stdout(&output).contains("1 passed, 0 failed")), (0, true), "{}", stdout(&output));
    for arguments in
        [&["bundle", "test", path_of(&folder), "--filter", "other"][..], &["bundle", "test", "/does/not/exist"]]
    {
        assert_eq!((code(&run(arguments)), stdout(&run(arguments))), (2, String::new()), "{arguments:?}");
    }
    fs::remove_dir_all(folder.path().join("tests")).expect("removed");
    let output = run(&["bundle", "test", path_of(&folder)]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("has no tests"), "{}", stderr(&output));
}

#[test]
fn validate_runs_the_tests_too() {
    let folder = example_with("deploys-per-hour", FAILING);
    let output = run(&["bundle", "validate", path_of(&folder)]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("error[test_failed]: fails"), "{}", stderr(&output));
    let findings = json_of(&run(&["bundle", "validate", path_of(&folder), "--output", "json"]));
    assert_eq!((&findings["valid"], &findings["problems"][0]["code"]), (&false.into(), &"test_failed".into()));
}

#[test]
fn coverage_names_what_was_not_met() {
    let folder = example_with("deploys-per-hour", FAILING);
    let shown = stdout(&run(&["bundle", "test", path_of(&folder), "--filter", "passes", "--coverage"]));
    for part in [
        "coverage: 1 of 2 policies",
        "0 of 1 conditions",
        "policies/main.cedar:5  three-deploys-an-hour  never applied\n",
        "8: when { context.session.counts[\"deploys/1h\"] >= 3 } was never true\n",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
}

#[test]
fn junit_has_every_test_and_what_failed() {
    let folder = example_with("deploys-per-hour", FAILING);
    let file = folder.path().join("results.xml");
    let output = run(&["bundle", "test", path_of(&folder), "--junit", file.to_str().expect("UTF-8")]);
    assert_eq!(code(&output), 1);
    let document = fs::read_to_string(&file).expect("it is written");
    for part in [
        "<testsuite name=\"tests/a.yaml\" tests=\"2\" failures=\"1\">",
        "<testcase name=\"passes\" classname=\"tests/a.yaml\" file=\"tests/a.yaml\" line=\"3\"/>",
        "<failure type=\"test_failed\" message=\"fails: the outcome: expected `deny`, found `allow`\">",
    ] {
        assert!(document.contains(part), "{part}\n{document}");
    }
}
