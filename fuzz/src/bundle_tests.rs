//! The tests of a bundle: YAML, what they say of sessions and requests, and the decisions that they ask for.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chaperone_policy::{Bundle, BundleSource, Problem};
use chaperone_server::bundle_tests::{Options, STEPS_MAX, Tested, run};

use crate::Target;

/// Files of tests to be run.
pub const TARGET: Target = Target { name: "bundle_tests", check, seeds };

/// The file's path in its bundle.
const FILE: &str = "tests/a.yaml";
/// How long its tests may go on: many small ones are no defect, and one that is not stopped is.
const TIME_MAX: Duration = Duration::from_millis(25);

/// The bundle that everything is tested with: that of the documents, without its own tests.
static BUNDLE: LazyLock<(BundleSource, Arc<Bundle>)> = LazyLock::new(|| {
    let (folder, mut source) = (deploy().join("sample-bundle"), BundleSource::default());
    for path in ["bundle.toml", "schema.cedarschema", "policies/documents.cedar", "entities.json", "mapping.toml"] {
        source.files.insert(path.to_owned(), text(&folder.join(path)));
    }
    let bundle = Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"));
    (source, Arc::new(bundle))
});

fn check(data: &[u8]) {
    // What is no UTF-8 is no file of a bundle.
    let Ok(text) = std::str::from_utf8(data) else { return };
    let tested = tested(text);
    let steps: usize = tested.cases.iter().map(|case| case.steps).sum();
    assert!(steps <= STEPS_MAX, "{steps} steps were made");
    let (passed, failed, names) = (tested.passed(), tested.failed(), names(&tested));
    assert!(tested.cases.iter().all(|case| case.file == FILE), "a test of another file");
    let problems = tested.into_problems();
    assert_eq!(passed, problems.is_empty(), "{problems:?}");
    assert!(failed <= names.len());
    for problem in &problems {
        check_place(problem, text);
    }
    let again = self::tested(text);
    let names_again = self::names(&again);
    let again = again.into_problems();
    // How far it came in its time is another matter each time.
    if ![&problems, &again].into_iter().flatten().any(|problem| problem.code == "test_limit") {
        assert_eq!((names_again, again), (names, problems), "it comes out otherwise the second time");
    }
}

fn tested(text: &str) -> Tested {
    let (source, bundle) = &*BUNDLE;
    let mut source = source.clone();
    source.files.insert(FILE.to_owned(), text.to_owned());
    run(&source, Arc::clone(bundle), &Options { time_max: Some(TIME_MAX), ..Options::default() })
}

fn names(tested: &Tested) -> Vec<(String, u32)> {
    tested.cases.iter().map(|case| (case.name.clone(), case.line)).collect()
}

/// A problem has a code of its own, and stands in the text.
fn check_place(problem: &Problem, text: &str) {
    assert!(["test_syntax", "test_failed", "test_limit"].contains(&problem.code), "{problem:?}");
    assert_eq!(problem.file, FILE);
    assert!(!problem.message.is_empty(), "{problem:?}");
    // Behind the last line there may be one more, which is empty; 0 is the file as a whole.
    assert!(problem.line as usize <= text.lines().count() + 1, "{problem:?}");
}

fn deploy() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The tests of all bundles that are shipped, and each of them alone.
fn seeds() -> Vec<Vec<u8>> {
    let samples = fs::read_dir(deploy().join("samples")).expect("the samples").filter_map(Result::ok);
    let folders = samples.map(|sample| sample.path()).chain([deploy().join("sample-bundle")]);
    let files = folders.filter_map(|folder| fs::read_dir(folder.join("tests")).ok()).flatten().filter_map(Result::ok);
    let mut texts: Vec<_> = files.map(|file| text(&file.path())).collect();
    texts.sort();
    let mut seeds = Vec::new();
    for text in texts {
        if let Some((common, tests)) = text.split_once("\ntests:\n") {
            let cases = tests.split("\n  - name:").enumerate();
            seeds.extend(cases.map(|(number, case)| {
                let begin = if number == 0 { "" } else { "  - name:" };
                format!("{common}\ntests:\n{begin}{case}\n").into_bytes()
            }));
        }
        seeds.push(text.into_bytes());
    }
    for text in ["tests: []", "a: &x [1]\nb: *x", "a: !!str 5", "? [a]\n: b", "a: |\n  b\n c", "'a\n\nb': \"\\u263a\""]
    {
        seeds.push(text.as_bytes().to_vec());
    }
    seeds
}
