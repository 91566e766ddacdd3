//! gRPC calls: the first byte chooses the method, and whether the rest is the body as it is or a message to be framed. Sets of descriptors are not
//! tried: they come from bundles, not from strangers.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chaperone_decode::document::Document;
use chaperone_decode::grpc::{Descriptors, Method, decode};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};
use serde::Deserialize;

use crate::{Target, law, table};

/// Bodies of gRPC calls.
pub const TARGET: Target = Target { name: "grpc", check, seeds };

/// The descriptors of the tests' files.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut compiler = protox::Compiler::new([table::directory().join("grpc")]).expect("the directory is there");
    compiler.include_imports(true).open_files(["mail.proto", "legacy.proto"]).expect("the files are valid");
    compiler.encode_file_descriptor_set()
});

static METHODS: LazyLock<[(Method, MessageDescriptor); 2]> = LazyLock::new(|| {
    let descriptors = Descriptors::from_bytes(&BYTES).expect("a set of descriptors");
    let pool = DescriptorPool::decode(BYTES.as_slice()).expect("a set of descriptors");
    [("mail.v1.Mail", "Send", "mail.v1.SendRequest"), ("legacy.v1.Legacy", "Get", "legacy.v1.GetRequest")].map(
        |(service, method, input)| {
            let method = descriptors.method(service, method).expect("the service has the method");
            (method, pool.get_message_by_name(input).expect("the file has the message"))
        },
    )
});

fn check(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let (method, input) = &METHODS[usize::from(first & 1)];
    let framed = if first & 2 == 0 { framed(rest) } else { rest.to_vec() };
    let document = match decode(method, &framed) {
        Ok(document) => document,
        Err(undecodable) => return law::refused(&undecodable),
    };
    assert_eq!(decode(method, &framed).as_ref(), Ok(&document), "it says something else the second time");
    let theirs = DynamicMessage::decode(input.clone(), &framed[5..]).expect("another reader reads it, too");
    let json = object(&theirs);
    let theirs = Document::json(json.as_bytes()).unwrap_or_else(|undecodable| panic!("{undecodable}: {json}"));
    assert_eq!(document, theirs, "another reader reads something else");
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], length.to_be_bytes().as_slice(), message].concat()
}

/// What another reader makes of a message, as JSON.
fn object(message: &DynamicMessage) -> String {
    let fields = message.descriptor();
    let fields = fields.fields().filter(|field| !field.supports_presence() || message.has_field(field));
    let members = fields.map(|field| {
        let kind = match field.kind() {
            Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
            kind => kind,
        };
        format!("\"{}\":{}", field.name(), json(&message.get_field(&field), &kind))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn json(value: &Value, kind: &Kind) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    match value {
        Value::Bool(value) => value.to_string(),
        Value::I32(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::F32(value) => value.to_string(),
        Value::F64(value) => value.to_string(),
        Value::String(value) => text(value),
        Value::Bytes(value) => text(&BASE64_STANDARD.encode(value)),
        Value::EnumNumber(number) => {
            let Kind::Enum(descriptor) = kind else { panic!("{kind:?}") };
            // Of two names for one number the first.
            let values = &descriptor.enum_descriptor_proto().value;
            text(values.iter().find(|value| value.number() == *number).expect("a value that it has").name())
        }
        Value::Message(message) => object(message),
        Value::List(values) => {
            format!("[{}]", values.iter().map(|value| json(value, kind)).collect::<Vec<_>>().join(","))
        }
        Value::Map(entries) => {
            let members = entries.iter().map(|(key, value)| {
                let key = match key {
                    MapKey::String(key) => key.clone(),
                    MapKey::Bool(key) => key.to_string(),
                    MapKey::I32(key) => key.to_string(),
                    MapKey::I64(key) => key.to_string(),
                    MapKey::U32(key) => key.to_string(),
                    MapKey::U64(key) => key.to_string(),
                };
                format!("{}:{}", text(&key), json(value, kind))
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    }
}

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: Option<String>,
    hex: Option<String>,
}

fn seeds() -> Vec<Vec<u8>> {
    let input = &METHODS[0].1;
    let messages = table::toml::<Cases>("grpc/messages.toml").case.into_iter().map(|case| match case.hex {
        Some(digits) => table::bytes(&digits),
        None => DynamicMessage::parse_text_format(input.clone(), &case.text.unwrap_or_default())
            .expect("the text format")
            .encode_to_vec(),
    });
    let mut seeds: Vec<Vec<u8>> = messages.map(|message| [b"\x00", message.as_slice()].concat()).collect();
    seeds.push([b"\x02".as_slice(), &framed(b"\x0a\x01a")].concat());
    seeds.push(b"\x01\x0a\x01a\x10\x00".to_vec());
    seeds
}
