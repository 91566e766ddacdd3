//! Reads TOML node by node, and notes every problem with its place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::FILE;
use crate::mapping::template::{Template, TemplateError};
use crate::problem::Problem;

/// How many problems are reported at most.
const PROBLEMS_MAX: usize = 100;

/// A value with its place.
pub(super) type Node<'d> = Spanned<DeValue<'d>>;
/// A place in the text, in bytes.
pub(super) type Span = Range<usize>;

/// The text of a file, and the problems found in it so far.
pub(super) struct Reader<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

/// A table whose keys are all known.
#[derive(Clone)]
pub(super) struct Table<'n, 'd> {
    entries: &'n DeTable<'d>,
    span: Span,
}

/// A string with its place.
#[derive(Clone)]
pub(super) struct Text<'n> {
    pub(super) value: &'n str,
    pub(super) span: Span,
}

impl<'t> Reader<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, problems: Vec::new() }
    }

    /// Notes a problem.
    pub(super) fn problem(&mut self, span: &Span, code: &'static str, message: impl Into<String>) {
        self.problem_with_help(span, code, message, "");
    }

    /// Notes a problem, with advice.
    pub(super) fn problem_with_help(
        &mut self,
        span: &Span,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if self.problems.len() < PROBLEMS_MAX {
            let problem = Problem::at(FILE, self.text, span.start, span.len(), code, message);
            self.problems.push(problem.with_help(help));
        }
    }

    /// Every problem, in the order of the places.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        self.problems
    }

    /// A table of keys that are all known. `what` names it in messages.
    pub(super) fn table<'n, 'd>(&mut self, node: &'n Node<'d>, what: &str, known: &[&str]) -> Option<Table<'n, 'd>> {
        let table = self.open_table(node, what)?;
        self.known_keys(&table, what, known);
        Some(table)
    }

    /// A table of keys that the writer chose.
    pub(super) fn open_table<'n, 'd>(&mut self, node: &'n Node<'d>, what: &str) -> Option<Table<'n, 'd>> {
        match node.get_ref() {
            DeValue::Table(entries) => Some(Table { entries, span: node.span() }),
            other => self.wrong_type(node, what, "a table", other),
        }
    }

    /// Notes every key that is not known.
    pub(super) fn known_keys(&mut self, table: &Table<'_, '_>, what: &str, known: &[&str]) {
        for key in table.entries.keys().filter(|key| !known.contains(&&**key.get_ref())) {
            let message = format!("{what} has no key `{}`", key.get_ref());
            let help = format!("its keys are {}", known.join(", "));
            self.problem_with_help(&key.span(), "mapping_unknown_key", message, help);
        }
    }

    pub(super) fn text<'n>(&mut self, node: &'n Node<'_>, what: &str) -> Option<Text<'n>> {
        match node.get_ref() {
            DeValue::String(value) => Some(Text { value, span: node.span() }),
            other => self.wrong_type(node, what, "a string", other),
        }
    }

    pub(super) fn boolean(&mut self, node: &Node<'_>, what: &str) -> Option<bool> {
        match node.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            other => self.wrong_type(node, what, "true or false", other),
        }
    }

    /// Strings, without those that are none; nothing when none of them is.
    pub(super) fn texts<'n>(&mut self, node: &'n Node<'_>, what: &str) -> Option<Vec<Text<'n>>> {
        match node.get_ref() {
            DeValue::Array(items) => {
                let item = format!("an item of {what}");
                let texts: Vec<_> = items.iter().filter_map(|node| self.text(node, &item)).collect();
                (items.is_empty() || !texts.is_empty()).then_some(texts)
            }
            other => self.wrong_type(node, what, "an array of strings", other),
        }
    }

    /// The tables of an array of tables.
    pub(super) fn items<'n, 'd>(&mut self, node: &'n Node<'d>, what: &str) -> Vec<&'n Node<'d>> {
        match node.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            other => self.wrong_type(node, what, "an array of tables", other).unwrap_or_default(),
        }
    }

    /// A value that must be there.
    pub(super) fn required<'n, 'd>(&mut self, table: &Table<'n, 'd>, what: &str, key: &str) -> Option<&'n Node<'d>> {
        let node = table.get(key);
        if node.is_none() {
            self.problem(&table.span, "mapping_missing_key", format!("{what} needs the key `{key}`"));
        }
        node
    }

    /// A string as a template.
    pub(super) fn template<F>(
        &mut self,
        text: &Text<'_>,
        resolve: impl FnMut(&str) -> Result<F, String>,
    ) -> Option<Template<F>> {
        match Template::parse(text.value, resolve) {
            Ok(template) => Some(template),
            Err(TemplateError { offset, length, message }) => {
                let span = self.within(text, offset, length);
                self.problem(&span, "mapping_template", message);
                None
            }
        }
    }

    /// The place of a part of a string; of the whole string where escapes or another kind of quote hide where the part is.
    pub(super) fn within(&self, text: &Text<'_>, offset: usize, length: usize) -> Span {
        let written = self.text.get(text.span.clone()).unwrap_or_default();
        let quoted = written.len() == text.value.len() + 2 && written.get(1..=text.value.len()) == Some(text.value);
        if quoted {
            let start = text.span.start + 1 + offset;
            start..start + length
        } else {
            text.span.clone()
        }
    }

    fn wrong_type<T>(&mut self, node: &Node<'_>, what: &str, wanted: &str, found: &DeValue<'_>) -> Option<T> {
        let message = format!("{what} must be {wanted}, not {}", found.type_str());
        self.problem(&node.span(), "mapping_type", message);
        None
    }
}

impl<'n, 'd> Table<'n, 'd> {
    /// The root of a file.
    pub(super) const fn root(entries: &'n DeTable<'d>) -> Self {
        Self { entries, span: 0..0 }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'n Node<'d>> {
        self.entries.get(key)
    }

    /// Keys with their values, in the order of the keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Text<'n>, &'n Node<'d>)> + use<'n, 'd> {
        self.entries.iter().map(|(key, value)| (Text { value: key.get_ref(), span: key.span() }, value))
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }
}
