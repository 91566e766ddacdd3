//! What a route's requests do: action, resource and attributes, checked against the schema.

use std::sync::Arc;

use chaperone_decode::document::Pointer;
use chaperone_decode::grpc::Method;
use smol_str::SmolStr;

use super::answer::Captures;
use super::names::{check_header_name, check_parameter_name};
use super::reader::{Node, Reader, Span, Table, Text};
use crate::compiled::Datum;
use crate::mapping::convert::TextType;
use crate::mapping::decoding::OperationField;
use crate::mapping::node::is_of_documents;
use crate::mapping::reading::RequestField;
use crate::mapping::target::{Absent, AttributeRule, AttributeSource, Target};
use crate::mapping::template::Template;
use crate::shape::{ActionShape, Fields, Shapes, Type, ZONE};
use crate::value::EntityRef;

/// What placeholders stand for, where a target is read.
pub(super) trait Placeholder {
    /// A part of what the target is of.
    type Field: Zone;

    /// What a name stands for, or why it stands for nothing.
    fn resolve(&self, name: &str) -> Result<Self::Field, String>;

    /// Whether what it stands for may have a structure of its own.
    fn is_structured(&self, field: &Self::Field) -> bool;
}

/// How the network zone is read, where a target says nothing of it.
pub(super) trait Zone: Sized {
    /// The placeholder that stands for it; `None` where it is put in otherwise.
    fn zone() -> Option<Self>;
}

impl Zone for RequestField {
    fn zone() -> Option<Self> {
        Some(Self::Zone)
    }
}

impl Zone for OperationField {
    fn zone() -> Option<Self> {
        None
    }
}

/// The parts of a request.
pub(super) struct RequestPlaceholders<'c> {
    /// What the route's path captures.
    pub(super) captures: Captures<'c>,
    /// The gRPC method that the route is for, where that is known.
    pub(super) method: Option<Method>,
}

impl Placeholder for RequestPlaceholders<'_> {
    type Field = RequestField;

    fn resolve(&self, name: &str) -> Result<RequestField, String> {
        let field = request_field(name, self.captures)?;
        if let (RequestField::Body(pointer), Some(method)) = (&field, &self.method) {
            method.check(pointer).map_err(|error| error.to_string())?;
        }
        Ok(field)
    }

    fn is_structured(&self, field: &RequestField) -> bool {
        field.is_structured()
    }
}

/// Reads `action`, `resource` and `attributes` of a route or an operation.
pub(super) fn target<P: Placeholder>(
    reader: &mut Reader<'_>,
    route: &Table<'_, '_>,
    what: &str,
    placeholders: &P,
    shapes: Option<&Shapes>,
) -> Option<Target<P::Field>> {
    let action = reader.required(route, what, "action").and_then(|node| reader.text(node, "`action`"));
    let action = action.and_then(|text| action_ref(reader, &text).map(|action| (action, text.span)));
    let (kind, id) = match reader.required(route, what, "resource") {
        Some(node) => resource(reader, node, placeholders),
        None => (None, None),
    };
    let shape = match (&action, shapes) {
        (Some((action, span)), Some(shapes)) => shape(reader, action, span, shapes),
        _ => None,
    };
    if let (Some(shape), Some(kind)) = (shape, &kind) {
        check_resource(reader, shape, kind);
    }
    let attributes = attributes(reader, route, placeholders, shape.map(|shape| &**shape));
    let ((action, _), shape) = (action?, Arc::clone(shape?));
    Some(Target { action, shape, resource_kind: SmolStr::new(kind?.value), resource_id: id?, attributes })
}

/// `read` is `Action::"read"`; another namespace is written out.
pub(super) fn action_ref(reader: &mut Reader<'_>, text: &Text<'_>) -> Option<EntityRef> {
    let action = match text.value.split_once("::\"") {
        Some((kind, id)) => id.strip_suffix('"').map(|id| (kind, id)),
        None if text.value.contains("::") => None,
        None => Some(("Action", text.value)),
    };
    let action = action.filter(|(kind, id)| {
        (*kind == "Action" || kind.ends_with("::Action")) && !id.is_empty() && !id.contains(['"', '\\'])
    });
    if action.is_none() {
        let message = format!("`{}` is not an action", text.value);
        let help = "write `read`, or with its namespace `Documents::Action::\"read\"`";
        reader.problem_with_help(&text.span, "mapping_action", message, help);
    }
    action.map(|(kind, id)| EntityRef::new(kind, id))
}

pub(super) fn shape<'s>(
    reader: &mut Reader<'_>,
    action: &EntityRef,
    span: &Span,
    shapes: &'s Shapes,
) -> Option<&'s Arc<ActionShape>> {
    let shape = shapes.get(action);
    if shape.is_none() {
        let mut names: Vec<_> = shapes.keys().map(ToString::to_string).take(20).collect();
        names.sort();
        let message = format!("the schema has no action `{action}`");
        let help = if names.is_empty() { String::new() } else { format!("its actions are {}", names.join(", ")) };
        reader.problem_with_help(span, "mapping_action", message, help);
    }
    shape
}

/// Reads the type of a resource, and its id.
fn resource<'n, P: Placeholder>(
    reader: &mut Reader<'_>,
    node: &'n Node<'_>,
    placeholders: &P,
) -> (Option<Text<'n>>, Option<Template<P::Field>>) {
    let Some(table) = reader.table(node, "`resource`", &["type", "id"]) else {
        return (None, None);
    };
    let kind = reader.required(&table, "`resource`", "type").and_then(|node| reader.text(node, "`type`"));
    let text = reader.required(&table, "`resource`", "id").and_then(|node| reader.text(node, "`id`"));
    let id = text.as_ref().and_then(|text| reader.template(text, |name| placeholders.resolve(name)));
    if let (Some(id), Some(text)) = (&id, &text)
        && id.constant() == Some("")
    {
        reader.problem(&text.span, "mapping_resource", "a resource's id is not empty");
    }
    (kind, id)
}

fn check_resource(reader: &mut Reader<'_>, shape: &ActionShape, kind: &Text<'_>) {
    if !shape.resources.iter().any(|resource| resource == kind.value) {
        let message = format!("the action does not apply to resources of the type `{}`", kind.value);
        let help = format!("it applies to {}", shape.resources.join(", "));
        reader.problem_with_help(&kind.span, "mapping_resource", message, help);
    }
}

fn attributes<P: Placeholder>(
    reader: &mut Reader<'_>,
    route: &Table<'_, '_>,
    placeholders: &P,
    shape: Option<&ActionShape>,
) -> Vec<AttributeRule<P::Field>> {
    let mut rules = Vec::new();
    let mut seen = Vec::new();
    let mut place = route.span().clone();
    let table = route.get("attributes").and_then(|node| reader.open_table(node, "`attributes`"));
    if let Some(table) = table {
        place = table.span().clone();
        for (name, node) in table.iter() {
            seen.push(name.value);
            rules.extend(attribute(reader, &name, node, placeholders, shape));
        }
    }
    let declared = shape.into_iter().flat_map(|shape| &*shape.attributes);
    for (name, _) in declared.filter(|(name, field)| field.required && !seen.contains(&name.as_str())) {
        let message = format!("the action needs the attribute `{name}`");
        reader.problem(&place, "mapping_attribute", message);
    }
    if !seen.contains(&ZONE) {
        rules.extend(shape.and_then(zone));
    }
    rules
}

/// The rule for the zone, where the action has room for it and the route says nothing else.
fn zone<F: Zone>(shape: &ActionShape) -> Option<AttributeRule<F>> {
    let place = shape.zone()?;
    let template = Template::of(F::zone()?);
    let source = AttributeSource::Text(template, TextType::String);
    Some(AttributeRule { name: SmolStr::new_static(ZONE), place, source, is_read: true, absent: Absent::LeftOut })
}

fn attribute<P: Placeholder>(
    reader: &mut Reader<'_>,
    name: &Text<'_>,
    node: &Node<'_>,
    placeholders: &P,
    shape: Option<&ActionShape>,
) -> Option<AttributeRule<P::Field>> {
    let declared = shape.map(|shape| &*shape.attributes);
    let (text, optional, default) = if let toml::de::DeValue::Table(_) = node.get_ref() {
        let what = format!("the attribute `{}`", name.value);
        let table = reader.table(node, &what, &["from", "optional", "default"])?;
        let optional = table.get("optional").and_then(|node| reader.boolean(node, "`optional`")).unwrap_or(false);
        let default = table.get("default").and_then(|node| reader.text(node, "`default`"));
        let from = reader.required(&table, &what, "from").and_then(|node| reader.text(node, "`from`"));
        (from, optional, default)
    } else {
        (reader.text(node, &format!("the attribute `{}`", name.value)), false, None)
    };
    let template = text.as_ref().and_then(|text| reader.template(text, |name| placeholders.resolve(name)));
    // Without a schema there is nothing to check against, and nobody will use the rule.
    let Some(field) = declared?.get(name.value) else {
        let message = format!("the action has no attribute `{}`", name.value);
        let names: Vec<_> = declared.into_iter().flat_map(Fields::keys).map(SmolStr::as_str).collect();
        let help = if names.is_empty() { "it has none".into() } else { format!("it has {}", names.join(", ")) };
        reader.problem_with_help(&name.span, "mapping_attribute", message, help);
        return None;
    };
    if optional && field.required {
        let message = format!("the schema requires the attribute `{}`: it cannot be left out", name.value);
        reader.problem(&name.span, "mapping_attribute", message);
    }
    let absent = match default {
        Some(text) if optional => {
            let message = "an attribute with a `default` is never left out: it is not `optional`";
            reader.problem(&text.span, "mapping_attribute", message);
            return None;
        }
        Some(text) => Absent::Default(constant(reader, name, &text, &field.ty)?),
        None if optional => Absent::LeftOut,
        None => Absent::Denied,
    };
    let source = source(reader, name, template?, &text?, &field.ty, placeholders)?;
    let place = shape?.place(name.value)?;
    Some(AttributeRule { name: SmolStr::new(name.value), place, source, is_read: true, absent })
}

/// A value of this type, written as a text.
fn constant(reader: &mut Reader<'_>, name: &Text<'_>, text: &Text<'_>, ty: &Type) -> Option<Datum> {
    let ty = text_type(reader, name, ty)?;
    let value = ty.convert(text.value);
    if value.is_none() {
        let message = format!("the attribute `{}` must be {}", name.value, ty.expectation());
        reader.problem(&text.span, "mapping_attribute_type", message);
    }
    value
}

fn text_type(reader: &mut Reader<'_>, name: &Text<'_>, ty: &Type) -> Option<TextType> {
    let found = TextType::of(ty);
    if found.is_none() {
        let message = format!("the attribute `{}` is {}, which is not read from text", name.value, ty.name());
        reader.problem(&name.span, "mapping_attribute_type", message);
    }
    found
}

/// What an attribute of this type is made of.
fn source<P: Placeholder>(
    reader: &mut Reader<'_>,
    name: &Text<'_>,
    template: Template<P::Field>,
    text: &Text<'_>,
    ty: &Type,
    placeholders: &P,
) -> Option<AttributeSource<P::Field>> {
    if template.only().is_some_and(|field| placeholders.is_structured(field)) && is_of_documents(ty) {
        let field = template.into_only()?;
        return Some(AttributeSource::Value(field, ty.clone()));
    }
    let ty = text_type(reader, name, ty)?;
    match template.constant().map(|constant| ty.convert(constant)) {
        None => Some(AttributeSource::Text(template, ty)),
        Some(Some(value)) => Some(AttributeSource::Constant(value)),
        Some(None) => {
            let message = format!("the attribute `{}` must be {}", name.value, ty.expectation());
            reader.problem(&text.span, "mapping_attribute_type", message);
            None
        }
    }
}

/// What a placeholder stands for.
pub(super) fn request_field(name: &str, captures: Captures<'_>) -> Result<RequestField, String> {
    if let Some((family @ ("body" | "metadata"), pointer)) = name.split_once(':') {
        let pointer = Pointer::parse(pointer).map_err(|error| error.to_string())?;
        return Ok(if family == "body" { RequestField::Body(pointer) } else { RequestField::Metadata(pointer) });
    }
    let (family, rest) = name.split_once('.').unwrap_or((name, ""));
    match (family, rest) {
        ("host", "") => Ok(RequestField::Host),
        ("method", "") => Ok(RequestField::Method),
        ("scheme", "") => Ok(RequestField::Scheme),
        ("peer", "") => Ok(RequestField::Peer),
        ("source_ip", "") => Ok(RequestField::SourceIp),
        ("zone", "") => Ok(RequestField::Zone),
        ("body", "") => Ok(RequestField::BodyText),
        ("path", name) => capture(name, captures),
        ("query", name) => check_parameter_name(name).map(|()| RequestField::Query(name.into())),
        ("header", name) => check_header_name(name).map(|()| RequestField::Header(name.into())),
        ("extension", name) if !name.is_empty() => Ok(RequestField::Extension(name.into())),
        _ => Err(format!("`{{{name}}}` is not a placeholder here")),
    }
}

fn capture(name: &str, captures: Captures<'_>) -> Result<RequestField, String> {
    let found = captures.and_then(|(path, names)| {
        let (_, position) = names.iter().find(|(known, _)| **known == *name)?;
        path.capture(*position)
    });
    match found {
        Some(capture) => Ok(RequestField::Path { name: name.into(), capture }),
        None => Err(format!("the path captures no `{name}`")),
    }
}
