//! Messages of protocol buffers, by their descriptors.
//!
//! A reader of our own: that of prost-reflect takes the last of two values of a field, keeps what it does not know aside, and makes of a packed list
//! some sixty times its bytes before anybody can count. Tests compare the two.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use smol_str::{SmolStr, format_smolstr};

use super::wire::{Form, Raw, Wire};
use crate::Undecodable;
use crate::document::{DEPTH_MAX, NODES_MAX, Node, Object};

/// How many messages may lie in one another: half of the levels of a document, since a list or a map may be between two.
const MESSAGES_DEPTH_MAX: usize = DEPTH_MAX / 2;

/// The messages of a call, so far.
#[derive(Default)]
pub(super) struct Messages {
    /// How many messages are open.
    depth: usize,
    /// How many values there are.
    nodes: usize,
}

/// The fields of a message that came, by their numbers.
#[derive(Default)]
struct Fields {
    single: BTreeMap<u32, Node>,
    lists: BTreeMap<u32, Vec<Node>>,
    maps: BTreeMap<u32, Vec<(SmolStr, Node)>>,
    /// The names of the `oneof`s of which one came.
    oneofs: BTreeSet<SmolStr>,
}

impl Messages {
    /// A message, as an object of its fields. Calls itself through fields, at most [`MESSAGES_DEPTH_MAX`] deep.
    pub(super) fn read(&mut self, descriptor: &MessageDescriptor, bytes: &[u8]) -> Result<Object, Undecodable> {
        self.count()?;
        self.depth += 1;
        if self.depth > MESSAGES_DEPTH_MAX {
            return Err(Undecodable::new(format!("a gRPC message of more than {MESSAGES_DEPTH_MAX} levels")));
        }
        let mut wire = Wire::new(bytes);
        let mut fields = Fields::default();
        while !wire.is_empty() {
            let (number, raw) = wire.field()?;
            let field = descriptor.get_field(number).filter(|field| !field.is_group()).ok_or_else(|| {
                Undecodable::new(format!(
                    "a message has a field {number} that `{}` does not have",
                    descriptor.full_name()
                ))
            })?;
            self.field(&field, raw, &mut fields)?;
        }
        let object = self.object(descriptor, fields)?;
        self.depth -= 1;
        Ok(object)
    }

    fn count(&mut self) -> Result<(), Undecodable> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Undecodable::new(format!("a gRPC message of more than {NODES_MAX} values")));
        }
        Ok(())
    }

    fn field(&mut self, field: &FieldDescriptor, raw: Raw<'_>, fields: &mut Fields) -> Result<(), Undecodable> {
        let number = field.number();
        if field.is_map() {
            let entry = self.entry(field, raw)?;
            fields.maps.entry(number).or_default().push(entry);
        } else if field.is_list() {
            let list = fields.lists.entry(number).or_default();
            let kind = field.kind();
            match (raw, form(&kind)) {
                (Raw::Bytes(packed), form) if form != Form::Bytes => {
                    let mut wire = Wire::new(packed);
                    while !wire.is_empty() {
                        list.push(self.value(field, &kind, wire.value(form)?)?);
                    }
                }
                (raw, _) => list.push(self.value(field, &kind, raw)?),
            }
        } else {
            let is_twice = field.containing_oneof().is_some_and(|oneof| !fields.oneofs.insert(oneof.name().into()));
            let value = self.value(field, &field.kind(), raw)?;
            if fields.single.insert(number, value).is_some() || is_twice {
                return Err(Undecodable::new(format!("a message has `{}` or its `oneof` twice", field.full_name())));
            }
        }
        Ok(())
    }

    /// An entry of a map, which is a message of a key and a value.
    fn entry(&mut self, field: &FieldDescriptor, raw: Raw<'_>) -> Result<(SmolStr, Node), Undecodable> {
        let (Kind::Message(descriptor), Raw::Bytes(bytes)) = (field.kind(), raw) else {
            return Err(wrong_form(field));
        };
        let (key_field, value_field) = (descriptor.map_entry_key_field(), descriptor.map_entry_value_field());
        let (mut key, mut value) = (None, None);
        let mut wire = Wire::new(bytes);
        while !wire.is_empty() {
            let (number, raw) = wire.field()?;
            let (slot, field) = match number {
                1 => (&mut key, &key_field),
                2 => (&mut value, &value_field),
                _ => return Err(Undecodable::new(format!("an entry of `{}` has a third field", field.full_name()))),
            };
            if slot.replace(self.value(field, &field.kind(), raw)?).is_some() {
                return Err(Undecodable::new(format!("an entry of `{}` has a field twice", field.full_name())));
            }
        }
        let key = match key.unwrap_or_else(|| default(&key_field.kind())) {
            Node::Text(key) | Node::Number(key) => key,
            Node::Bool(key) => if key { "true" } else { "false" }.into(),
            Node::Null | Node::List(_) | Node::Object(_) => return Err(wrong_form(field)),
        };
        // It becomes a name, and names have none.
        if key.contains('\0') {
            return Err(Undecodable::new(format!("an entry of `{}` has a NUL in its key", field.full_name())));
        }
        let value = match (value, value_field.kind()) {
            (Some(value), _) => value,
            (None, Kind::Message(message)) => Node::Object(self.read(&message, &[])?),
            (None, kind) => default(&kind),
        };
        Ok((key, value))
    }

    fn value(&mut self, field: &FieldDescriptor, kind: &Kind, raw: Raw<'_>) -> Result<Node, Undecodable> {
        self.count()?;
        let too_large =
            |_| Undecodable::new(format!("`{}` of a message has a number beyond its type", field.full_name()));
        Ok(match (kind, raw) {
            (Kind::Bool, Raw::Varint(bit @ (0 | 1))) => Node::Bool(bit == 1),
            (Kind::Int32, Raw::Varint(bits)) => number(i32::try_from(bits.cast_signed()).map_err(too_large)?),
            (Kind::Int64, Raw::Varint(bits)) | (Kind::Sfixed64, Raw::Fixed64(bits)) => number(bits.cast_signed()),
            (Kind::Uint32, Raw::Varint(bits)) => number(u32::try_from(bits).map_err(too_large)?),
            (Kind::Uint64, Raw::Varint(bits)) | (Kind::Fixed64, Raw::Fixed64(bits)) => number(bits),
            (Kind::Sint32, Raw::Varint(bits)) => number(i32::try_from(zigzag(bits)).map_err(too_large)?),
            (Kind::Sint64, Raw::Varint(bits)) => number(zigzag(bits)),
            (Kind::Fixed32, Raw::Fixed32(bits)) => number(bits),
            (Kind::Sfixed32, Raw::Fixed32(bits)) => number(bits.cast_signed()),
            (Kind::Float, Raw::Fixed32(bits)) if f32::from_bits(bits).is_finite() => number(f32::from_bits(bits)),
            (Kind::Double, Raw::Fixed64(bits)) if f64::from_bits(bits).is_finite() => number(f64::from_bits(bits)),
            (Kind::Enum(descriptor), Raw::Varint(bits)) => {
                let bits = i32::try_from(bits.cast_signed()).map_err(too_large)?;
                Node::Text(name(descriptor, bits).ok_or_else(|| {
                    Undecodable::new(format!("`{}` of a message has a value without a name", field.full_name()))
                })?)
            }
            (Kind::String, Raw::Bytes(bytes)) => Node::Text(
                std::str::from_utf8(bytes)
                    .map_err(|_| Undecodable::new(format!("`{}` of a message is not UTF-8", field.full_name())))?
                    .into(),
            ),
            (Kind::Bytes, Raw::Bytes(bytes)) => Node::Text(STANDARD.encode(bytes).into()),
            (Kind::Message(descriptor), Raw::Bytes(bytes)) => Node::Object(self.read(descriptor, bytes)?),
            _ => return Err(wrong_form(field)),
        })
    }

    /// All fields of a message: those that came, and of the others those that cannot be absent.
    fn object(&mut self, descriptor: &MessageDescriptor, mut fields: Fields) -> Result<Object, Undecodable> {
        let mut members = Vec::new();
        for field in descriptor.fields() {
            // Also those that did not come: they cost as much as the others.
            self.count()?;
            let number = field.number();
            let node = if field.is_map() {
                let entries = fields.maps.remove(&number).unwrap_or_default();
                let map = Object::new(entries)
                    .map_err(|_| Undecodable::new(format!("`{}` of a message has a key twice", field.full_name())))?;
                Some(Node::Object(map))
            } else if field.is_list() {
                Some(Node::List(fields.lists.remove(&number).unwrap_or_default()))
            } else {
                let absent = || (!field.supports_presence()).then(|| default(&field.kind()));
                fields.single.remove(&number).or_else(absent)
            };
            members.extend(node.map(|node| (SmolStr::from(field.name()), node)));
        }
        Object::new(members).map_err(|_| Undecodable::new("a message has two fields of one name"))
    }
}

fn number(number: impl Display) -> Node {
    Node::Number(format_smolstr!("{number}"))
}

/// The number that a zigzag stands for, in which small numbers below zero are small as well.
fn zigzag(bits: u64) -> i64 {
    (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed()
}

/// How a value of this kind is written, alone.
fn form(kind: &Kind) -> Form {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Form::Fixed64,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Form::Fixed32,
        Kind::String | Kind::Bytes | Kind::Message(_) => Form::Bytes,
        Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Bool
        | Kind::Enum(_) => Form::Varint,
    }
}

/// What a field that was not sent is.
fn default(kind: &Kind) -> Node {
    match kind {
        Kind::Bool => Node::Bool(false),
        Kind::String | Kind::Bytes => Node::Text(SmolStr::default()),
        Kind::Enum(descriptor) => Node::Text(name(descriptor, descriptor.default_value().number()).unwrap_or_default()),
        Kind::Message(_) => Node::Null,
        Kind::Double
        | Kind::Float
        | Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Fixed32
        | Kind::Fixed64
        | Kind::Sfixed32
        | Kind::Sfixed64 => Node::Number(SmolStr::new_static("0")),
    }
}

/// The first name of a value of an enum.
fn name(descriptor: &EnumDescriptor, number: i32) -> Option<SmolStr> {
    let mut values = descriptor.enum_descriptor_proto().value.iter();
    values.find(|value| value.number() == number).map(|value| value.name().into())
}

fn wrong_form(field: &FieldDescriptor) -> Undecodable {
    Undecodable::new(format!("`{}` of a message is written as another type is", field.full_name()))
}
