//! Values of documents as values of the types that the schema declares.

use chaperone_decode::document::Node;

use super::convert::TextType;
use crate::compiled::{Datum, Record, Set, Symbols};
use crate::shape::{Fields, Type};

/// The value that a node stands for; `None` where it is of another type. `null` is none of any type.
///
/// Members of an object that the schema does not declare are left out: no policy can speak of them.
pub(super) fn datum_of(node: &Node, ty: &Type, symbols: &Symbols) -> Option<Datum> {
    match (ty, node) {
        (Type::Bool, Node::Bool(value)) => Some(Datum::Bool(*value)),
        (Type::Long, Node::Number(_)) => node.as_long().map(Datum::Long),
        // JSON writes an integral amount without a point, and the schema's type without one is another.
        (Type::Decimal, Node::Number(text)) => match node.as_long() {
            Some(whole) => TextType::Decimal.convert(&format!("{whole}.0")),
            None => TextType::Decimal.convert(text),
        },
        (Type::String | Type::Ip | Type::Decimal | Type::Datetime | Type::Duration, Node::Text(text)) => {
            TextType::of(ty)?.convert(text)
        }
        (Type::Set(element), Node::List(nodes)) => {
            let members = nodes.iter().map(|node| datum_of(node, element, symbols));
            Some(Datum::Set(members.collect::<Option<Set>>()?.into()))
        }
        (Type::Record(fields), Node::Object(_)) => Some(Datum::Record(record(node, fields, symbols)?.into())),
        _ => None,
    }
}

fn record(node: &Node, fields: &Fields, symbols: &Symbols) -> Option<Record> {
    let Node::Object(object) = node else { return None };
    let mut values = Vec::with_capacity(fields.len());
    for (name, field) in fields {
        match object.get(name) {
            None | Some(Node::Null) if field.required => return None,
            None | Some(Node::Null) => {}
            Some(node) => values.push((symbols.find(name)?, datum_of(node, &field.ty, symbols)?)),
        }
    }
    Some(values.into_iter().collect())
}

/// Whether values of this type can be made of documents: how an entity is written would be a guess.
pub(super) fn is_of_documents(ty: &Type) -> bool {
    match ty {
        Type::Bool | Type::Long | Type::String | Type::Ip | Type::Decimal | Type::Datetime | Type::Duration => true,
        Type::Set(element) => is_of_documents(element),
        Type::Record(fields) => fields.values().all(|field| is_of_documents(&field.ty)),
        Type::Entity(_) => false,
    }
}
