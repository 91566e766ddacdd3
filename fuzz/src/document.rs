//! Bodies: the first byte says whether the rest is JSON, a form, a content type with a body after the line's end, or a JSON pointer.

use std::collections::BTreeMap;

use chaperone_decode::document::{Document, Node, Pointer};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;

use crate::{Target, law, table};

/// JSON, forms, content types and JSON pointers.
pub const TARGET: Target = Target { name: "document", check, seeds };

fn check(data: &[u8]) {
    match data.split_first() {
        Some((b'J', body)) => check_json(body),
        Some((b'F', body)) => check_form(body),
        Some((b'P', pointer)) => check_pointer(&String::from_utf8_lossy(pointer)),
        Some((b'C', rest)) => {
            let mut halves = rest.splitn(2, |byte| *byte == b'\n');
            let (kind, body) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            match Document::of_content_type(kind, body) {
                Ok(document) => assert!(
                    [Document::json(body), Document::form(body)].contains(&Ok(document)),
                    "it is neither JSON nor a form"
                ),
                Err(undecodable) => law::refused(&undecodable),
            }
        }
        _ => {}
    }
}

/// What we read is what another reader reads. What that one reads, we do too, unless we say why not.
pub(crate) fn check_json(body: &[u8]) {
    let ours = Document::json(body);
    let theirs = serde_json::from_slice::<Value>(body);
    match (ours, theirs) {
        (Ok(document), Ok(theirs)) => {
            assert_eq!(value(&document.root), Some(theirs));
            assert_eq!(Document::json(body).as_ref(), Ok(&document), "it says something else the second time");
        }
        (Ok(_), Err(error)) => assert!(error.to_string().contains("number out of range"), "{error}"),
        (Err(undecodable), Ok(_)) => {
            law::refused(&undecodable);
            let known = ["bytes", "byte order mark", "values", "levels", "deep", "twice", "a NUL in the name"];
            assert!(known.iter().any(|known| undecodable.message.contains(known)), "{undecodable}");
        }
        (Err(undecodable), Err(_)) => law::refused(&undecodable),
    }
}

/// As `serde_json` has it; `None` for a number that it cannot have.
fn value(node: &Node) -> Option<Value> {
    Some(match node {
        Node::Null => Value::Null,
        Node::Bool(bool) => (*bool).into(),
        Node::Number(number) => serde_json::from_str(number).ok()?,
        Node::Text(text) => text.as_str().into(),
        Node::List(nodes) => nodes.iter().map(value).collect::<Option<Vec<_>>>()?.into(),
        Node::Object(object) => {
            let members = object.iter().map(|(name, node)| Some((name.to_string(), value(node)?)));
            Value::Object(members.collect::<Option<_>>()?)
        }
    })
}

/// What we read is what a plain reader reads, which knows no errors.
pub(crate) fn check_form(body: &[u8]) {
    let document = match Document::form(body) {
        Ok(document) => document,
        Err(undecodable) => return law::refused(&undecodable),
    };
    let text = std::str::from_utf8(body).expect("a form is ASCII");
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().expect("what the escapes stand for is UTF-8").into_owned()
    };
    let mut theirs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in text.split('&').filter(|_| !text.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        theirs.entry(decoded(name)).or_default().push(decoded(value));
    }
    let object = document.root.as_object().expect("a form is an object");
    let ours = object.iter().map(|(name, node)| {
        let one = |node: &Node| node.as_text().expect("a text").to_string();
        let values = node.as_list().map_or_else(|| vec![one(node)], |nodes| nodes.iter().map(one).collect());
        (name.to_string(), values)
    });
    assert_eq!(ours.collect::<BTreeMap<_, _>>(), theirs);
}

fn check_pointer(text: &str) {
    let Ok(pointer) = Pointer::parse(text) else { return };
    assert_eq!(pointer.to_string(), text, "a pointer comes back as it was written");
    let tokens = pointer.tokens().map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1")));
    assert_eq!(tokens.collect::<String>(), text);
}

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    body: String,
    hex: Option<String>,
    content_type: Option<String>,
    pointer: Option<String>,
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (file, first) in [("json", b"J"), ("forms", b"F"), ("content_types", b"C"), ("pointers", b"P")] {
        for case in table::toml::<Cases>(&format!("document/{file}.toml")).case {
            let body = case.hex.map_or_else(|| case.body.into_bytes(), |digits| table::bytes(&digits));
            seeds.push(match (case.content_type, case.pointer) {
                (Some(kind), _) => [first, kind.as_bytes(), b"\n", b"{\"a\":1}"].concat(),
                (None, Some(pointer)) => [first, pointer.as_bytes()].concat(),
                (None, None) => [first, body.as_slice()].concat(),
            });
        }
    }
    seeds
}
