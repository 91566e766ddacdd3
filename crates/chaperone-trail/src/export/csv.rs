//! CSV, as RFC 4180 has it: lines end in CRLF, and a cell with a comma, a quote or a line end is quoted.

use std::fmt::Write as _;

use serde::Serialize;

use crate::event::{AppliedEffect, Asked, Event};
use crate::record::{Record, Sealed};

/// The columns. New ones are added at the end, none is moved or taken away.
const COLUMNS: [&str; 28] = [
    "chain",
    "seq",
    "time",
    "kind",
    "decision_id",
    "outcome",
    "code",
    "reason",
    "protocol",
    "session_id",
    "tree_id",
    "owner",
    "task",
    "principal",
    "spiffe_id",
    "actions",
    "resources",
    "attributes",
    "policies",
    "effects",
    "approval_ids",
    "bundle",
    "elapsed_us",
    "trace_id",
    "act",
    "by",
    "note",
    "sha256",
];

/// The line with the names of the columns.
pub(super) fn write_header(out: &mut Vec<u8>) {
    write_line(&COLUMNS, out);
}

/// A line for a record. What does not apply is an empty cell; of what there are several, all are in one cell, with ` | ` between them.
pub(super) fn write(sealed: &Sealed, record: &Record, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let mut line = Line::default();
    line.set("chain", record.chain);
    line.set("seq", record.seq);
    line.set("time", record.at);
    line.set("kind", name(&record.event.kind())?);
    line.set("sha256", sealed.digest());
    if let Some(session) = record.event.session() {
        line.set("session_id", session.id);
        line.set("tree_id", session.tree);
        line.set("owner", &session.owner);
        line.set("task", &session.task);
    }
    if let Some(principal) = record.event.principal() {
        line.set("principal", principal);
    }
    match &record.event {
        Event::Decision(decided) => {
            line.set("decision_id", decided.id);
            line.set("outcome", &decided.outcome);
            line.set("code", &decided.code);
            line.set("reason", &decided.reason);
            line.set("protocol", &decided.protocol);
            line.set_some("spiffe_id", decided.presenter.spiffe_id.as_ref());
            line.set("actions", joined(decided.actions.iter().map(|asked| asked.action.to_string())));
            line.set("resources", joined(decided.actions.iter().map(|asked| asked.resource.to_string())));
            line.set("attributes", attributes(&decided.actions)?);
            line.set("policies", joined(decided.policies.iter().map(|policy| policy.id.to_string())));
            line.set("effects", effects(&decided.effects));
            line.set("approval_ids", joined(decided.step_ups.iter().map(|asked| asked.approval.to_string())));
            line.set("bundle", decided.bundle);
            line.set("elapsed_us", decided.elapsed_us);
            line.set_some("trace_id", decided.trace.as_ref().map(|trace| &trace.trace_id));
        }
        Event::NoDecision { id, protocol, code, elapsed_us, trace } => {
            line.set("decision_id", id);
            line.set("outcome", "none");
            line.set("code", code);
            line.set("protocol", protocol);
            line.set("elapsed_us", elapsed_us);
            line.set_some("trace_id", trace.as_ref().map(|trace| &trace.trace_id));
        }
        Event::Act(acted) => {
            line.set("act", &acted.act);
            line.set("by", &acted.by);
            line.set_some("decision_id", acted.decision);
            line.set_some("approval_ids", acted.approval);
            line.set_some("bundle", acted.bundle);
            line.set("effects", effects(&acted.effects));
            line.set("note", &acted.note);
        }
        Event::Started { replica, version, .. } => line.set("note", format_args!("{replica}, version {version}")),
        Event::State(state) => line.set("note", format_args!("{} is {}", state.of, state.digest)),
        Event::Checkpoint { .. } | Event::Stopped => {}
    }
    write_line(&line.0, out);
    Ok(())
}

/// The cells of a line.
#[derive(Default)]
struct Line([String; COLUMNS.len()]);

impl Line {
    fn set(&mut self, column: &str, value: impl std::fmt::Display) {
        let place = COLUMNS.iter().position(|name| *name == column);
        if let Some(cell) = place.and_then(|place| self.0.get_mut(place)) {
            // Writing to a String cannot fail.
            let _ = write!(cell, "{value}");
        }
    }

    fn set_some(&mut self, column: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.set(column, value);
        }
    }
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(" | ")
}

fn effects(effects: &[AppliedEffect<'_>]) -> String {
    joined(effects.iter().map(|effect| format!("{} {}", effect.effect, effect.text)))
}

/// One JSON object an action.
fn attributes(actions: &[Asked<'_>]) -> Result<String, serde_json::Error> {
    let kept = actions.iter().filter(|asked| !asked.attributes.is_empty());
    let texts: Result<Vec<_>, _> = kept.map(|asked| serde_json::to_string(&super::values::attributes(asked))).collect();
    Ok(texts?.join(" | "))
}

/// What a unit variant is called in the record.
fn name(kind: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_value(kind)?.as_str().unwrap_or_default().to_owned())
}

fn write_line(cells: &[impl AsRef<str>], out: &mut Vec<u8>) {
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_cell(cell.as_ref(), out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Spreadsheets run cells that begin like a formula, whoever wrote them; behind an apostrophe they are text.
fn write_cell(text: &str, out: &mut Vec<u8>) {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\'']);
    let quoted = text.contains([',', '"', '\r', '\n']);
    if quoted {
        out.push(b'"');
    }
    if formula {
        out.push(b'\'');
    }
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    if quoted {
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples;
    use super::*;

    /// Reads RFC 4180, and takes the apostrophe away.
    fn read(text: &str) -> Vec<Vec<String>> {
        let (mut lines, mut line, mut cell) = (Vec::new(), Vec::new(), String::new());
        let (mut chars, mut quoted) = (text.chars().peekable(), false);
        while let Some(c) = chars.next() {
            match c {
                '"' if !quoted => quoted = true,
                '"' if chars.peek() == Some(&'"') => cell.extend(chars.next()),
                '"' => quoted = false,
                ',' if !quoted => line.push(std::mem::take(&mut cell)),
                '\r' if !quoted => {
                    assert_eq!(chars.next(), Some('\n'), "a line ends in CRLF");
                    line.push(std::mem::take(&mut cell));
                    lines.push(std::mem::take(&mut line));
                }
                c => cell.push(c),
            }
        }
        assert!(cell.is_empty() && line.is_empty(), "the last line ends");
        let plain = |cell: String| cell.strip_prefix('\'').map(str::to_owned).unwrap_or(cell);
        lines.into_iter().map(|line| line.into_iter().map(plain).collect()).collect()
    }

    fn exported() -> String {
        let mut out = Vec::new();
        write_header(&mut out);
        for (sealed, record) in samples::story() {
            write(&sealed, &record, &mut out).expect("it is written");
        }
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn every_line_has_every_column_and_says_what_the_record_says() {
        let lines = read(&exported());
        assert!(lines.iter().all(|line| line.len() == COLUMNS.len()));
        let cell = |line: usize, name: &str| {
            &*lines[line][COLUMNS.iter().position(|column| *column == name).expect("a column")]
        };
        assert_eq!((cell(1, "kind"), cell(1, "seq")), ("started", "1"));
        let denied = lines.iter().position(|line| line.contains(&"deny".to_owned())).expect("a denial");
        assert_eq!(cell(denied, "actions"), "Action::\"export\"");
        assert_eq!(cell(denied, "attributes"), r#"{"format":"csv, \"quoted\"","rows":50000}"#);
        assert_eq!(cell(denied, "reason"), "=HYPERLINK(\"x\")\nsecond line");
        assert_eq!(cell(denied, "effects"), "label tree:pii | risk +20");
        assert_eq!(cell(denied, "time"), "2026-01-31T12:00:02Z");
    }

    #[test]
    fn csv_is_as_documented() {
        samples::assert_golden("story.csv", &exported());
    }

    #[test]
    fn formulas_are_text() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            let mut out = Vec::new();
            write_cell(text, &mut out);
            let shown = String::from_utf8(out).expect("UTF-8");
            assert!(shown.trim_start_matches('"').starts_with('\''), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(lines in prop::collection::vec(prop::collection::vec(any::<String>(), 1..5), 1..5)) {
            let mut out = Vec::new();
            for line in &lines {
                write_line(line, &mut out);
            }
            prop_assert_eq!(read(std::str::from_utf8(&out).expect("UTF-8")), lines);
        }
    }
}
