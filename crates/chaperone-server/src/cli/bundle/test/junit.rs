//! Results of tests in the XML of JUnit, as continuous integration reads it.

use std::fmt::Write as _;

use chaperone_policy::Problem;

use crate::bundle_tests::{Case, Tested};

/// The whole document: a suite for each file.
pub fn document(tested: &Tested) -> String {
    let failures = tested.failed() + tested.problems.len();
    let tests = tested.cases.len() + tested.problems.len();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "<testsuites name=\"chaperone bundle test\" tests=\"{tests}\" failures=\"{failures}\">");
    for file in tested.cases.chunk_by(|a, b| a.file == b.file) {
        suite(&mut out, file);
    }
    for problem in &tested.problems {
        let file = attribute(&problem.file);
        let _ = writeln!(out, "  <testsuite name=\"{file}\" tests=\"1\" failures=\"1\">");
        let _ = writeln!(out, "    <testcase name=\"{file}\" classname=\"{file}\">");
        failure(&mut out, problem);
        out.push_str("    </testcase>\n  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn suite(out: &mut String, cases: &[Case]) {
    let file = cases.first().map(|case| attribute(&case.file)).unwrap_or_default();
    let failures = cases.iter().filter(|case| !case.problems.is_empty()).count();
    let _ = writeln!(out, "  <testsuite name=\"{file}\" tests=\"{}\" failures=\"{failures}\">", cases.len());
    for case in cases {
        let (name, line) = (attribute(&case.name), case.line);
        let open = format!("    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{line}\"");
        if case.problems.is_empty() {
            let _ = writeln!(out, "{open}/>");
            continue;
        }
        let _ = writeln!(out, "{open}>");
        for problem in &case.problems {
            failure(out, problem);
        }
        out.push_str("    </testcase>\n");
    }
    out.push_str("  </testsuite>\n");
}

fn failure(out: &mut String, problem: &Problem) {
    let (code, message) = (attribute(problem.code), attribute(&problem.message));
    let _ = writeln!(
        out,
        "      <failure type=\"{code}\" message=\"{message}\">{}</failure>",
        escaped(&problem.to_string(), false)
    );
}

fn attribute(text: &str) -> String {
    escaped(text, true)
}

/// With references for what means something in XML, and a replacement for what it cannot hold at all.
fn escaped(text: &str, in_attribute: bool) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Spaces of another kind become plain ones in attributes otherwise.
            '\n' | '\t' if in_attribute => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, problems: Vec<Problem>) -> Case {
        Case { file: "tests/a.yaml".into(), name: name.into(), line: 3, steps: 1, problems }
    }

    #[test]
    fn results_are_suites_of_cases_with_their_failures() {
        let problem = Problem::of_file("tests/a.yaml", "test_failed", "is `<deny>`\u{1b} & \"no\"");
        let cases = vec![case("first", Vec::new()), case("second [a=\"1\"]", vec![problem])];
        let document =
            document(&Tested { cases, problems: vec![Problem::of_file("tests/b.yaml", "test_syntax", "bad")] });
        for part in [
            "<testsuites name=\"chaperone bundle test\" tests=\"3\" failures=\"2\">",
            "  <testsuite name=\"tests/a.yaml\" tests=\"2\" failures=\"1\">",
            "<testcase name=\"first\" classname=\"tests/a.yaml\" file=\"tests/a.yaml\" line=\"3\"/>",
            "<testcase name=\"second [a=&quot;1&quot;]\"",
            "message=\"is `&lt;deny&gt;`\u{fffd} &amp; &quot;no&quot;\"",
            "<testsuite name=\"tests/b.yaml\" tests=\"1\" failures=\"1\">",
        ] {
            assert!(document.contains(part), "{part}\n{document}");
        }
        assert_eq!(document.matches("<testcase").count(), document.matches("</testcase>").count() + 1);
        assert_eq!(document.matches("<testsuite ").count(), document.matches("</testsuite>").count());
    }
}
