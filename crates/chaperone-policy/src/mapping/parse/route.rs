//! `[[route]]` tables.

use std::sync::Arc;

use chaperone_decode::grpc::{Descriptors, Method};

use super::action::{Placeholder as _, RequestPlaceholders, target};
use super::answer;
use super::names::{header_name, is_header_text, parameter_name};
use super::reader::{Node, Reader, Span, Table, Text};
use crate::mapping::answer::OnFailure;
use crate::mapping::credential::Source;
use crate::mapping::decoding::{Decoding, NamedDecoder, Settings};
use crate::mapping::host::HostPattern;
use crate::mapping::path::SEGMENTS_MAX;
use crate::mapping::path_template::{PathTemplate, Segment};
use crate::mapping::plan::{AnswerPlan, AnswerRules};
use crate::mapping::reading::{RequestField, is_method};
use crate::mapping::route::{Condition, Pattern, Route};
use crate::mapping::target::Target;
use crate::shape::Shapes;

/// How long a route's name may be, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// How many conditions of one kind a route may have.
const CONDITIONS_MAX: usize = 32;
/// How many actions a route may have beside its first.
const ALSO_MAX: usize = 15;
/// How long the text of a condition, a path or a literal segment may be, in bytes.
const TEXT_BYTES_MAX: usize = 4 * 1024;

const KEYS: [&str; 14] = [
    "name",
    "methods",
    "host",
    "path",
    "headers",
    "query",
    "action",
    "resource",
    "attributes",
    "also",
    "decoder",
    "input",
    "on_failure",
    "on_allow",
];

/// What every route of a file is read with.
pub(super) struct Context<'c> {
    pub(super) shapes: Option<&'c Shapes>,
    pub(super) semicolons: bool,
    pub(super) base: &'c AnswerRules,
    pub(super) stripped: &'c [Source],
    pub(super) decoders: &'c [NamedDecoder],
    pub(super) descriptors: Option<&'c Descriptors>,
}

/// A route, as far as it could be read. What is missing has been noted as a problem.
pub(super) struct Draft {
    pub(super) name: Option<(Arc<str>, Span)>,
    pub(super) pattern: Option<(Pattern, Span)>,
    targets: Vec<Target<RequestField>>,
    decoding: Option<Decoding>,
    /// Whether what it does could be read.
    is_whole: bool,
    on_failure: OnFailure,
    answer: Arc<AnswerPlan>,
}

impl Draft {
    /// Its name in messages.
    pub(super) fn title(&self) -> String {
        match &self.name {
            Some((name, _)) => format!("the route `{name}`"),
            None => "a route without a name".into(),
        }
    }

    /// The route, if it is whole.
    pub(super) fn finish(self) -> Option<Route> {
        let Self { name, pattern, targets, decoding, is_whole, on_failure, answer } = self;
        let ((name, _), (pattern, _)) = (name?, pattern?);
        is_whole.then_some(Route { name, pattern, targets, decoding, on_failure, answer })
    }
}

pub(super) fn read(reader: &mut Reader<'_>, node: &Node<'_>, context: &Context<'_>) -> Option<Draft> {
    let table = reader.table(node, "a route", &KEYS)?;
    let name = reader.required(&table, "a route", "name").and_then(|node| reader.text(node, "`name`"));
    let what = match &name {
        Some(name) => format!("the route `{}`", name.value),
        None => "a route".into(),
    };
    let name = name.and_then(|text| route_name(reader, &text));
    let path = reader
        .required(&table, &what, "path")
        .and_then(|node| reader.text(node, "`path`"))
        .and_then(|text| Some((path(reader, &text, context.semicolons)?, text.span)));
    let captures = path.as_ref().map(|(captures, _)| captures);
    let method = captures.and_then(|(path, _)| grpc_method(path, context.descriptors?));
    let placeholders = RequestPlaceholders { captures, method };
    // Where a decoder tells what is done, a route need not say more.
    let is_plain = ["action", "resource", "attributes"].iter().any(|key| table.get(key).is_some());
    let has_target = is_plain || table.get("decoder").is_none();
    let mut targets: Vec<_> =
        has_target.then(|| target(reader, &table, &what, &placeholders, context.shapes)).into_iter().collect();
    targets.extend(also(reader, &table, &placeholders, context.shapes));
    let decoding = match (table.get("decoder"), table.get("input")) {
        (Some(node), _) => decoding(reader, node, &table, &placeholders, context),
        (None, Some(node)) => {
            reader.problem(&node.span(), "mapping_decoder", "`input` is what a decoder reads: it needs `decoder`");
            None
        }
        (None, None) => None,
    };
    let targets: Option<Vec<_>> = targets.into_iter().collect();
    let is_whole = targets.is_some() && decoding.is_some() == table.get("decoder").is_some();
    let on_failure = table.get("on_failure").and_then(|node| on_failure(reader, node)).unwrap_or_default();
    let rules = match table.get("on_allow") {
        Some(node) => answer::rules(reader, node, "`on_allow`", captures, context.stripped),
        None => AnswerRules::default(),
    };
    let pattern = pattern(reader, &table, path);
    Some(Draft {
        name,
        pattern,
        targets: targets.unwrap_or_default(),
        decoding,
        is_whole,
        on_failure,
        answer: Arc::new(rules.over(context.base).plan()),
    })
}

/// What a request does beside the first action: all of it must be allowed.
fn also(
    reader: &mut Reader<'_>,
    table: &Table<'_, '_>,
    placeholders: &RequestPlaceholders<'_>,
    shapes: Option<&Shapes>,
) -> Vec<Option<Target<RequestField>>> {
    const WHAT: &str = "an action in `also`";
    let nodes = table.get("also").map(|node| reader.items(node, "`also`")).unwrap_or_default();
    if let Some(node) = nodes.get(ALSO_MAX) {
        let message = format!("`also` has {} actions; at most {ALSO_MAX} are accepted", nodes.len());
        reader.problem(&node.span(), "mapping_limit", message);
    }
    let mut read = |node| {
        let table = reader.table(node, WHAT, &["action", "resource", "attributes"])?;
        target(reader, &table, WHAT, placeholders, shapes)
    };
    nodes.into_iter().take(ALSO_MAX).map(&mut read).collect()
}

fn decoding(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    table: &Table<'_, '_>,
    placeholders: &RequestPlaceholders<'_>,
    context: &Context<'_>,
) -> Option<Decoding> {
    let text = reader.text(node, "`decoder`")?;
    let Some(decoder) = context.decoders.iter().position(|decoder| decoder.name == text.value) else {
        let names: Vec<_> = context.decoders.iter().map(|decoder| decoder.name.as_str()).collect();
        let help = if names.is_empty() { "declare it in [decoder]".into() } else { names.join(", ") };
        reader.problem_with_help(&text.span, "mapping_decoder", format!("there is no decoder `{}`", text.value), help);
        return None;
    };
    let settings = context.decoders.get(decoder).map(|decoder| &decoder.settings);
    let input = match table.get("input") {
        None => None,
        Some(node) if matches!(settings, Some(Settings::Sql(_) | Settings::Shell(_))) => {
            let text = reader.text(node, "`input`")?;
            Some(reader.template(&text, |name| placeholders.resolve(name))?)
        }
        Some(node) => {
            reader.problem(&node.span(), "mapping_decoder", "this decoder reads the whole request, and no `input`");
            return None;
        }
    };
    Some(Decoding { decoder, input })
}

/// The gRPC method of a path that is of one method alone.
fn grpc_method(path: &PathTemplate, descriptors: &Descriptors) -> Option<Method> {
    match path.segments() {
        [Segment::Literal(service), Segment::Literal(method)] => descriptors.method(service, method),
        _ => None,
    }
}

fn route_name(reader: &mut Reader<'_>, text: &Text<'_>) -> Option<(Arc<str>, Span)> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'/' | b'-');
    if text.value.is_empty() || text.value.len() > NAME_BYTES_MAX || !text.value.bytes().all(valid) {
        let message = format!("a route's name is 1 to {NAME_BYTES_MAX} characters of A-Z a-z 0-9 . _ : / -");
        reader.problem(&text.span, "mapping_route_name", message);
        return None;
    }
    Some((text.value.into(), text.span.clone()))
}

fn on_failure(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<OnFailure> {
    let text = reader.text(node, "`on_failure`")?;
    match text.value {
        "deny" => Some(OnFailure::Deny),
        "error" => Some(OnFailure::Error),
        _ => {
            reader.problem(&text.span, "mapping_value", "`on_failure` is `deny` or `error`");
            None
        }
    }
}

type NamedPath = (PathTemplate, Vec<(Box<str>, usize)>);

fn pattern(reader: &mut Reader<'_>, table: &Table<'_, '_>, path: Option<(NamedPath, Span)>) -> Option<(Pattern, Span)> {
    // `Some(None)` is a key that is not there; `None` one that could not be read.
    let methods = table.get("methods").map_or(Some(None), |node| methods(reader, node).map(Some));
    let host = table.get("host").map_or(Some(None), |node| host(reader, node).map(Some));
    let headers = conditions(reader, table, "headers", header_name, |value| {
        (is_header_text(value) && !value.contains(','))
            .then_some(())
            .ok_or("a header's value is visible ASCII without commas, which join the values of a repeated header")
    });
    let query = conditions(reader, table, "query", parameter_name, |_| Ok(()));
    let ((path, _), span) = path?;
    Some((Pattern { methods: methods?, host: host?, path, headers: headers?, query: query? }, span))
}

fn methods(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Box<[Box<str>]>> {
    let texts = reader.texts(node, "`methods`")?;
    if texts.is_empty() {
        reader.problem(&node.span(), "mapping_value", "`methods` is empty; leave it out for all methods");
        return None;
    }
    let mut methods: Vec<Box<str>> = Vec::new();
    for text in texts {
        if text.value.is_empty() || !is_method(text.value) {
            let message = format!("`{}` is not a method in upper case", text.value);
            reader.problem(&text.span, "mapping_value", message);
            return None;
        }
        methods.push(text.value.into());
    }
    Some(methods.into())
}

fn host(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<HostPattern> {
    let text = reader.text(node, "`host`")?;
    let pattern = HostPattern::parse(text.value);
    if pattern.is_none() {
        let message = format!("`{}` is not a host", text.value);
        let help = "write `docs.example.com`, or `*.example.com` for every host below it; without scheme and port";
        reader.problem_with_help(&text.span, "mapping_value", message, help);
    }
    pattern
}

fn conditions(
    reader: &mut Reader<'_>,
    table: &Table<'_, '_>,
    key: &str,
    check_name: impl Fn(&mut Reader<'_>, &Text<'_>) -> Option<Box<str>>,
    check_value: impl Fn(&str) -> Result<(), &'static str>,
) -> Option<Vec<Condition>> {
    let Some(node) = table.get(key) else {
        return Some(Vec::new());
    };
    let entries = reader.open_table(node, &format!("`{key}`"))?;
    let mut conditions = Vec::new();
    let mut whole = true;
    for (name, node) in entries.iter() {
        let value = reader.text(node, &format!("`{}` in `{key}`", name.value));
        let value = value.filter(|value| match check_value(value.value) {
            Ok(()) => true,
            Err(message) => {
                reader.problem(&value.span, "mapping_value", message);
                false
            }
        });
        match (check_name(reader, &name), value) {
            (Some(name), Some(value)) => {
                let value = (value.value != "*").then(|| value.value.into());
                conditions.push(Condition { name, value });
            }
            _ => whole = false,
        }
    }
    if conditions.len() > CONDITIONS_MAX {
        let message = format!("`{key}` has {} conditions; at most {CONDITIONS_MAX} are accepted", conditions.len());
        reader.problem(entries.span(), "mapping_limit", message);
    }
    whole.then_some(conditions)
}

/// Reads a path template, and the names of its captures with their positions.
fn path(reader: &mut Reader<'_>, text: &Text<'_>, semicolons: bool) -> Option<NamedPath> {
    let problem = |reader: &mut Reader<'_>, offset: usize, length: usize, message: &str, help: &str| {
        let span = reader.within(text, offset, length.max(1));
        reader.problem_with_help(&span, "mapping_path", message, help);
    };
    let Some(rest) = text.value.strip_prefix('/') else {
        problem(reader, 0, text.value.len(), "a path starts with `/`", "");
        return None;
    };
    if text.value.len() > TEXT_BYTES_MAX || rest.split('/').count() > SEGMENTS_MAX {
        let message = format!("a path has at most {SEGMENTS_MAX} segments and {TEXT_BYTES_MAX} bytes");
        problem(reader, 0, text.value.len(), &message, "");
        return None;
    }
    let (mut segments, mut names) = (Vec::new(), Vec::<(Box<str>, usize)>::new());
    let (mut offset, mut whole) = (1, true);
    let mut parts = rest.split('/').peekable();
    while let Some(part) = parts.next() {
        match segment(part, parts.peek().is_none(), semicolons) {
            Ok((segment, None)) => segments.push(segment),
            Ok((_, Some(name))) if names.iter().any(|(known, _)| **known == *name) => {
                problem(reader, offset, part.len(), &format!("the path captures `{name}` twice"), "");
                whole = false;
            }
            Ok((segment, Some(name))) => {
                names.push((name.into(), segments.len()));
                segments.push(segment);
            }
            Err((message, help)) => {
                problem(reader, offset, part.len(), message, help);
                whole = false;
            }
        }
        offset += part.len() + 1;
    }
    whole.then(|| (PathTemplate::new(segments), names))
}

/// Reads one segment of a template, with the name of its capture.
fn segment(part: &str, last: bool, semicolons: bool) -> Result<(Segment, Option<&str>), (&'static str, &'static str)> {
    let captured = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
    if let Some(name) = captured {
        let (name, segment) = match name.strip_suffix('*') {
            Some(name) => (name, Segment::Rest),
            None => (name, Segment::One),
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(("a capture's name is letters, digits and `_`", ""));
        }
        if segment == Segment::Rest && !last {
            return Err(("only the last segment can capture the rest of the path", ""));
        }
        return Ok((segment, Some(name)));
    }
    if part.contains(['{', '}']) {
        return Err(("a capture is a whole segment", "write `/{name}/`"));
    }
    if part.is_empty() && !last {
        return Err(("the path has an empty segment", ""));
    }
    if part.contains('?') {
        return Err(("the path has a `?`", "put conditions on parameters into `query`"));
    }
    if part.contains(['%', '#', '\\']) || part.chars().any(char::is_control) {
        return Err(("the path has a character that no accepted path has", "write segments as they are when decoded"));
    }
    if part.contains(';') && !semicolons {
        return Err(("no path with `;` is accepted", "set `semicolons = true` in [http] to accept them"));
    }
    let stem = part.split(';').next().unwrap_or_default();
    if matches!(stem, "." | "..") || (stem.is_empty() && !part.is_empty()) {
        return Err(("no path with such a segment is accepted", ""));
    }
    Ok((Segment::Literal(part.into()), None))
}
