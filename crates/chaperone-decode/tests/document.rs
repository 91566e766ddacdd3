//! Documents: what bodies are read as and what is refused, as tables and as laws.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails should")]

use chaperone_decode::Undecodable;
use chaperone_decode::document::{Document, Node, Pointer};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bodies {
    case: Vec<BodyCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyCase {
    name: String,
    body: Option<String>,
    hex: Option<String>,
    same_as: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContentTypes {
    case: Vec<HeaderCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderCase {
    content_type: String,
    format: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pointers {
    document: String,
    case: Vec<At>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct At {
    pointer: String,
    found: Option<String>,
    error: Option<String>,
}

impl BodyCase {
    fn bytes(&self) -> Vec<u8> {
        match (&self.body, &self.hex) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(hex)) => {
                (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
            }
            _ => panic!("{}: either `body` or `hex`", self.name),
        }
    }
}

/// The same value for another reader. Numbers are compared as they are printed.
fn value(node: &Node) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Bool(bool) => Value::Bool(*bool),
        Node::Number(number) => serde_json::from_str(number).unwrap_or_else(|_| Value::String(number.to_string())),
        Node::Text(text) => Value::String(text.to_string()),
        Node::List(nodes) => nodes.iter().map(value).collect(),
        Node::Object(object) => object.iter().map(|(name, node)| (name.to_string(), value(node))).collect(),
    }
}

/// A document with these values in it, as a reader other than ours has them.
fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn assert_bodies(table: &str, decode: impl Fn(&[u8]) -> Result<Document, Undecodable>) {
    let table: Bodies = toml::from_str(table).unwrap();
    for case in table.case {
        match (decode(&case.bytes()), &case.same_as, &case.error) {
            (Ok(document), Some(same_as), None) => assert_eq!(value(&document.root), read(same_as), "{}", case.name),
            (Err(error), None, Some(part)) => assert!(error.message.contains(part), "{}: {error}", case.name),
            (result, ..) => panic!("{}: {result:?}", case.name),
        }
    }
}

#[test]
fn json_is_read_strictly() {
    assert_bodies(include_str!("document/json.toml"), Document::json);
}

#[test]
fn forms_are_read_strictly() {
    assert_bodies(include_str!("document/forms.toml"), Document::form);
}

#[test]
fn content_type_says_how_a_body_is_read() {
    let table: ContentTypes = toml::from_str(include_str!("document/content_types.toml")).unwrap();
    for HeaderCase { content_type, format, error } in table.case {
        let read = |body: &[u8]| Document::of_content_type(content_type.as_bytes(), body);
        match (format.as_deref(), error) {
            (Some("json"), None) => assert!(read(br#"{"a":1}"#).is_ok() && read(b"a=1").is_err(), "{content_type}"),
            (Some("form"), None) => assert!(read(b"a=1").is_ok() && read(br#"{"a": 1}"#).is_err(), "{content_type}"),
            (None, Some(part)) => {
                let error = read(b"{}").unwrap_err();
                assert!(error.message.contains(&part), "{content_type}: {error}");
            }
            _ => panic!("{content_type}: either `format` or `error`"),
        }
    }
    assert!(Document::of_content_type(b"application/json; charset=\xff", b"{}").is_err());
}

#[test]
fn pointers_lead_where_rfc_6901_says() {
    let table: Pointers = toml::from_str(include_str!("document/pointers.toml")).unwrap();
    let document = Document::json(table.document.as_bytes()).unwrap();
    for At { pointer: text, found, error } in table.case {
        match (Pointer::parse(&text), error) {
            (Ok(pointer), None) => {
                assert_eq!(pointer.to_string(), text);
                assert_eq!(document.root.at(&pointer).map(value), found.as_deref().map(read), "{text}");
            }
            (Err(problem), Some(part)) => assert!(problem.to_string().contains(&part), "{text}: {problem}"),
            (result, _) => panic!("{text}: {result:?}"),
        }
    }
    assert_eq!(document.root.at(&Pointer::parse("").unwrap()), Some(&document.root));
}

#[test]
fn numbers_stay_as_they_are_written() {
    let document = Document::json(b"[1.0, 1e2, -0, 100000000000000000000, 0.1000, 12]").unwrap();
    let numbers = ["1.0", "1e2", "-0", "100000000000000000000", "0.1000", "12"].map(|text| Node::Number(text.into()));
    assert_eq!(document.root.as_list().unwrap(), numbers);
    assert_eq!(numbers.map(|number| number.as_long()), [None, None, Some(0), None, None, Some(12)]);
}

#[test]
fn limits_are_exact() {
    let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
    assert!(Document::json(&nested(64)).is_ok());
    assert!(Document::json(&nested(65)).is_err());
    assert!(Document::json(&b"[".repeat(1 << 20)).is_err());
    assert!(Document::json(&br#"{"a":"#.repeat(1 << 17)).is_err());

    // The list is a value as well.
    let list = |length: usize| [b"[0".to_vec(), b",0".repeat(length - 2), b"]".to_vec()].concat();
    assert!(Document::json(&list(100_000)).is_ok());
    assert!(Document::json(&list(100_001)).is_err());

    let text = |length: usize| [b"\"", b"a".repeat(length - 2).as_slice(), b"\""].concat();
    assert!(Document::json(&text(1 << 20)).is_ok());
    assert!(Document::json(&text((1 << 20) + 1)).is_err());

    let form = |pairs: usize| [b"a".to_vec(), b"&a".repeat(pairs - 1)].concat();
    assert!(Document::form(&form(100_000)).is_ok());
    assert!(Document::form(&form(100_001)).is_err());
}

#[test]
fn errors_name_no_value_of_the_body() {
    for body in ["{\"secret\":1,\"secret\":2}", "\"secret", "[secret]", "secret"] {
        let error = Document::json(body.as_bytes()).unwrap_err();
        assert!(!error.message.contains("secret"), "{error}");
    }
    let error = Document::form(b"secret=%zz").unwrap_err();
    assert!(!error.message.contains("secret"), "{error}");
    let error = Document::of_content_type(b"secret/secret", b"").unwrap_err();
    assert!(!error.message.contains("secret"), "{error}");
}

/// Any JSON, with names that come again and again.
fn values() -> impl Strategy<Value = Value> {
    let scalars = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    scalars.prop_recursive(6, 64, 8, |values| {
        prop_oneof![
            prop::collection::vec(values.clone(), 0..8).prop_map(Value::from),
            prop::collection::hash_map("[a-c]{0,2}|[^\u{0}]{1,4}", values, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Text that is JSON or nearly so.
fn near_json() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\""),
        Just("\"a\""),
        Just("\"b\""),
        Just("\\"),
        Just("\\u0061"),
        Just("\\ud800"),
        Just("\\udc00"),
        Just("0"),
        Just("1"),
        Just("-"),
        Just("."),
        Just("e"),
        Just("+"),
        Just("true"),
        Just("null"),
        Just(" "),
        Just("\n"),
        Just("ä"),
        Just("\u{0}"),
    ];
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

/// Whatever is read is what another reader reads; what that one refuses is refused.
fn agrees(text: &str) {
    let ours = Document::json(text.as_bytes());
    match (ours, serde_json::from_str::<Value>(text)) {
        (Ok(document), Ok(theirs)) => assert_eq!(value(&document.root), theirs, "{text:?}"),
        // Numbers beyond its range are the one thing that the other does not take.
        (Ok(_), Err(error)) => assert!(error.to_string().contains("number out of range"), "{text:?}: {error}"),
        (Err(_), _) => {}
    }
}

proptest! {
    #[test]
    fn valid_json_is_read_as_another_reader_does(value_in in values(), pretty in any::<bool>()) {
        let print = if pretty { serde_json::to_string_pretty } else { serde_json::to_string };
        let text = print(&value_in).unwrap();
        let document = Document::json(text.as_bytes()).unwrap();
        // Printed once, so that both have the numbers that the text has.
        prop_assert_eq!(value(&document.root), read(&text));
    }

    #[test]
    fn nothing_is_read_that_another_reader_refuses(text in near_json()) {
        agrees(&text);
    }

    #[test]
    fn every_body_ends_in_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = Document::json(&bytes);
        let _ = Document::form(&bytes);
        let _ = Document::of_content_type(&bytes, &bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            agrees(text);
        }
    }

    #[test]
    fn forms_come_back_as_they_were_written(
        pairs in prop::collection::btree_map("[^\u{0}]{1,8}", "[^\u{0}]{0,8}", 0..8),
    ) {
        let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        let form: Vec<_> = pairs.iter().map(|(name, value)| escape(name) + "=" + &escape(value)).collect();
        let document = Document::form(form.join("&").as_bytes()).unwrap();
        let object = document.root.as_object().unwrap();
        let read: Vec<_> = object.iter().map(|(name, node)| (name.as_str(), node.as_text().unwrap().as_str())).collect();
        let written: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn pointers_come_back_as_they_were_written(tokens in prop::collection::vec("[~/01a-]{0,4}|.{0,3}", 0..5)) {
        let escape = |token: &String| format!("/{}", token.replace('~', "~0").replace('/', "~1"));
        let text = tokens.iter().map(escape).collect::<Vec<_>>().concat();
        let pointer = Pointer::parse(&text).unwrap();
        prop_assert_eq!(pointer.tokens().collect::<Vec<_>>(), tokens);
        prop_assert_eq!(pointer.to_string(), text);
    }

    #[test]
    fn every_text_is_a_pointer_or_none(text in any::<String>()) {
        let _ = Pointer::parse(&text);
    }
}
