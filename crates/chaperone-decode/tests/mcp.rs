//! MCP requests: what each would do, or why it is refused, as tables and as laws.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails should")]

mod law;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chaperone_decode::mcp::{self, Call, Message, Options};
use chaperone_decode::{Class, Classes, Decoder, Undecodable};
use proptest::prelude::*;
use serde::Deserialize;

/// The built-in classes and three that a bundle adds: a tool, a prompt, and a method of its own.
static CLASSES: LazyLock<Classes> = LazyLock::new(|| {
    let mut classes = Classes::built_in().unwrap();
    let added =
        ["tools/call send_email", "prompts/get summary", "acme/audit"].map(|key| (key.into(), vec![Class::NetEgress]));
    classes.add(Decoder::Mcp, added);
    classes
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Case>,
}

/// A request, and either its `calls`, each as `action | type of the resource | its id`, or a part of the `error`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "post")]
    method: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    hex: Option<String>,
    /// The name of the server; `mail` otherwise.
    server: Option<String>,
    #[serde(default)]
    calls: Vec<String>,
    /// Facts that the last call has, `false` standing for one that it has not.
    #[serde(default)]
    facts: BTreeMap<String, toml::Value>,
    /// What the arguments of the last call are, as JSON.
    arguments: Option<String>,
    error: Option<String>,
}

fn post() -> String {
    "POST".to_owned()
}

impl Case {
    fn decode(&self) -> Result<Vec<Call>, Undecodable> {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let body = match &self.hex {
            Some(hex) => {
                (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
            }
            None => self.body.clone().into_bytes(),
        };
        let options = Options { server: self.server.as_deref().unwrap_or("mail").into() };
        mcp::decode(&Message { method: &self.method, headers: &headers, body: &body }, &options, &CLASSES)
    }

    fn check(&self) {
        let name = &self.name;
        let calls = match (self.decode(), &self.error) {
            (Ok(calls), None) => calls,
            (Err(error), Some(part)) => return assert!(error.message.contains(part), "{name}: {error}"),
            (result, _) => panic!("{name}: {result:?}"),
        };
        let told: Vec<String> = calls.iter().map(|call| law::line(&call.operation)).collect();
        assert_eq!(told, self.calls, "{name}");
        let last = calls.last().unwrap();
        law::assert_facts(name, &last.operation, &self.facts);
        if let Some(arguments) = &self.arguments {
            let expected = chaperone_decode::document::Document::json(arguments.as_bytes()).unwrap();
            assert_eq!(last.arguments, expected, "{name}");
        }
        for call in &calls {
            assert_told_as_declared(name, call);
        }
    }
}

fn assert_told_as_declared(name: &str, call: &Call) {
    law::assert_told_as_declared(name, Decoder::Mcp, &call.operation, &CLASSES);
    assert!(call.arguments.root.as_object().is_some(), "{name}");
}

fn check(table: &str) -> usize {
    let table: Table = toml::from_str(table).unwrap();
    table.case.iter().for_each(Case::check);
    table.case.len()
}

#[test]
fn requests_of_every_method_are_told() {
    assert!(check(include_str!("mcp/methods.toml")) >= 40);
}

#[test]
fn envelopes_are_read_strictly() {
    assert!(check(include_str!("mcp/envelopes.toml")) >= 40);
}

#[test]
fn headers_agree_with_the_body() {
    assert!(check(include_str!("mcp/headers.toml")) >= 30);
}

#[test]
fn names_and_uris_have_one_spelling() {
    assert!(check(include_str!("mcp/names.toml")) >= 30);
}

/// Each method is told where the built-in table has it: `Calls::add` refuses all others.
#[test]
fn every_method_is_a_key_of_the_classes() {
    let table: Table = toml::from_str(include_str!("mcp/methods.toml")).unwrap();
    let mut told: Vec<_> = table
        .case
        .iter()
        .flat_map(|case| case.decode().unwrap_or_default())
        .map(|call| call.operation.action)
        .collect();
    told.sort();
    told.dedup();
    let keys: Vec<_> = CLASSES.actions(Decoder::Mcp).map(|(key, _)| key.clone()).collect();
    assert_eq!(told, keys, "each key is told in a test, and nothing else is");
}

fn decode(body: &[u8]) -> Result<Vec<Call>, Undecodable> {
    mcp::decode(&Message { method: "POST", headers: &[], body }, &Options::default(), &CLASSES)
}

#[test]
fn large_and_nested_bodies_are_refused() {
    let call = |argument: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a","arguments":{{"x":{argument}}}}}}}"#
        )
    };
    let list = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(decode(call(&list(61)).as_bytes()).is_ok());
    assert!(decode(call(&list(62)).as_bytes()).is_err());
    assert!(decode("[".repeat(1_000_000).as_bytes()).is_err());
    assert!(decode(r#"{"a":"#.repeat(150_000).as_bytes()).is_err());
    assert!(decode(call(&format!("\"{}\"", "a".repeat(1_000_000))).as_bytes()).is_ok());
    assert!(decode(call(&format!("\"{}\"", "a".repeat(1 << 20))).as_bytes()).is_err());
    assert!(decode(call(&format!("[{}0]", "0,".repeat(100_000))).as_bytes()).is_err());

    let batch = |length: usize| {
        let pings: Vec<_> = (0..length).map(|id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)).collect();
        format!("[{}]", pings.join(","))
    };
    assert_eq!(decode(batch(100).as_bytes()).unwrap().len(), 100);
    assert!(decode(batch(101).as_bytes()).is_err());
}

#[test]
fn errors_name_no_value_of_the_client() {
    for table in [
        include_str!("mcp/methods.toml"),
        include_str!("mcp/envelopes.toml"),
        include_str!("mcp/headers.toml"),
        include_str!("mcp/names.toml"),
    ] {
        let table: Table = toml::from_str(table).unwrap();
        for error in table.case.iter().filter_map(|case| case.decode().err()) {
            assert!(!error.message.contains("s3cret"), "{error}");
        }
    }
}

/// Requests that are valid, or nearly so.
fn requests() -> impl Strategy<Value = String> {
    let method = prop_oneof![
        Just("tools/call"),
        Just("resources/read"),
        Just("prompts/get"),
        Just("ping"),
        Just("listen"),
        Just("notifications/progress"),
        Just("completion/complete"),
        Just("subscriptions/listen"),
        Just("acme/audit"),
    ];
    let member = prop_oneof![
        method.prop_map(|method| format!("\"method\":\"{method}\"")),
        prop_oneof![
            Just(r#""jsonrpc":"2.0""#),
            Just(r#""id":1"#),
            Just(r#""id":"a""#),
            Just(r#""id":null"#),
            Just(r#""result":{}"#),
            Just(r#""params":{}"#),
            Just(r#""params":{"name":"send_email","arguments":{"to":"a"}}"#),
            Just(r#""params":{"uri":"file:///a"}"#),
            Just(r#""error":{"code":1,"message":"a"}"#),
            Just(r#""params":{"notifications":{"resourceSubscriptions":["a:b"]}}"#),
        ]
        .prop_map(str::to_owned),
    ];
    let message = prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(",")));
    prop_oneof![
        message.clone(),
        prop::collection::vec(message, 0..4).prop_map(|messages| format!("[{}]", messages.join(","))),
    ]
}

proptest! {
    #[test]
    fn every_request_ends_in_an_answer(
        method in prop_oneof![Just("POST"), Just("GET"), Just("DELETE"), Just("PUT")],
        name in prop_oneof![Just("mcp-name"), Just("mcp-method"), Just("Mcp-Param-X"), Just("mcp-protocol-version"), Just("content-type")],
        value in prop::collection::vec(any::<u8>(), 0..24),
        body in prop::collection::vec(any::<u8>(), 0..256),
    ) {
        let message = Message { method, headers: &[(name, &value)], body: &body };
        let _ = mcp::decode(&message, &Options::default(), &CLASSES);
    }

    #[test]
    fn what_is_decoded_is_told_as_declared(body in requests()) {
        if let Ok(calls) = decode(body.as_bytes()) {
            prop_assert!(!calls.is_empty());
            for call in &calls {
                assert_told_as_declared(&body, call);
            }
        }
    }
}
