//! From JSON Schema to the types of Cedar.

use std::fmt::Write as _;

use smol_str::SmolStr;

use super::quote::{comment, name};
use crate::document::{Node, Object};

/// How deep records may lie in one another.
const DEPTH_MAX: usize = 4;

/// An argument that policies see.
pub(super) struct Attribute {
    pub(super) name: SmolStr,
    pub(super) is_required: bool,
    ty: Type,
}

enum Type {
    Text,
    Long,
    Bool,
    /// Of this type.
    Set(&'static str),
    Record(Vec<Attribute>),
}

/// Reads the inputs of a tool.
pub(super) struct Inputs<'a> {
    tool: &'a str,
    warnings: &'a mut Vec<String>,
}

impl Attribute {
    /// Where it is in the arguments: a JSON pointer.
    pub(super) fn pointer(&self) -> String {
        format!("/{}", self.name.replace('~', "~0").replace('/', "~1"))
    }
}

/// Writes a record type, indented by this many levels.
pub(super) fn write_record(schema: &mut String, attributes: &[Attribute], level: usize) {
    if attributes.is_empty() {
        schema.push_str("{}");
        return;
    }
    schema.push_str("{\n");
    for attribute in attributes {
        let optional = if attribute.is_required { "" } else { "?" };
        let _ = write!(schema, "{}{}{optional}: ", "  ".repeat(level + 1), name(&attribute.name));
        match &attribute.ty {
            Type::Text => schema.push_str("String"),
            Type::Long => schema.push_str("Long"),
            Type::Bool => schema.push_str("Bool"),
            Type::Set(element) => {
                let _ = write!(schema, "Set<{element}>");
            }
            Type::Record(attributes) => write_record(schema, attributes, level + 1),
        }
        schema.push_str(",\n");
    }
    let _ = write!(schema, "{}}}", "  ".repeat(level));
}

impl<'a> Inputs<'a> {
    pub(super) const fn new(tool: &'a str, warnings: &'a mut Vec<String>) -> Self {
        Self { tool, warnings }
    }

    pub(super) fn warn(&mut self, what: &str) {
        self.warnings.push(format!("tool {}: {what}", comment(self.tool)));
    }

    /// The properties of the schema of a tool's arguments.
    pub(super) fn attributes(&mut self, schema: &Object) -> Vec<Attribute> {
        self.properties(schema, "", 0)
    }

    /// The properties of a schema of objects, which lies at this path. Calls itself through their own, at most [`DEPTH_MAX`] deep.
    fn properties(&mut self, schema: &Object, path: &str, depth: usize) -> Vec<Attribute> {
        let required = schema.get("required").and_then(Node::as_list).unwrap_or_default();
        let mut attributes = Vec::new();
        let properties = schema.get("properties").and_then(Node::as_object);
        for (property, property_schema) in properties.into_iter().flat_map(Object::iter) {
            let path = format!("{path}/{}", comment(property));
            // Braces would end the placeholder of a template, and nothing that has a control character is a name.
            if property.is_empty() || property.contains(|letter: char| letter.is_control() || "{}".contains(letter)) {
                self.warn(&format!("argument `{path}` is left out: its name cannot be written in a mapping"));
                continue;
            }
            // A policy that reads it would take the client's word for the network zone.
            if depth == 0 && property == "zone" {
                self.warn("argument `/zone` is left out: its name is that of the network zone");
                continue;
            }
            match self.ty(property_schema, &path, depth) {
                Ok((ty, is_nullable)) => {
                    let is_listed = required.iter().any(|name| name.as_text() == Some(property));
                    let is_required = is_listed && !is_nullable;
                    attributes.push(Attribute { name: property.clone(), is_required, ty });
                }
                Err(why) => self.warn(&format!("argument `{path}` is left out: {why}")),
            }
        }
        attributes
    }

    /// The type of a schema, and whether it also takes `null`; or why it has none.
    fn ty(&mut self, schema: &Node, path: &str, depth: usize) -> Result<(Type, bool), &'static str> {
        let schema = schema.as_object().ok_or("its schema says nothing of its type")?;
        let (schema, is_nullable) = not_null(schema);
        let ty = match type_name(schema)? {
            "string" => Type::Text,
            "integer" => Type::Long,
            "boolean" => Type::Bool,
            "number" => return Err("Cedar has no fractions"),
            "array" => {
                let items = schema.get("items").and_then(Node::as_object);
                match items.map(type_name) {
                    Some(Ok("string")) => Type::Set("String"),
                    Some(Ok("integer")) => Type::Set("Long"),
                    _ => return Err("only lists of texts or whole numbers are taken"),
                }
            }
            "object" if depth + 1 >= DEPTH_MAX => return Err("it lies too deep"),
            "object" => match self.properties(schema, path, depth + 1) {
                attributes if attributes.is_empty() => return Err("it has no properties of known types"),
                attributes => Type::Record(attributes),
            },
            _ => return Err("its type is not known"),
        };
        Ok((ty, is_nullable || lists_null(schema)))
    }
}

/// The one alternative of a schema that is not `null`, if its alternatives are two and the other is.
fn not_null(schema: &Object) -> (&Object, bool) {
    let is_null = |node: &&Node| {
        let ty = node.as_object().and_then(|schema| schema.get("type")).and_then(Node::as_text);
        ty.is_some_and(|ty| ty == "null")
    };
    let alternatives = ["anyOf", "oneOf"].into_iter().find_map(|name| schema.get(name).and_then(Node::as_list));
    match alternatives {
        Some([one, other]) if is_null(&one) != is_null(&other) => {
            let alternative = if is_null(&one) { other } else { one };
            alternative.as_object().map_or((schema, false), |alternative| (alternative, true))
        }
        _ => (schema, false),
    }
}

fn lists_null(schema: &Object) -> bool {
    let types = schema.get("type").and_then(Node::as_list).unwrap_or_default();
    types.iter().any(|ty| ty.as_text().is_some_and(|ty| ty == "null"))
}

/// The one type, other than `null`, that a schema names or that all values of its `enum` have.
fn type_name(schema: &Object) -> Result<&str, &'static str> {
    let is_text = |node: &Node| node.as_text().is_some();
    match (schema.get("type"), schema.get("enum"), schema.get("const")) {
        (Some(Node::Text(ty)), ..) => Ok(ty),
        (Some(Node::List(types)), ..) => {
            let mut types = types.iter().filter_map(Node::as_text).filter(|ty| *ty != "null");
            match (types.next(), types.next()) {
                (Some(ty), None) => Ok(ty),
                _ => Err("it may be of several types"),
            }
        }
        (None, Some(Node::List(values)), _) if !values.is_empty() && values.iter().all(is_text) => Ok("string"),
        (None, None, Some(Node::Text(_))) => Ok("string"),
        _ => Err("its schema names no single type"),
    }
}
