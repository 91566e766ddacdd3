//! What goes to standard output: tables, facts and JSON.
//!
//! Texts are built with styles in them. The stream takes them out again unless it is a terminal and `NO_COLOR` is unset.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde::Serialize;

use super::failure::Failure;

/// An allow, and what is alive.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// A denial, an error, and what has ended.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What deserves a look.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// What matters less.
pub const DIM: Style = Style::new().dimmed();
/// Headings, and what to type.
pub const STRONG: Style = Style::new().bold();
/// No style.
pub const PLAIN: Style = Style::new();

/// How a result is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// For people.
    #[value(alias = "text")]
    Table,
    /// For programs: one JSON document with stable names.
    Json,
}

/// `text` in a style.
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Text from elsewhere, made fit for one line of a terminal: what could move the cursor, change colours or reverse the
/// direction of writing is shown as an escape.
pub fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if is_disruptive(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

/// Whether a character does something to a terminal other than to appear.
pub fn is_disruptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A cell of a table.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text from elsewhere in a style.
    pub fn new(style: Style, text: &str) -> Self {
        Self { text: plain(text), style }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(PLAIN, text.as_ref())
    }
}

/// Rows with aligned columns.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
    indent: usize,
}

impl Table {
    /// A table under headings.
    pub fn with_header(names: &[&str]) -> Self {
        Self { rows: vec![names.iter().map(|name| Cell::new(STRONG, name)).collect()], indent: 0 }
    }

    /// Facts, each a name and a value, indented.
    pub fn of_facts() -> Self {
        Self { rows: Vec::new(), indent: 2 }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> &mut Self {
        self.rows.push(cells.into_iter().collect());
        self
    }

    /// Adds a fact, unless its value is empty.
    pub fn fact(&mut self, name: &str, value: impl Into<Cell>) -> &mut Self {
        let value = value.into();
        if value.text.is_empty() { self } else { self.row([Cell::new(DIM, name), value]) }
    }

    /// The lines, each with its end.
    pub fn render(&self) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            for (place, cell) in row.iter().enumerate() {
                let width = cell.text.chars().count();
                match widths.get_mut(place) {
                    Some(widest) => *widest = width.max(*widest),
                    None => widths.push(width),
                }
            }
        }
        let mut out = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(self.indent);
            for (place, (cell, width)) in row.iter().zip(&widths).enumerate() {
                line.push_str(&paint(cell.style, &cell.text));
                // Nothing follows the last cell, so it needs no padding.
                if place + 1 < row.len() {
                    line.push_str(&" ".repeat(width.saturating_sub(cell.text.chars().count()) + 2));
                }
            }
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out
    }
}

/// Prints a styled text.
///
/// # Errors
/// `Output` when standard output cannot be written to, `ReaderGone` when nobody reads it any more.
pub fn print(text: &str) -> Result<(), Failure> {
    finish(anstream::stdout().write_all(text.as_bytes()).and_then(|()| anstream::stdout().flush()))
}

/// Prints bytes as they are.
///
/// # Errors
/// As [`print()`].
pub fn print_raw(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    finish(out.write_all(bytes).and_then(|()| out.flush()))
}

/// Prints a JSON document.
///
/// # Errors
/// As [`print()`].
pub fn print_json(document: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(document).map_err(|error| Failure::Output(error.into()))?;
    text.push('\n');
    print_raw(text.as_bytes())
}

/// Prints a JSON document on one line.
///
/// # Errors
/// As [`print()`].
pub fn print_json_line(document: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string(document).map_err(|error| Failure::Output(error.into()))?;
    text.push('\n');
    print_raw(text.as_bytes())
}

/// Prints a note beside the result, to standard error. One that cannot be printed is not missed.
pub fn note(text: &str) {
    let _ = writeln!(anstream::stderr(), "{}", paint(DIM, text));
}

/// Prints a styled text about what went wrong, to standard error. One that cannot be printed is not missed.
pub fn complain(text: &str) {
    let _ = anstream::stderr().write_all(text.as_bytes());
}

fn finish(written: io::Result<()>) -> Result<(), Failure> {
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => Failure::Output(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn columns_are_aligned_by_characters_and_lines_end_clean() {
        let mut table = Table::with_header(&["NAME", "STATE"]);
        table.row(["wörter".into(), Cell::new(GOOD, "active")]).row(["b".into(), "".into()]);
        assert_eq!(stripped(&table.render()), "NAME    STATE\nwörter  active\nb\n");
    }

    #[test]
    fn empty_fact_is_left_out() {
        let mut facts = Table::of_facts();
        facts.fact("code", "permitted").fact("session", "");
        assert_eq!(stripped(&facts.render()), "  code  permitted\n");
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        let shown = plain("a\u{1b}[2J\r\nb\u{202e}c\u{9b}d");
        assert!(!shown.contains(is_disruptive), "{shown}");
        assert_eq!(plain("plain, wörter, 🦀"), "plain, wörter, 🦀");
        let mut table = Table::of_facts();
        table.fact("reason", "\u{1b}]0;owned\u{7}");
        assert!(stripped(&table.render()).contains("\\u{1b}]0;owned\\u{7}"));
    }
}
