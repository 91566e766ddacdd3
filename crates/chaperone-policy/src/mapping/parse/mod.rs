//! `mapping.toml`, read and checked: every problem at once.

mod action;
mod answer;
mod decoder;
mod names;
mod reader;
mod recording;
mod results;
mod route;
mod zones;

use std::collections::HashMap;
use std::sync::Arc;

use chaperone_decode::grpc::Descriptors;
use toml::de::DeTable;

use self::names::header_name;
use self::reader::{Node, Reader, Span, Table, Text};
use self::route::Draft;
use super::Mapping;
use super::credential::Source;
use super::plan::AnswerRules;
use super::route::{Route, RouteTable};
use crate::decoders::Decoders;
use crate::fact::Results;
use crate::problem::Problem;
use crate::shape::Shapes;

/// The file that problems are in.
pub(super) const FILE: &str = "mapping.toml";
/// How long the file may be, in bytes.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// How many routes it may have.
const ROUTES_MAX: usize = 1_000;
/// How many sources of a session it may have.
const SOURCES_MAX: usize = 8;

/// Reads a mapping. Without `shapes`, what hangs on the schema is not checked.
pub(super) fn parse(
    text: &str,
    shapes: Option<&Shapes>,
    descriptors: Option<&Arc<Descriptors>>,
) -> Result<Mapping, Vec<Problem>> {
    if text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes; at most {FILE_BYTES_MAX} are accepted", text.len());
        return Err(vec![Problem::of_file(FILE, "mapping_limit", message)]);
    }
    let document = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        vec![Problem::at(FILE, text, span.start, span.len(), "mapping_syntax", error.message())]
    })?;
    let mut reader = Reader::new(text);
    let mapping = read(&mut reader, &Table::root(document.get_ref()), shapes, descriptors);
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(mapping) } else { Err(problems) }
}

/// Reads what reports may tell, as far as it can be read: what is wrong, [`parse`] says.
pub(super) fn results(text: &str, shapes: &Shapes) -> Results {
    let Ok(document) = DeTable::parse(text) else { return Results::new() };
    let node = document.get_ref().get("results");
    node.map(|node| results::read(&mut Reader::new(text), node, Some(shapes))).unwrap_or_default()
}

/// Reads which decoders there are, as far as it can be read: what is wrong, [`parse`] says.
pub(super) fn decoders(text: &str) -> Decoders {
    let Ok(document) = DeTable::parse(text) else { return Decoders::default() };
    decoder::named(&mut Reader::new(text), &Table::root(document.get_ref()))
}

fn read(
    reader: &mut Reader<'_>,
    root: &Table<'_, '_>,
    shapes: Option<&Shapes>,
    descriptors: Option<&Arc<Descriptors>>,
) -> Mapping {
    reader.known_keys(
        root,
        "a mapping",
        &["session", "principal", "http", "zones", "on_allow", "results", "trail", "decoder", "classes", "route"],
    );
    let mut mapping = Mapping::new(shapes.unwrap_or(&Shapes::new()));
    mapping.descriptors = descriptors.cloned();
    if let Some(node) = root.get("session") {
        session(reader, node, &mut mapping);
    }
    if let Some(peer) = flag(reader, root.get("principal"), "[principal]", "peer") {
        mapping.peer = peer;
    }
    if let Some(semicolons) = flag(reader, root.get("http"), "[http]", "semicolons") {
        mapping.semicolons = semicolons;
    }
    if let Some(node) = root.get("zones") {
        mapping.zones = zones::zones(reader, node);
    }
    if let Some(node) = root.get("trail") {
        mapping.recording = recording::read(reader, node, shapes);
    }
    let named = decoder::named(reader, root);
    match (root.get("decoder"), root.get("classes")) {
        (Some(node), _) => mapping.decoders = decoder::read(reader, node, &named.classes, shapes),
        (None, Some(node)) => {
            reader.problem(&node.span(), "mapping_classes", "[classes] is for decoders, and there is none");
        }
        (None, None) => {}
    }
    let stripped = if mapping.strip { mapping.sources.clone() } else { Vec::new() };
    let base = match root.get("on_allow") {
        Some(node) => answer::rules(reader, node, "[on_allow]", None, &stripped),
        None => AnswerRules::default(),
    };
    if let Some(node) = root.get("results") {
        mapping.results = results::read(reader, node, shapes);
    }
    let nodes = root.get("route").map(|node| reader.items(node, "`route`")).unwrap_or_default();
    if let Some(node) = nodes.get(ROUTES_MAX) {
        let message = format!("the mapping has {} routes; at most {ROUTES_MAX} are accepted", nodes.len());
        reader.problem(&node.span(), "mapping_limit", message);
    }
    let context = route::Context {
        shapes,
        semicolons: mapping.semicolons,
        base: &base,
        stripped: &stripped,
        decoders: &mapping.decoders,
        descriptors: descriptors.map(Arc::as_ref),
    };
    let drafts: Vec<Draft> =
        nodes.into_iter().take(ROUTES_MAX).filter_map(|node| route::read(reader, node, &context)).collect();
    unique_names(reader, &drafts);
    shadows(reader, &drafts);
    let routes: Vec<Route> = drafts.into_iter().filter_map(Draft::finish).collect();
    mapping.recording.note(&routes, &mapping.decoders);
    mapping.routes = RouteTable::new(routes);
    mapping.unmatched = Arc::new(base.plan());
    mapping
}

/// The one boolean of a table.
fn flag(reader: &mut Reader<'_>, node: Option<&Node<'_>>, what: &str, key: &str) -> Option<bool> {
    let table = reader.table(node?, what, &[key])?;
    reader.boolean(table.get(key)?, &format!("`{key}`"))
}

fn session(reader: &mut Reader<'_>, node: &Node<'_>, mapping: &mut Mapping) {
    let Some(table) = reader.table(node, "[session]", &["sources", "strip"]) else {
        return;
    };
    if let Some(strip) = table.get("strip").and_then(|node| reader.boolean(node, "`strip`")) {
        mapping.strip = strip;
    }
    let Some(node) = table.get("sources") else {
        return;
    };
    let Some(texts) = reader.texts(node, "`sources`") else {
        return;
    };
    if texts.is_empty() || texts.len() > SOURCES_MAX {
        let message = format!("`sources` must name one to {SOURCES_MAX} places");
        reader.problem(&node.span(), "mapping_session", message);
    }
    let mut sources = Vec::new();
    for text in texts {
        let Some(source) = source(reader, &text) else {
            continue;
        };
        if sources.contains(&source) {
            reader.problem(&text.span, "mapping_session", format!("the source `{}` is there twice", text.value));
        }
        sources.push(source);
    }
    mapping.sources = sources;
}

fn source(reader: &mut Reader<'_>, text: &Text<'_>) -> Option<Source> {
    if text.value == "bearer" {
        return Some(Source::Bearer);
    }
    let Some(name) = text.value.strip_prefix("header:") else {
        let message = format!("`{}` is no source of a session", text.value);
        reader.problem_with_help(&text.span, "mapping_session", message, "write `bearer` or `header:<name>`");
        return None;
    };
    if name == "authorization" {
        let message = "the authorization header holds a scheme before its token";
        reader.problem_with_help(&text.span, "mapping_session", message, "write `bearer`");
        return None;
    }
    let span = reader.within(text, "header:".len(), name.len());
    header_name(reader, &Text { value: name, span }).map(Source::Header)
}

fn unique_names(reader: &mut Reader<'_>, drafts: &[Draft]) {
    let mut seen: HashMap<&str, &Span> = HashMap::new();
    for (name, span) in drafts.iter().filter_map(|draft| draft.name.as_ref()) {
        if seen.insert(name, span).is_some() {
            reader.problem(span, "mapping_route_name", format!("another route is named `{name}`"));
        }
    }
}

/// Notes every route that can never match, because an earlier one takes all that it would.
fn shadows(reader: &mut Reader<'_>, drafts: &[Draft]) {
    for (number, draft) in drafts.iter().enumerate() {
        let Some((pattern, span)) = &draft.pattern else {
            continue;
        };
        let covering = drafts
            .iter()
            .take(number)
            .find(|earlier| earlier.pattern.as_ref().is_some_and(|(earlier, _)| earlier.covers(pattern)));
        if let Some(earlier) = covering {
            let message = format!("{} can never match: {} takes all of its requests", draft.title(), earlier.title());
            let help = "move it before the other route, or remove it";
            reader.problem_with_help(span, "route_shadowed", message, help);
        }
    }
}
