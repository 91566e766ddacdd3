//! `entities.json`: the entities that a bundle brings, in Cedar's JSON format.

mod plain;

use std::collections::HashMap;
use std::ops::Range;

use cedar_policy_core::entities::{EntityJsonParser, TCComputation};
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::validator::CoreSchema;
use serde::de::IgnoredAny;

use crate::convert;
use crate::diagnostics::{File, PROBLEMS_MAX, message_of};
use crate::entities::{Entity, EntityError, EntityStore};
use crate::problem::Problem;
use crate::schema::CompiledSchema;

/// The path of a bundle's entities.
pub(crate) const PATH: &str = "entities.json";

/// Reads one entity and checks it against the schema.
///
/// # Errors
/// With what is wrong.
pub(crate) fn parse_one(json: &str, schema: &CompiledSchema) -> Result<Entity, String> {
    let core = CoreSchema::new(schema.validator().schema());
    let parser = EntityJsonParser::new(Some(&core), Extensions::all_available(), TCComputation::AssumeAlreadyComputed);
    let entity = parser.single_from_json_str(json).map_err(|error| message_of(&error))?;
    plain::entity(&entity)
}

/// Reads entities and checks them against the schema, which brings its actions; without a schema, only the syntax.
///
/// # Errors
/// With every entity's first problem.
pub(crate) fn parse(text: &str, schema: Option<&CompiledSchema>) -> Result<EntityStore, Vec<Problem>> {
    let file = File { path: PATH, text };
    if let Err(error) = serde_json::from_str::<Vec<IgnoredAny>>(text) {
        let offset = offset_of(text, error.line(), error.column());
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        return Err(vec![file.problem(offset, 1, "entities_syntax", message)]);
    }
    let Some(schema) = schema else { return Ok(EntityStore::default()) };
    let core = CoreSchema::new(schema.validator().schema());
    let parser = EntityJsonParser::new(Some(&core), Extensions::all_available(), TCComputation::AssumeAlreadyComputed);
    let mut changes = EntityStore::of_schema(schema).change();
    let mut places = HashMap::new();
    let mut problems = Vec::new();
    for range in elements(text) {
        if problems.len() >= PROBLEMS_MAX {
            break;
        }
        let problem = |message: String| {
            let first_line = text.get(range.clone()).and_then(|element| element.lines().next()).map_or(1, str::len);
            file.problem(range.start, first_line, "entities_type", message)
        };
        let entity = match parser.single_from_json_str(text.get(range.clone()).unwrap_or_default()) {
            Ok(entity) => entity,
            Err(error) => {
                problems.push(problem(message_of(&error)));
                continue;
            }
        };
        let uid = convert::entity_ref(entity.uid());
        if places.contains_key(&uid) {
            problems.push(problem(format!("the entity `{uid}` is there twice")));
            continue;
        }
        // An action may be repeated here as the schema has it.
        if !entity.uid().is_action() {
            match plain::entity(&entity) {
                Ok(plain) => changes.insert(&plain, schema.symbols()),
                Err(message) => problems.push(problem(message)),
            }
        }
        places.insert(uid, range.start);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    changes.finish().map_err(|errors| {
        let problem = |EntityError { uid, message }| {
            let offset = places.get(&uid).copied().unwrap_or_default();
            file.problem(offset, 1, "entities_type", format!("the entity `{uid}`: {message}"))
        };
        errors.into_iter().map(problem).collect()
    })
}

/// The byte offset of a line and a column in bytes, both from 1, as serde counts them.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}

/// Where the elements of an array stand in a valid JSON text.
fn elements(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut depth = 0_usize;
    let mut start = None;
    let mut bytes = text.bytes().enumerate();
    while let Some((offset, byte)) = bytes.next() {
        match byte {
            b'"' => {
                start = start.or(Some(offset));
                while let Some((_, byte)) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            b'[' | b'{' => {
                if depth > 0 {
                    start = start.or(Some(offset));
                }
                depth += 1;
            }
            b',' | b']' | b'}' => {
                if byte != b',' {
                    depth = depth.saturating_sub(1);
                }
                let ends = if byte == b',' { depth == 1 } else { depth == 0 };
                if let (true, Some(start)) = (ends, start.take_if(|_| ends)) {
                    ranges.push(start..offset);
                }
            }
            _ if byte.is_ascii_whitespace() => {}
            _ => start = start.or(Some(offset)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_whatever_they_hold() {
        let text = r#" [ {"a": "]},[\"" } , [1, 2],3 , "x" ] "#;
        let found: Vec<&str> = elements(text).into_iter().map(|range| text[range].trim()).collect();
        assert_eq!(found, [r#"{"a": "]},[\"" }"#, "[1, 2]", "3", r#""x""#]);
        assert!(elements(" [ ] ").is_empty());
    }
}
