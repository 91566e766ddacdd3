//! Commands of a GitHub workflow: `::warning file=policies/main.cedar,line=3,col=1,title=permit_broad::message`.

use std::fmt::Write as _;

use chaperone_api::chaperone::v1::Problem;

use super::Findings;

/// A line for each finding.
pub(super) fn commands(findings: &Findings<'_>) -> String {
    findings.problems.iter().fold(String::new(), |mut out, problem| {
        let severity = findings.severity.as_str();
        let (place, message) = (place(findings, problem), data(&message(problem)));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "::{severity} {place},title={}::{message}", property(&problem.code));
        out
    })
}

fn place(findings: &Findings<'_>, problem: &Problem) -> String {
    let file = property(&findings.path(&problem.file).display().to_string());
    match problem.line {
        0 => format!("file={file}"),
        line => format!("file={file},line={line},col={}", problem.column),
    }
}

fn message(problem: &Problem) -> String {
    match problem.help.as_str() {
        "" => problem.message.clone(),
        help => format!("{}\n{help}", problem.message),
    }
}

/// The end of a line would end the command, and what follows could be one of its own.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::findings::Severity;

    fn shown(problem: Problem) -> String {
        let findings =
            Findings { folder: Path::new("./bundle"), severity: Severity::Error, problems: &[problem], lints: &[] };
        commands(&findings)
    }

    #[test]
    fn finding_is_one_command_with_its_place() {
        let problem = Problem {
            file: "policies/main.cedar".to_owned(),
            line: 3,
            column: 7,
            code: "policy_type".to_owned(),
            message: "unknown type".to_owned(),
            help: "did you mean `Agent`?".to_owned(),
            ..Problem::default()
        };
        assert_eq!(
            shown(problem),
            "::error file=bundle/policies/main.cedar,line=3,col=7,title=policy_type::unknown type%0Adid you mean `Agent`?\n"
        );
    }

    #[test]
    fn no_text_of_a_bundle_becomes_a_command() {
        let problem = Problem {
            file: "policies/a,line=1::b%\n.cedar".to_owned(),
            code: "c".to_owned(),
            message: "100%\r\n::set-output name=x::y".to_owned(),
            ..Problem::default()
        };
        assert_eq!(
            shown(problem),
            "::error file=bundle/policies/a%2Cline=1%3A%3Ab%25%0A.cedar,title=c::100%25%0D%0A::set-output name=x::y\n"
        );
    }
}
