//! Problems in a bundle, shown the way that compilers show theirs.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use chaperone_api::chaperone::v1::Problem;
use serde::Serialize;

use super::findings::Severity;
use super::output::{BAD, STRONG, is_disruptive, paint, plain};

const GUTTER: Style = AnsiColor::Blue.on_default().bold();

/// A problem in JSON output.
#[derive(Debug, Serialize)]
pub struct ProblemJson<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    code: &'a str,
    message: &'a str,
    excerpt: &'a str,
    help: &'a str,
}

impl<'a> From<&'a Problem> for ProblemJson<'a> {
    fn from(problem: &'a Problem) -> Self {
        let Problem { file, line, column, code, message, excerpt, help } = problem;
        Self { file, line: *line, column: *column, code, message, excerpt, help }
    }
}

/// A problem that was found here, in the form of one that the server found.
pub fn from_local(problem: chaperone_policy::Problem) -> Problem {
    let chaperone_policy::Problem { file, line, column, code, message, excerpt, help } = problem;
    Problem { file, line, column, code: code.to_owned(), message, excerpt, help }
}

/// Every problem with its place, excerpt and advice. `place` goes before the files' names.
pub fn render_all(problems: &[Problem], place: &str, severity: Severity) -> String {
    let mut out = String::new();
    for problem in problems {
        render_one(&mut out, problem, place, severity);
    }
    out
}

/// As [`render_all`], and how many there are.
pub fn render(problems: &[Problem], place: &str, severity: Severity) -> String {
    let mut out = render_all(problems, place, severity);
    let noun = if severity == Severity::Error { "problem" } else { "finding" };
    let count = match problems.len() {
        0 => "the bundle is not valid".to_owned(),
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    };
    let head = paint(severity.style(), &format!("{}:", severity.as_str()));
    let _ = writeln!(out, "{head} {count} in {}", plain(place));
    out
}

/// Writing to a String cannot fail.
fn render_one(out: &mut String, problem: &Problem, place: &str, severity: Severity) {
    let code = paint(severity.style(), &format!("{}[{}]:", severity.as_str(), plain(&problem.code)));
    let _ = writeln!(out, "{code} {}", paint(STRONG, &plain(&problem.message)));
    let line = problem.line.to_string();
    let margin = if problem.line == 0 { String::new() } else { " ".repeat(line.len()) };
    let file = plain(&format!("{}/{}", place.trim_end_matches('/'), problem.file));
    let arrow = paint(GUTTER, "-->");
    let _ = match problem.line {
        0 => writeln!(out, " {margin}{arrow} {file}"),
        line => writeln!(out, " {margin}{arrow} {file}:{line}:{}", problem.column),
    };
    if !problem.excerpt.is_empty() {
        let _ = writeln!(out, " {margin} {}", paint(GUTTER, "|"));
        for line in problem.excerpt.lines() {
            let _ = writeln!(out, "{}", excerpt_line(line));
        }
    }
    for (place, help) in problem.help.lines().enumerate() {
        let lead = if place == 0 { format!("{} help:", paint(GUTTER, "=")) } else { "       ".to_owned() };
        let _ = writeln!(out, " {margin} {lead} {}", plain(help));
    }
    out.push('\n');
}

/// ` 12 | text` with its gutter, or its carets, in colour. One character stays one, so that carets keep their place.
fn excerpt_line(line: &str) -> String {
    let text: String = line.chars().map(|c| if c != '\t' && is_disruptive(c) { '\u{fffd}' } else { c }).collect();
    let Some((gutter, rest)) = text.split_once('|') else { return text };
    let is_mark = gutter.trim().is_empty() && !rest.trim().is_empty() && rest.trim().bytes().all(|byte| byte == b'^');
    let rest = if is_mark { paint(BAD, rest) } else { rest.to_owned() };
    format!("{}{rest}", paint(GUTTER, &format!("{gutter}|")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(problem: &chaperone_policy::Problem) -> String {
        let text = render(&[from_local(problem.clone())], "./bundle/", Severity::Error);
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn problem_is_shown_with_place_excerpt_caret_and_advice() {
        let text = "permit (principal);\n  forbid ();\n";
        let problem =
            chaperone_policy::Problem::at("policies/main.cedar", text, 22, 6, "policy_syntax", "unexpected `(`")
                .with_help("a scope has three parts\nprincipal, action, resource");
        assert_eq!(
            shown(&problem),
            "error[policy_syntax]: unexpected `(`\n  \
             --> ./bundle/policies/main.cedar:2:3\n   \
             |\n 2 |   forbid ();\n   |   ^^^^^^\n   \
             = help: a scope has three parts\n           principal, action, resource\n\n\
             error: 1 problem in ./bundle/\n"
        );
    }

    #[test]
    fn problem_of_a_whole_file_has_no_line() {
        let problem = chaperone_policy::Problem::of_file("schema.cedarschema", "schema_missing", "there is no schema");
        assert_eq!(
            shown(&problem),
            "error[schema_missing]: there is no schema\n --> ./bundle/schema.cedarschema\n\nerror: 1 problem in ./bundle/\n"
        );
    }

    #[test]
    fn excerpt_cannot_steer_the_terminal_and_keeps_its_width() {
        let text = "permit\u{1b}[2J (";
        let problem = chaperone_policy::Problem::at("a.cedar", text, text.len() - 1, 1, "policy_syntax", "unexpected");
        let shown = shown(&problem);
        assert!(shown.contains(" 1 | permit\u{fffd}[2J (\n   |            ^\n"), "{shown}");
    }
}
