//! gRPC calls: what their messages are read as and what is refused, as a table and as laws.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails should")]

use std::path::Path;
use std::sync::LazyLock;

use chaperone_decode::document::{Document, Node};
use chaperone_decode::grpc::{Descriptors, Method, decode, encode};
use proptest::prelude::*;
use prost::Message;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MessageOptions,
};
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};
use serde::Deserialize;

/// The descriptors of both files, as a compiler writes them.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut compiler = protox::Compiler::new([Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grpc")]).unwrap();
    compiler.include_imports(true).open_files(["mail.proto", "legacy.proto"]).unwrap();
    compiler.encode_file_descriptor_set()
});
static DESCRIPTORS: LazyLock<Descriptors> = LazyLock::new(|| Descriptors::from_bytes(&BYTES).unwrap());
static INPUT: LazyLock<MessageDescriptor> = LazyLock::new(|| {
    DescriptorPool::decode(BYTES.as_slice()).unwrap().get_message_by_name("mail.v1.SendRequest").unwrap()
});
static SEND: LazyLock<Method> = LazyLock::new(|| DESCRIPTORS.method("mail.v1.Mail", "Send").unwrap());

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    text: Option<String>,
    hex: Option<String>,
    same_as: Option<String>,
    error: Option<String>,
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0], u32::try_from(message.len()).unwrap().to_be_bytes().as_slice(), message].concat()
}

fn hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn messages_are_read_by_their_descriptors() {
    let table: Table = toml::from_str(include_str!("grpc/messages.toml")).unwrap();
    for case in table.case {
        let name = case.name;
        let bytes = match (&case.text, &case.hex) {
            (Some(text), None) => DynamicMessage::parse_text_format(INPUT.clone(), text).unwrap().encode_to_vec(),
            (None, Some(digits)) => hex(digits),
            _ => panic!("{name}: either `text` or `hex`"),
        };
        match (decode(&SEND, &framed(&bytes)), case.same_as, case.error) {
            (Ok(document), Some(same_as), None) => {
                assert_eq!(document, Document::json(same_as.as_bytes()).unwrap(), "{name}");
                let written = encode(&SEND, &document.root).unwrap();
                assert_eq!(decode(&SEND, &framed(&written)).unwrap(), document, "{name}, written again");
            }
            (Err(error), None, Some(part)) => assert!(error.message.contains(&part), "{name}: {error}"),
            (result, ..) => panic!("{name}: {result:?}"),
        }
    }
}

#[test]
fn what_a_message_has_no_place_for_is_not_written() {
    for (text, part) in [
        ("[]", "is an object"),
        ("{\"other\": 1}", "no field `other`"),
        ("{\"to\": 1}", "a number is not what it holds"),
        ("{\"cc\": \"a\"}", "a text is not what it holds"),
        ("{\"numbers\": [2147483648]}", "no number that fits"),
        ("{\"priority\": \"PRIORITY_OTHER\"}", "is no value of it"),
        ("{\"raw\": \"!\"}", "`raw`"),
        ("{\"parts_by_number\": {\"one\": {}}}", "no number that fits"),
    ] {
        let error = encode(&SEND, &Document::json(text.as_bytes()).unwrap().root).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn body_is_one_whole_message() {
    let body = framed(b"\x0a\x01a");
    assert!(decode(&SEND, &body).is_ok());
    for length in 0..body.len() {
        assert!(decode(&SEND, &body[..length]).is_err(), "{length}");
    }
    assert!(decode(&SEND, &[&body[..], &[0]].concat()).is_err());
    assert!(decode(&SEND, &[&body[..], &body[..]].concat()).is_err());
    for flag in [1, 2, 0x80, 0xff] {
        assert!(decode(&SEND, &[&[flag], &body[1..]].concat()).is_err());
    }
    assert!(decode(&SEND, &[0, 0xff, 0xff, 0xff, 0xff]).is_err());
}

#[test]
fn stream_of_messages_is_refused() {
    let body = framed(b"");
    for (method, is_ok) in [("Send", true), ("Watch", true), ("Upload", false), ("Chat", false)] {
        let method = DESCRIPTORS.method("mail.v1.Mail", method).unwrap();
        assert_eq!(decode(&method, &body).is_ok(), is_ok);
    }
}

#[test]
fn methods_are_known_by_both_names() {
    assert!(DESCRIPTORS.method("mail.v1.Mail", "send").is_none());
    assert!(DESCRIPTORS.method("Mail", "Send").is_none());
    assert!(DESCRIPTORS.method(".mail.v1.Mail", "Send").is_none());
    assert!(DESCRIPTORS.method("mail.v1.SendRequest", "Send").is_none());
    assert!(Descriptors::from_bytes(b"\xff").is_err());
}

/// A set of these files, each with the files that it imports, all of them so that their importers see what is in them.
fn set(files: &[(&str, &[&str])]) -> FileDescriptorSet {
    let file = |(name, imports): &(&str, &[&str])| FileDescriptorProto {
        name: Some((*name).into()),
        dependency: imports.iter().map(|&import| import.into()).collect(),
        public_dependency: (0..).take(imports.len()).collect(),
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet { file: files.iter().map(file).collect() }
}

fn error_of(set: &FileDescriptorSet) -> String {
    Descriptors::from_bytes(&set.encode_to_vec()).unwrap_err().to_string()
}

#[test]
fn set_of_a_syntax_that_is_not_known_is_refused() {
    for syntax in ["", "editions", "proto4"] {
        let mut set = set(&[("a", &[])]);
        set.file[0].syntax = Some(syntax.into());
        assert_eq!(error_of(&set), format!("`a` is of the syntax `{syntax}`, neither `proto2` nor `proto3`"));
    }
}

/// Nothing that follows imports goes round in circles, or one way after the other through too many.
#[test]
fn imports_lead_to_files_that_stand_before_and_by_few_ways() {
    assert!(Descriptors::from_bytes(&set(&[("a", &[]), ("b", &["a"]), ("c", &["a", "b"])]).encode_to_vec()).is_ok());
    for files in
        [&[("a", &["a"][..])][..], &[("a", &["b"]), ("b", &["a"])], &[("a", &["b"]), ("b", &[])], &[("a", &["b"])]]
    {
        assert!(error_of(&set(files)).contains("does not stand before it"), "{files:?}");
    }
    let names: Vec<String> = (0..64).map(|name| name.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let files: Vec<_> = (0..64_usize).map(|at| (names[at], &names[at.saturating_sub(2)..at])).collect();
    assert!(error_of(&set(&files)).contains("in too many ways"));
}

#[test]
fn map_of_entries_without_key_or_value_is_refused() {
    let field = |number| FieldDescriptorProto {
        name: Some(format!("field{number}")),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(Type::String.into()),
        ..FieldDescriptorProto::default()
    };
    let with = |fields: &[i32]| {
        let mut set = set(&[("a", &[])]);
        set.file[0].message_type.push(DescriptorProto {
            name: Some("Entry".into()),
            field: fields.iter().copied().map(field).collect(),
            options: Some(MessageOptions { map_entry: Some(true), ..MessageOptions::default() }),
            ..DescriptorProto::default()
        });
        set
    };
    assert!(Descriptors::from_bytes(&with(&[1, 2]).encode_to_vec()).is_ok());
    for fields in [&[][..], &[1], &[2], &[2, 3]] {
        assert_eq!(error_of(&with(fields)), "`Entry` is an entry of a map without a key or a value");
    }
}

/// A field of proto2 is absent unless it is sent; its groups and extensions are refused, since nobody could look into them.
#[test]
fn proto2_has_presence() {
    let get = DESCRIPTORS.method("legacy.v1.Legacy", "Get").unwrap();
    assert_eq!(decode(&get, &framed(b"")).unwrap(), Document::json(b"{}").unwrap());
    assert_eq!(decode(&get, &framed(&hex("0a01611000"))).unwrap(), Document::json(br#"{"id":"a","limit":0}"#).unwrap());
    assert!(decode(&get, &framed(&hex("1b0a01611c"))).is_err());
    assert!(decode(&get, &framed(&hex("a2060161"))).is_err());
}

#[test]
fn limits_hold() {
    let nested = |depth: usize| {
        let part = (1..depth).fold(Vec::new(), |part, _| {
            let mut bytes = vec![0x12];
            prost::encode_length_delimiter(part.len(), &mut bytes).unwrap();
            [bytes, part].concat()
        });
        let mut bytes = vec![0x52];
        prost::encode_length_delimiter(part.len(), &mut bytes).unwrap();
        framed(&[bytes, part].concat())
    };
    assert!(decode(&SEND, &nested(31)).is_ok());
    assert!(decode(&SEND, &nested(32)).is_err());
    assert!(decode(&SEND, &nested(10_000)).is_err());

    let packed = |length: usize| {
        let mut bytes = vec![0x2a];
        prost::encode_length_delimiter(length, &mut bytes).unwrap();
        framed(&[bytes, vec![1; length]].concat())
    };
    assert!(decode(&SEND, &packed(99_000)).is_ok());
    assert!(decode(&SEND, &packed(100_000)).is_err());
    // A message in a list is a value, and so is each field that it might have.
    assert!(decode(&SEND, &framed(&[0x62, 0].repeat(24_000))).is_ok());
    assert!(decode(&SEND, &framed(&[0x62, 0].repeat(25_000))).is_err());
    assert!(decode(&SEND, &framed(&vec![0; (1 << 20) + 1])).is_err());
}

/// What another reader makes of a message, in our words.
fn other(message: &DynamicMessage) -> Node {
    let descriptor = message.descriptor();
    let fields = descriptor.fields().filter(|field| !field.supports_presence() || message.has_field(field));
    let members = fields.map(|field| {
        let kind = match field.kind() {
            Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
            kind => kind,
        };
        format!("\"{}\":{}", field.name(), json(&message.get_field(&field), &kind))
    });
    Document::json(format!("{{{}}}", members.collect::<Vec<_>>().join(",")).as_bytes()).unwrap().root
}

fn json(value: &Value, kind: &Kind) -> String {
    let join = |values: Vec<String>| values.join(",");
    let text = |text: &str| serde_json::to_string(text).unwrap();
    match value {
        Value::Bool(value) => value.to_string(),
        Value::I32(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::F32(value) => value.to_string(),
        Value::F64(value) => value.to_string(),
        Value::String(value) => text(value),
        Value::Bytes(value) => text(&base64::Engine::encode(&base64::prelude::BASE64_STANDARD, value)),
        Value::EnumNumber(number) => {
            let Kind::Enum(descriptor) = kind else { panic!("{kind:?}") };
            text(
                descriptor.enum_descriptor_proto().value.iter().find(|value| value.number() == *number).unwrap().name(),
            )
        }
        Value::Message(message) => print(&other(message)),
        Value::List(values) => format!("[{}]", join(values.iter().map(|value| json(value, kind)).collect())),
        Value::Map(entries) => {
            let key = |key: &MapKey| match key {
                MapKey::String(key) => key.clone(),
                MapKey::Bool(key) => key.to_string(),
                MapKey::I32(key) => key.to_string(),
                key => panic!("{key:?}"),
            };
            let entry = |(name, value): (&MapKey, &Value)| format!("{}:{}", text(&key(name)), json(value, kind));
            format!("{{{}}}", join(entries.iter().map(entry).collect()))
        }
    }
}

fn print(node: &Node) -> String {
    match node {
        Node::Null => "null".to_owned(),
        Node::Bool(bool) => bool.to_string(),
        Node::Number(number) => number.to_string(),
        Node::Text(text) => serde_json::to_string(text).unwrap(),
        Node::List(nodes) => format!("[{}]", nodes.iter().map(print).collect::<Vec<_>>().join(",")),
        Node::Object(object) => {
            let member = |(name, node): (&smol_str::SmolStr, &Node)| {
                format!("{}:{}", serde_json::to_string(name).unwrap(), print(node))
            };
            format!("{{{}}}", object.iter().map(member).collect::<Vec<_>>().join(","))
        }
    }
}

/// Fields of `SendRequest` that are well formed, or nearly so.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let short = || prop::collection::vec(any::<u8>(), 0..6);
    let field = prop_oneof![
        (prop::sample::select(vec![1_u8, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]), short())
            .prop_map(|(number, bytes)| [vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()),
        (prop::sample::select(vec![4_u8, 5]), 0_u8..4).prop_map(|(number, value)| vec![number << 3, value]),
        (1_u8..15, 0_u8..8, short()).prop_map(|(number, form, bytes)| [vec![number << 3 | form], bytes].concat()),
        ("[a-b]", 0_u8..4).prop_map(|(key, value)| [b"\x32\x05\x0a\x01", key.as_bytes(), &[0x10, value]].concat()),
        (1_u8..14, 0_u8..2).prop_map(|(number, value)| vec![0x5a, 2, number << 3, value]),
        "[a-z]{0,3}".prop_map(|name| {
            let length = u8::try_from(name.len()).unwrap();
            [&[0x62, length + 2, 0x0a, length], name.as_bytes()].concat()
        }),
    ];
    prop::collection::vec(field, 0..5).prop_map(|fields| fields.concat())
}

fn agrees(bytes: &[u8]) {
    if let Ok(document) = decode(&SEND, &framed(bytes)) {
        let theirs = DynamicMessage::decode(INPUT.clone(), bytes).unwrap();
        assert_eq!(document.root, other(&theirs), "{bytes:x?}");
    }
}

proptest! {
    #[test]
    fn what_is_read_is_what_another_reader_reads(bytes in fields()) {
        agrees(&bytes);
    }

    #[test]
    fn every_message_ends_in_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
        agrees(&bytes);
        let _ = decode(&SEND, &bytes);
    }

    #[test]
    fn every_set_of_descriptors_ends_in_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
        let _ = Descriptors::from_bytes(&bytes);
    }

    /// Nor do messages, by whatever such a set makes of their type.
    #[test]
    fn a_set_of_descriptors_with_other_bytes_ends_in_an_answer(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        body in fields(),
    ) {
        let mut bytes = BYTES.clone();
        for (place, byte) in changes {
            *place.get_mut(&mut bytes) = byte;
        }
        if let Ok(descriptors) = Descriptors::from_bytes(&bytes)
            && let Some(method) = descriptors.method("mail.v1.Mail", "Send")
        {
            let _ = decode(&method, &framed(&body));
        }
    }
}
