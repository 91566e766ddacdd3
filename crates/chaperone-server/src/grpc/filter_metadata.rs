//! What Envoy's other filters found out (`metadata_context`), as a document that a mapping can point into.

use chaperone_policy::document::{Node, Object};
use chaperone_policy::mapping::{Metadata, Undecodable};
use smol_str::{SmolStr, ToSmolStr as _};

use super::wire::{Fields, Malformed, keep_last};

/// `envoy.config.core.v3.Metadata` in its wire form, read only where a mapping asks for it. Several are one: protobuf merges what stands more
/// than once, and so does everything below.
#[derive(Debug, Default, PartialEq)]
pub(super) struct FilterMetadata<'a>(Vec<Fields<'a>>);

/// A map's entries: each with the parts of its value.
type Entries<'a> = Vec<(&'a str, Vec<Fields<'a>>)>;

impl<'a> FilterMetadata<'a> {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds another one.
    pub(super) fn push(&mut self, metadata: Fields<'a>) {
        self.0.push(metadata);
    }
}

impl Metadata for FilterMetadata<'_> {
    fn read(&self) -> Result<Node, Undecodable> {
        // What Envoy sent was walked before; a number that JSON does not have may still be in it.
        object(&self.0, structure).map_err(|Malformed| Undecodable::new("the metadata cannot be read"))
    }
}

/// A message whose field 1 is a map of values that `read` reads.
fn object<'a>(
    parts: &[Fields<'a>],
    read: impl Fn(&[Fields<'a>]) -> Result<Node, Malformed>,
) -> Result<Node, Malformed> {
    let mut entries = Entries::new();
    for part in parts {
        let mut fields = part.clone();
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => entries.push(entry(fields.entry()?)?),
                _ => fields.skip(number, wire_type)?,
            }
        }
    }
    keep_last(&mut entries);
    let member = |(name, parts): (&str, Vec<Fields<'a>>)| Ok::<_, Malformed>((SmolStr::new(name), read(&parts)?));
    let members = entries.into_iter().map(member).collect::<Result<_, _>>()?;
    // No name is there twice by now.
    Ok(Node::Object(Object::new(members).unwrap_or_default()))
}

fn entry(mut fields: Fields<'_>) -> Result<(&str, Vec<Fields<'_>>), Malformed> {
    let (mut key, mut parts) = ("", Vec::new());
    while let Some((number, wire_type)) = fields.next()? {
        match number {
            1 => key = fields.text(wire_type)?,
            2 => parts.push(fields.message(wire_type)?),
            _ => fields.skip(number, wire_type)?,
        }
    }
    Ok((key, parts))
}

/// `google.protobuf.Struct`. How deep it may be, [`Fields`] says.
fn structure(parts: &[Fields<'_>]) -> Result<Node, Malformed> {
    object(parts, value)
}

/// `google.protobuf.Value`; of several kinds, the last counts.
fn value(parts: &[Fields<'_>]) -> Result<Node, Malformed> {
    let mut node = Node::Null;
    // The parts of the message that the value is, and which field they are.
    let (mut inner, mut kind) = (Vec::new(), 0);
    for part in parts {
        let mut fields = part.clone();
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => {
                    fields.varint(wire_type)?;
                    node = Node::Null;
                }
                2 => node = Node::Number(number_text(fields.double(wire_type)?)?),
                3 => node = Node::Text(SmolStr::new(fields.text(wire_type)?)),
                4 => node = Node::Bool(fields.varint(wire_type)? != 0),
                5 | 6 => {
                    if kind != number {
                        inner.clear();
                    }
                    inner.push(fields.message(wire_type)?);
                }
                _ => {
                    fields.skip(number, wire_type)?;
                    continue;
                }
            }
            kind = number;
        }
    }
    match kind {
        5 => structure(&inner),
        6 => list(&inner),
        _ => Ok(node),
    }
}

/// `google.protobuf.ListValue`.
fn list(parts: &[Fields<'_>]) -> Result<Node, Malformed> {
    let mut nodes = Vec::new();
    for part in parts {
        let mut fields = part.clone();
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => nodes.push(value(&[fields.message(wire_type)?])?),
                _ => fields.skip(number, wire_type)?,
            }
        }
    }
    Ok(Node::List(nodes))
}

/// A number as JSON writes it: one without a fraction, as an integer.
fn number_text(number: f64) -> Result<SmolStr, Malformed> {
    if number.is_finite() { Ok(number.to_smolstr()) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use chaperone_api::envoy::config::core::v3::Metadata as Message;
    use chaperone_policy::document::Pointer;
    use prost::Message as _;
    use prost_types::value::Kind;
    use prost_types::{ListValue, Struct, Value};

    use super::*;

    fn of(kind: Kind) -> Value {
        Value { kind: Some(kind) }
    }

    fn fields(entries: impl IntoIterator<Item = (&'static str, Kind)>) -> Struct {
        Struct { fields: entries.into_iter().map(|(name, kind)| (name.to_owned(), of(kind))).collect() }
    }

    #[test]
    fn claims_are_found_by_pointers_with_their_types() {
        let list = ListValue { values: vec![of(Kind::StringValue("a".into())), of(Kind::BoolValue(true))] };
        let payload = fields([
            ("sub", Kind::StringValue("ann".into())),
            ("level", Kind::NumberValue(3.0)),
            ("share", Kind::NumberValue(0.5)),
            ("none", Kind::NullValue(0)),
            ("list", Kind::ListValue(list)),
        ]);
        let jwt = fields([("payload", Kind::StructValue(payload))]);
        let message = Message {
            filter_metadata: [("envoy.filters.http.jwt_authn".to_owned(), jwt)].into(),
            ..Message::default()
        };
        let bytes = message.encode_to_vec();
        let mut metadata = FilterMetadata::default();
        metadata.push(Fields::new(&bytes));
        let node = metadata.read().expect("it is read");
        let at = |name: &str| {
            let pointer = Pointer::parse(&format!("/envoy.filters.http.jwt_authn/payload/{name}")).expect("a pointer");
            node.at(&pointer).cloned()
        };
        assert_eq!(at("sub"), Some(Node::Text("ann".into())));
        assert_eq!(at("level"), Some(Node::Number("3".into())));
        assert_eq!(at("share"), Some(Node::Number("0.5".into())));
        assert_eq!(at("none"), Some(Node::Null));
        assert_eq!(at("list/1"), Some(Node::Bool(true)));
        assert_eq!(at("absent"), None);
    }

    #[test]
    fn number_that_json_does_not_have_is_undecodable() {
        let message = Message {
            filter_metadata: [("a".to_owned(), fields([("x", Kind::NumberValue(f64::NAN))]))].into(),
            ..Message::default()
        };
        let bytes = message.encode_to_vec();
        let mut metadata = FilterMetadata::default();
        metadata.push(Fields::new(&bytes));
        assert!(metadata.read().is_err());
    }
}
