//! The mapping, by its sections: two keys deep, and by the names of routes.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{DiffPart, Parts};
use crate::bundle::MAPPING_PATH as PATH;
use crate::problem::Problem;

const ROUTES: &str = "route";

pub(super) fn parts(text: &str) -> Result<Parts, Vec<Problem>> {
    let table: Table = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        vec![Problem::at(PATH, text, span.start, span.len(), "mapping_syntax", error.message())]
    })?;
    let mut sections = Sections::default();
    for (key, value) in table {
        match value {
            Value::Array(routes) if key == ROUTES => sections.routes(routes)?,
            Value::Table(table) => {
                for (inner, value) in table {
                    let path = format!("{}.{}", quoted(&key), quoted(&inner));
                    sections.add(
                        path,
                        &Table::from_iter([(key.clone(), Value::Table([(inner, value)].into_iter().collect()))]),
                    )?;
                }
            }
            value => sections.add(quoted(&key), &Table::from_iter([(key, value)]))?,
        }
    }
    Ok(sections.0)
}

#[derive(Default)]
struct Sections(Parts);

impl Sections {
    fn add(&mut self, path: String, table: &Table) -> Result<(), Vec<Problem>> {
        let text = toml::to_string(table)
            .map_err(|error| vec![Problem::of_file(PATH, "mapping_syntax", format!("`{path}`: {error}"))])?;
        self.0.insert((DiffPart::Mapping, path), text);
        Ok(())
    }

    /// Each by its name, and the order in which they are tried.
    fn routes(&mut self, routes: Vec<Value>) -> Result<(), Vec<Problem>> {
        let mut names = BTreeSet::new();
        let mut order = String::new();
        for (place, route) in routes.into_iter().enumerate() {
            let own = route.get("name").and_then(Value::as_str).map(quoted).filter(|name| !names.contains(name));
            // A mapping in which routes have no names of their own is refused elsewhere; here none of them may be lost.
            let name = own.unwrap_or_else(|| format!("#{}", place + 1));
            order.push_str(&name);
            order.push('\n');
            let path = format!("{ROUTES}.{name}");
            names.insert(name);
            self.add(path, &Table::from_iter([(ROUTES.to_owned(), Value::Array(vec![route]))]))?;
        }
        if !order.is_empty() {
            self.0.insert((DiffPart::Mapping, ROUTES.to_owned()), order);
        }
        Ok(())
    }
}

/// A key as TOML writes it.
fn quoted(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if is_bare { key.to_owned() } else { format!("\"{}\"", key.escape_debug()) }
}
