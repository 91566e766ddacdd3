//! A2A requests: what each would do, or why it is refused, as a table and as laws.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails should")]

mod law;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chaperone_decode::a2a::{self, Call, Message, Options};
use chaperone_decode::{Classes, Decoder, Undecodable};
use proptest::prelude::*;
use serde::Deserialize;

static CLASSES: LazyLock<Classes> = LazyLock::new(|| Classes::built_in().unwrap());

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
    method: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: String,
    agent: Option<String>,
    #[serde(default)]
    calls: Vec<String>,
    /// Facts that the last call has, `-` standing for one that it has not.
    #[serde(default)]
    facts: BTreeMap<String, toml::Value>,
    error: Option<String>,
}

impl Case {
    fn decode(&self) -> Result<Vec<Call>, Undecodable> {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let method = self.method.as_deref().unwrap_or("POST");
        let options = Options { agent: self.agent.as_deref().unwrap_or("travel").into() };
        a2a::decode(&Message { method, headers: &headers, body: self.body.as_bytes() }, &options, &CLASSES)
    }
}

fn assert_told_as_declared(name: &str, call: &Call) {
    law::assert_told_as_declared(name, Decoder::A2a, &call.operation, &CLASSES);
}

fn table() -> Vec<Case> {
    toml::from_str::<Table>(include_str!("a2a/requests.toml")).unwrap().case
}

#[test]
fn requests_are_told_or_refused() {
    for case in table() {
        let name = &case.name;
        let calls = match (case.decode(), &case.error) {
            (Ok(calls), None) => calls,
            (Err(error), Some(part)) => {
                assert!(error.message.contains(part), "{name}: {error}");
                continue;
            }
            (result, _) => panic!("{name}: {result:?}"),
        };
        let told: Vec<String> = calls.iter().map(|call| law::line(&call.operation)).collect();
        assert_eq!(told, case.calls, "{name}");
        law::assert_facts(name, &calls.last().unwrap().operation, &case.facts);
        for call in &calls {
            assert_told_as_declared(name, call);
        }
    }
}

#[test]
fn every_method_is_a_key_of_the_classes() {
    let mut told: Vec<_> =
        table().iter().flat_map(|case| case.decode().unwrap_or_default()).map(|call| call.operation.action).collect();
    told.sort();
    told.dedup();
    let keys: Vec<_> = CLASSES.actions(Decoder::A2a).map(|(key, _)| key.clone()).collect();
    assert_eq!(told, keys, "each key is told in a test, and nothing else is");
}

proptest! {
    #[test]
    fn every_request_ends_in_an_answer(
        version in prop::collection::vec(any::<u8>(), 0..6),
        body in prop::collection::vec(any::<u8>(), 0..256),
    ) {
        let message = Message { method: "POST", headers: &[("a2a-version", &version)], body: &body };
        let _ = a2a::decode(&message, &Options::default(), &CLASSES);
    }

    #[test]
    fn what_is_decoded_is_told_as_declared(
        method in prop_oneof![Just("message/send"), Just("SendMessage"), Just("tasks/get"), Just("ListTasks")],
        params in "\\{(\"(id|taskId|message|url)\":(\"a\"|1|\\{\"parts\":\\[(\\{\"text\":\"a\"(,\"kind\":\"text\")?\\})?\\]\\}),?){0,2}\\}",
    ) {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let message = Message { method: "POST", headers: &[], body: body.as_bytes() };
        for call in a2a::decode(&message, &Options::default(), &CLASSES).unwrap_or_default() {
            assert_told_as_declared(&body, &call);
        }
    }
}
