//! SARIF 2.1.0 (OASIS), as code scanning reads it.

use std::path::{Component, Path};

use chaperone_api::chaperone::v1::Problem;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::Findings;

/// What stands for itself in a segment of a path (RFC 3986 section 3.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Where the rules are explained.
const DOCUMENTATION: &str = "docs/policies.md";

/// The whole document: one run.
pub(super) fn document(findings: &Findings<'_>) -> Value {
    let rules = rules(findings);
    let results: Vec<Value> = findings.problems.iter().map(|problem| result(findings, problem, &rules)).collect();
    let level = findings.severity.as_str();
    let rules: Vec<Value> = rules.iter().map(|(id, text)| rule(id, text, level)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "chaperone", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// The code and the summary of all that there was to be found, and of all that was.
fn rules(findings: &Findings<'_>) -> Vec<(String, String)> {
    let mut rules: Vec<(String, String)> =
        findings.lints.iter().map(|lint| (lint.code.to_owned(), lint.summary.to_owned())).collect();
    for problem in findings.problems {
        if rules.iter().all(|(code, _)| *code != problem.code) {
            rules.push((problem.code.clone(), format!("See the problem codes in {DOCUMENTATION}.")));
        }
    }
    rules
}

fn rule(id: &str, text: &str, level: &str) -> Value {
    json!({ "id": id, "shortDescription": { "text": text }, "defaultConfiguration": { "level": level } })
}

fn result(findings: &Findings<'_>, problem: &Problem, rules: &[(String, String)]) -> Value {
    let text = match problem.help.as_str() {
        "" => problem.message.clone(),
        help => format!("{}\n{help}", problem.message),
    };
    let file = json!({ "uri": uri(&findings.path(&problem.file)) });
    let place = match problem.line {
        0 => json!({ "artifactLocation": file }),
        line => {
            let region = json!({ "startLine": line, "startColumn": problem.column });
            json!({ "artifactLocation": file, "region": region })
        }
    };
    json!({
        "ruleId": problem.code,
        "ruleIndex": rules.iter().position(|(code, _)| *code == problem.code),
        "level": findings.severity.as_str(),
        "message": { "text": text },
        "locations": [{ "physicalLocation": place }],
    })
}

/// A reference that is relative to the root of the checkout, or an absolute one for a folder elsewhere.
fn uri(path: &Path) -> String {
    let segments: Vec<String> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(utf8_percent_encode(&name.to_string_lossy(), SEGMENT).to_string()),
            Component::ParentDir => Some("..".to_owned()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
        })
        .collect();
    let scheme = if path.is_absolute() { "file:///" } else { "" };
    format!("{scheme}{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use chaperone_policy::LINTS;

    use super::*;
    use crate::cli::findings::Severity;

    fn problem(code: &str, file: &str, line: u32) -> Problem {
        let (file, code) = (file.to_owned(), code.to_owned());
        Problem { file, code, line, column: line, message: "what is wrong".to_owned(), ..Problem::default() }
    }

    fn of(problems: &[Problem]) -> Value {
        document(&Findings { folder: Path::new("./my bundle"), severity: Severity::Warning, problems, lints: &LINTS })
    }

    /// What the specification requires of each object (sections 3.13, 3.14, 3.18, 3.19, 3.27, 3.29, 3.30 and 3.49).
    #[test]
    fn document_has_what_the_format_requires() {
        let found = of(&[problem("permit_broad", "policies/a b.cedar", 3), problem("policy_type", "bundle.toml", 0)]);
        assert_eq!(found["version"], "2.1.0");
        let run = &found["runs"][0];
        let driver = &run["tool"]["driver"];
        assert_eq!(driver["name"], "chaperone");
        let rules = driver["rules"].as_array().expect("rules");
        assert!(rules.iter().all(|rule| rule["id"].is_string() && rule["shortDescription"]["text"].is_string()));
        let results = run["results"].as_array().expect("results");
        assert_eq!(results.len(), 2);
        for result in results {
            assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()));
            assert!(["none", "note", "warning", "error"].map(Value::from).contains(&result["level"]));
            let rule = usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("a small one");
            assert_eq!(rules[rule]["id"], result["ruleId"]);
        }
        let place = &results[0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "my%20bundle/policies/a%20b.cedar");
        assert_eq!(place["region"], json!({ "startLine": 3, "startColumn": 3 }));
        // A region begins with line 1: a finding of a whole file has none.
        assert_eq!(results[1]["locations"][0]["physicalLocation"].get("region"), None);
    }

    #[test]
    fn nothing_found_is_a_run_without_results() {
        assert_eq!(of(&[])["runs"][0]["results"], json!([]));
    }

    #[test]
    fn folder_elsewhere_has_an_absolute_reference() {
        assert_eq!(uri(Path::new("/srv/a#b/bundle.toml")), "file:///srv/a%23b/bundle.toml");
        assert_eq!(uri(Path::new("../b/bundle.toml")), "../b/bundle.toml");
    }
}
