//! A2A requests: what each would do, or why it is refused, as a table and as laws.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails should")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chaperone_decode::a2a::{self, Call, Message, Options};
use chaperone_decode::{Classes, Decoder, Fact, FactType, Undecodable};
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

fn value(fact: &Fact) -> toml::Value {
    match fact {
        Fact::Bool(bool) => (*bool).into(),
        Fact::Long(long) => (*long).into(),
        Fact::Text(text) => text.as_str().into(),
        Fact::Texts(texts) => texts.iter().map(ToString::to_string).collect::<Vec<_>>().into(),
    }
}

fn assert_told_as_declared(name: &str, call: &Call) {
    let Call { operation, .. } = call;
    for (fact, value) in &operation.facts {
        let spec = a2a::FACTS.iter().find(|spec| spec.name == *fact).unwrap_or_else(|| panic!("{name}: {fact}"));
        assert_eq!(matches!(value, Fact::Texts(_)), spec.ty == FactType::Texts, "{name}: {fact}");
    }
    for spec in a2a::FACTS.iter().filter(|spec| spec.required) {
        assert!(operation.facts.contains_key(spec.name), "{name}: {}", spec.name);
    }
    assert!(a2a::RESOURCES.contains(&operation.resource.kind), "{name}");
    assert!(!operation.resource.id.is_empty(), "{name}");
    assert!(CLASSES.get(Decoder::A2a, &operation.action).is_some(), "{name}: {}", operation.action);
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
        let told: Vec<String> = calls
            .iter()
            .map(|Call { operation, .. }| {
                format!("{} | {} | {}", operation.action, operation.resource.kind, operation.resource.id)
            })
            .collect();
        assert_eq!(told, case.calls, "{name}");
        for (fact, expected) in &case.facts {
            let found = calls.last().unwrap().operation.facts.get(fact.as_str()).map(value);
            match expected {
                toml::Value::String(none) if none == "-" => assert_eq!(found, None, "{name}: {fact}"),
                expected => assert_eq!(found.as_ref(), Some(expected), "{name}: {fact}"),
            }
        }
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
