//! `on_allow` tables.

use super::action::request_field;
use super::names::{changeable_header_name, is_header_text, parameter_name};
use super::reader::{Node, Reader, Table, Text};
use crate::mapping::credential::Source;
use crate::mapping::path_template::PathTemplate;
use crate::mapping::plan::{AnswerField, AnswerRules, Change};
use crate::mapping::reading::RequestField;
use crate::mapping::template::Template;

/// How many things one table may change.
const CHANGES_MAX: usize = 64;

const KEYS: [&str; 6] =
    ["set_headers", "append_headers", "remove_headers", "set_query", "remove_query", "response_headers"];

/// The captures of a route: its path, and the names of what it captures with their positions.
pub(super) type Captures<'c> = Option<&'c (PathTemplate, Vec<(Box<str>, usize)>)>;

type Changes = std::collections::BTreeMap<Box<str>, Change<RequestField>>;
type MakeChange = fn(Template<AnswerField<RequestField>>) -> Change<RequestField>;

/// Reads an `on_allow` table. `stripped` are the sources whose headers are removed anyway.
pub(super) fn rules(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    what: &str,
    captures: Captures<'_>,
    stripped: &[Source],
) -> AnswerRules {
    let mut rules = AnswerRules::default();
    let Some(table) = reader.table(node, what, &KEYS) else {
        return rules;
    };
    let set = |reader: &mut Reader<'_>, key: &str, changes: &mut Changes, make: MakeChange, kind: Kind| {
        set_all(reader, &table, key, changes, make, kind, captures, stripped);
    };
    set(reader, "set_headers", &mut rules.headers, Change::Set, Kind::Header);
    set(reader, "append_headers", &mut rules.headers, Change::Append, Kind::Header);
    set(reader, "set_query", &mut rules.query, Change::Set, Kind::Parameter);
    set(reader, "response_headers", &mut rules.response_headers, Change::Set, Kind::ResponseHeader);
    remove_all(reader, &table, "remove_headers", &mut rules.headers, Kind::Header);
    remove_all(reader, &table, "remove_query", &mut rules.query, Kind::Parameter);
    for changes in [&rules.headers, &rules.query, &rules.response_headers] {
        if changes.len() > CHANGES_MAX {
            let message = format!("{what} changes more than {CHANGES_MAX} things of one kind");
            reader.problem(table.span(), "mapping_limit", message);
        }
    }
    rules
}

/// What a name is the name of.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Header,
    Parameter,
    ResponseHeader,
}

impl Kind {
    fn name(self, reader: &mut Reader<'_>, text: &Text<'_>) -> Option<Box<str>> {
        match self {
            Self::Header | Self::ResponseHeader => changeable_header_name(reader, text),
            Self::Parameter => parameter_name(reader, text),
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one call site, which spells out what differs between the tables")]
fn set_all(
    reader: &mut Reader<'_>,
    table: &Table<'_, '_>,
    key: &str,
    changes: &mut Changes,
    make: MakeChange,
    kind: Kind,
    captures: Captures<'_>,
    stripped: &[Source],
) {
    let Some(entries) = table.get(key).and_then(|node| reader.open_table(node, &format!("`{key}`"))) else {
        return;
    };
    for (name, node) in entries.iter() {
        let template = reader
            .text(node, &format!("`{}` in `{key}`", name.value))
            .and_then(|text| answer_template(reader, &text, kind, captures));
        let is_stripped = kind == Kind::Header
            && stripped.iter().any(|source| match source {
                Source::Header(header) => **header == *name.value,
                Source::Bearer => name.value == "authorization",
            });
        if is_stripped {
            let message = format!("the header `{}` presents the session, and is removed", name.value);
            reader.problem(&name.span, "mapping_header", message);
        }
        if let (Some(key), Some(template)) = (kind.name(reader, &name), template) {
            add(reader, changes, key, make(template), &name);
        }
    }
}

fn remove_all(reader: &mut Reader<'_>, table: &Table<'_, '_>, key: &str, changes: &mut Changes, kind: Kind) {
    let Some(names) = table.get(key).and_then(|node| reader.texts(node, &format!("`{key}`"))) else {
        return;
    };
    for name in names {
        if let Some(key) = kind.name(reader, &name) {
            add(reader, changes, key, Change::Remove, &name);
        }
    }
}

fn add(reader: &mut Reader<'_>, changes: &mut Changes, key: Box<str>, change: Change<RequestField>, name: &Text<'_>) {
    if changes.insert(key, change).is_some() {
        let message = format!("`{}` is changed twice by one table", name.value);
        reader.problem(&name.span, "mapping_conflict", message);
    }
}

fn answer_template(
    reader: &mut Reader<'_>,
    text: &Text<'_>,
    kind: Kind,
    captures: Captures<'_>,
) -> Option<Template<AnswerField<RequestField>>> {
    let template = reader.template(text, |name| answer_field(name, captures))?;
    if kind != Kind::Parameter && !template.literals().all(is_header_text) {
        let message = "a header's value is visible ASCII, spaces and tabs";
        reader.problem(&text.span, "mapping_header", message);
        return None;
    }
    Some(template)
}

fn answer_field(name: &str, captures: Captures<'_>) -> Result<AnswerField<RequestField>, String> {
    Ok(match name {
        "principal" => AnswerField::Principal,
        "principal.id" => AnswerField::PrincipalId,
        "principal.type" => AnswerField::PrincipalType,
        "session.id" => AnswerField::SessionId,
        "session.owner" => AnswerField::SessionOwner,
        "session.task.id" => AnswerField::SessionTaskId,
        "decision.id" => AnswerField::DecisionId,
        "bundle" => AnswerField::Bundle,
        _ => return request_field(name, captures).map(AnswerField::Request),
    })
}
