//! `[decoder.NAME]` and `[classes]`: what is decoded, and what the operations are worth.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use chaperone_decode::document::Pointer;
use chaperone_decode::{Class, Classes, Decoder, a2a, kubernetes, mcp, shell, sql};
use smol_str::SmolStr;
use toml::de::DeValue;

use super::action::{Placeholder, target};
use super::reader::{Node, Reader, Table, Text};
use crate::decoders::Decoders;
use crate::mapping::decoding::{NamedDecoder, OperationField, OperationRule, Settings, Supplied};
use crate::shape::Shapes;

/// How many decoders a mapping may have.
const DECODERS_MAX: usize = 32;
/// How many operations of one decoder may be actions of the bundle's own.
const OPERATIONS_MAX: usize = 1_000;
/// How many actions `[classes]` may name.
const CLASSED_MAX: usize = 10_000;
/// How many conditions one operation may have.
const CONDITIONS_MAX: usize = 16;

/// They are valid, which a test of theirs shows.
static BUILT_IN: LazyLock<Classes> = LazyLock::new(|| Classes::built_in().unwrap_or_default());

const KINDS: [&str; 6] = ["sql", "shell", "mcp", "a2a", "kubernetes", "kubernetes_review"];

/// Which decoders are named, and how their actions are classed, as far as it can be read.
pub(super) fn named(reader: &mut Reader<'_>, root: &Table<'_, '_>) -> Decoders {
    let decoders = root.get("decoder").and_then(|node| reader.open_table(node, "[decoder]"));
    let mut used = BTreeSet::new();
    for (_, node) in decoders.iter().flat_map(Table::iter) {
        let Some(table) = reader.open_table(node, "a decoder") else { continue };
        let kinds = Decoder::ALL.into_iter().filter(|decoder| {
            table
                .iter()
                .any(|(key, _)| key.value == decoder.as_str() || key.value == format!("{}_review", decoder.as_str()))
        });
        used.extend(kinds);
    }
    if used.is_empty() {
        return Decoders::default();
    }
    let mut classes = BUILT_IN.clone();
    if let Some(node) = root.get("classes") {
        add_classes(reader, node, &mut classes);
    }
    Decoders::new(used, classes)
}

fn add_classes(reader: &mut Reader<'_>, node: &Node<'_>, classes: &mut Classes) {
    let Some(table) = reader.table(node, "[classes]", &Decoder::ALL.map(Decoder::as_str)) else { return };
    let mut count = 0;
    for (key, node) in table.iter() {
        let Some(decoder) = Decoder::ALL.into_iter().find(|decoder| decoder.as_str() == key.value) else { continue };
        let Some(actions) = reader.open_table(node, &format!("[classes.{}]", key.value)) else { continue };
        for (action, node) in actions.iter() {
            count += 1;
            let what = format!("the classes of `{}`", action.value);
            let Some(texts) = reader.texts(node, &what) else { continue };
            if action.value.is_empty() || action.value.chars().any(char::is_control) {
                reader.problem(&action.span, "mapping_classes", "the name of an action is some text");
                continue;
            }
            let found = texts.iter().filter_map(|text| class(reader, text)).collect::<Vec<_>>();
            classes.add(decoder, [(SmolStr::new(action.value), found)]);
        }
    }
    if count > CLASSED_MAX {
        let message = format!("[classes] names {count} actions; at most {CLASSED_MAX} are accepted");
        reader.problem(table.span(), "mapping_limit", message);
    }
}

fn class(reader: &mut Reader<'_>, text: &Text<'_>) -> Option<Class> {
    let class = Class::ALL.into_iter().find(|class| class.as_str() == text.value);
    if class.is_none() {
        let message = format!("`{}` is no group of actions", text.value);
        let help = format!("the groups are {}", Class::ALL.map(Class::as_str).join(", "));
        reader.problem_with_help(&text.span, "mapping_classes", message, help);
    }
    class
}

/// Reads `[decoder]`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    classes: &Arc<Classes>,
    shapes: Option<&Shapes>,
) -> Vec<NamedDecoder> {
    let Some(table) = reader.open_table(node, "[decoder]") else { return Vec::new() };
    if table.iter().count() > DECODERS_MAX {
        let message = format!("the mapping has more than {DECODERS_MAX} decoders");
        reader.problem(table.span(), "mapping_limit", message);
    }
    table.iter().take(DECODERS_MAX).filter_map(|(name, node)| decoder(reader, &name, node, classes, shapes)).collect()
}

fn decoder(
    reader: &mut Reader<'_>,
    name: &Text<'_>,
    node: &Node<'_>,
    classes: &Arc<Classes>,
    shapes: Option<&Shapes>,
) -> Option<NamedDecoder> {
    let what = format!("the decoder `{}`", name.value);
    let keys: Vec<_> = KINDS.into_iter().chain(["operation"]).collect();
    let table = reader.table(node, &what, &keys)?;
    let mut kinds = KINDS.into_iter().filter_map(|kind| Some((kind, table.get(kind)?)));
    let (Some((kind, node)), None) = (kinds.next(), kinds.next()) else {
        let message = format!("{what} has one of the keys {}", KINDS.join(", "));
        reader.problem(&name.span, "mapping_decoder", message);
        return None;
    };
    let settings = settings(reader, kind, node, &what)?;
    let decoder = settings.decoder();
    let operations = table.get("operation").map(|node| reader.items(node, "`operation`")).unwrap_or_default();
    if let Some(node) = operations.get(OPERATIONS_MAX) {
        let message = format!("{what} has {} operations; at most {OPERATIONS_MAX} are accepted", operations.len());
        reader.problem(&node.span(), "mapping_limit", message);
    }
    let operations = operations.into_iter().take(OPERATIONS_MAX);
    let rules = operations.filter_map(|node| operation(reader, node, decoder, shapes)).collect();
    let supplied = Supplied::of(decoder, classes, shapes.unwrap_or(&Shapes::new()));
    Some(NamedDecoder { name: name.value.into(), settings, classes: Arc::clone(classes), rules, supplied })
}

fn settings(reader: &mut Reader<'_>, kind: &str, node: &Node<'_>, what: &str) -> Option<Settings> {
    let prefix = |reader: &mut Reader<'_>, key: &str| {
        let table = reader.table(node, what, &[key])?;
        let Some(node) = table.get(key) else { return Some(SmolStr::default()) };
        reader.text(node, &format!("`{key}`")).map(|text| SmolStr::new(text.value))
    };
    match kind {
        "sql" => sql_settings(reader, node, what).map(Settings::Sql),
        "shell" => Some(Settings::Shell(shell::Options { host: prefix(reader, "host")? })),
        "mcp" => Some(Settings::Mcp(mcp::Options { server: prefix(reader, "server")? })),
        "a2a" => Some(Settings::A2a(a2a::Options { agent: prefix(reader, "agent")? })),
        "kubernetes" => Some(Settings::Kubernetes(kubernetes::Options { cluster: prefix(reader, "cluster")? })),
        _ => Some(Settings::KubernetesReview(kubernetes::Options { cluster: prefix(reader, "cluster")? })),
    }
}

fn sql_settings(reader: &mut Reader<'_>, node: &Node<'_>, what: &str) -> Option<sql::Options> {
    let table = reader.table(node, what, &["dialect", "database", "views"])?;
    let text = reader.required(&table, what, "dialect").and_then(|node| reader.text(node, "`dialect`"))?;
    let dialect = sql::Dialect::parse(text.value);
    if dialect.is_none() {
        let message = format!("`{}` is no dialect", text.value);
        let help = "the dialects are postgres, mysql, sqlite, mssql, snowflake, bigquery";
        reader.problem_with_help(&text.span, "mapping_decoder", message, help);
    }
    let database = table.get("database").map(|node| reader.text(node, "`database`"));
    let database = database.map_or(Some(SmolStr::default()), |text| text.map(|text| SmolStr::new(text.value)));
    let mut views = BTreeMap::new();
    if let Some(table) = table.get("views").and_then(|node| reader.open_table(node, "`views`")) {
        for (view, node) in table.iter() {
            let tables = reader.texts(node, &format!("the tables of `{}`", view.value)).unwrap_or_default();
            views.insert(SmolStr::new(view.value), tables.iter().map(|text| SmolStr::new(text.value)).collect());
        }
    }
    Some(sql::Options { dialect: dialect?, database: database?, views })
}

fn operation(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    decoder: Decoder,
    shapes: Option<&Shapes>,
) -> Option<OperationRule> {
    let what = "an operation";
    let table = reader.table(node, what, &["when", "action", "resource", "attributes"])?;
    let conditions = reader.required(&table, what, "when").and_then(|node| reader.open_table(node, "`when`"));
    let when = conditions.map(|conditions| when(reader, &conditions, decoder));
    let placeholders = OperationPlaceholders(decoder);
    let target = target(reader, &table, what, &placeholders, shapes);
    Some(OperationRule { when: when?, target: target? })
}

fn when(reader: &mut Reader<'_>, table: &Table<'_, '_>, decoder: Decoder) -> Vec<(SmolStr, Box<str>)> {
    let mut conditions = Vec::new();
    for (name, node) in table.iter() {
        if !matches!(name.value, "action" | "object") && fact(name.value, decoder).is_err() {
            let message = format!("`{}` is no fact of this decoder", name.value);
            reader.problem_with_help(&name.span, "mapping_operation", message, facts_of(decoder));
        }
        let text = match node.get_ref() {
            DeValue::Boolean(value) => Some(if *value { "true" } else { "false" }.into()),
            _ => reader.text(node, &format!("`{}`", name.value)).map(|text| text.value.into()),
        };
        conditions.extend(text.map(|text: Box<str>| (SmolStr::new(name.value), text)));
    }
    if conditions.is_empty() || conditions.len() > CONDITIONS_MAX {
        let message = format!("`when` has one to {CONDITIONS_MAX} conditions");
        reader.problem(table.span(), "mapping_operation", message);
    }
    conditions
}

fn fact(name: &str, decoder: Decoder) -> Result<SmolStr, String> {
    let known = decoder.facts().iter().any(|fact| fact.name == name);
    if known { Ok(SmolStr::new(name)) } else { Err(format!("`{name}` is no fact of this decoder")) }
}

fn facts_of(decoder: Decoder) -> String {
    let names: Vec<_> = decoder.facts().iter().map(|fact| fact.name).collect();
    format!("its facts are {}; there are also action and object", names.join(", "))
}

/// What placeholders of an operation stand for.
struct OperationPlaceholders(Decoder);

impl Placeholder for OperationPlaceholders {
    type Field = OperationField;

    fn resolve(&self, name: &str) -> Result<OperationField, String> {
        if let Some(pointer) = name.strip_prefix("arguments:") {
            let pointer = Pointer::parse(pointer).map_err(|error| error.to_string())?;
            return match self.0 {
                Decoder::Mcp | Decoder::A2a => Ok(OperationField::Arguments(pointer)),
                Decoder::Sql | Decoder::Shell | Decoder::Kubernetes => Err("its operations have no arguments".into()),
            };
        }
        match name.split_once('.') {
            None if name == "action" => Ok(OperationField::Action),
            None if name == "object" => Ok(OperationField::Object),
            Some(("fact", name)) => fact(name, self.0).map(OperationField::Fact),
            _ => Err(format!("`{{{name}}}` is not a placeholder here")),
        }
    }

    fn is_structured(&self, field: &OperationField) -> bool {
        matches!(field, OperationField::Arguments(_) | OperationField::Fact(_))
    }
}
