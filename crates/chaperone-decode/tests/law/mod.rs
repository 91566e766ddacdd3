//! What holds of every operation that is told of a message, and how the tables write it.

use std::collections::BTreeMap;

use chaperone_decode::{Classes, Decoder, Fact, FactType, Operation};

/// An operation has the facts, the resource and the action that its decoder declares.
pub fn assert_told_as_declared(name: &str, decoder: Decoder, operation: &Operation, classes: &Classes) {
    for (fact, value) in &operation.facts {
        let spec = decoder.facts().iter().find(|spec| spec.name == *fact).unwrap_or_else(|| panic!("{name}: {fact}"));
        let ty = match value {
            Fact::Bool(_) => FactType::Bool,
            Fact::Long(_) => FactType::Long,
            Fact::Text(_) => FactType::Text,
            Fact::Texts(_) => FactType::Texts,
        };
        assert_eq!(ty, spec.ty, "{name}: {fact}");
    }
    for spec in decoder.facts().iter().filter(|spec| spec.required) {
        assert!(operation.facts.contains_key(spec.name), "{name}: {}", spec.name);
    }
    assert!(decoder.resources().contains(&operation.resource.kind), "{name}");
    assert!(!operation.resource.id.is_empty(), "{name}");
    assert!(classes.get(decoder, &operation.action).is_some(), "{name}: {}", operation.action);
}

/// `action | type of the resource | its id`.
pub fn line(operation: &Operation) -> String {
    format!("{} | {} | {}", operation.action, operation.resource.kind, operation.resource.id)
}

/// The operation has these facts, `-` standing for one that it has not.
pub fn assert_facts(name: &str, operation: &Operation, facts: &BTreeMap<String, toml::Value>) {
    for (fact, expected) in facts {
        let found = operation.facts.get(fact.as_str()).map(value);
        match expected {
            toml::Value::String(none) if none == "-" => assert_eq!(found, None, "{name}: {fact}"),
            expected => assert_eq!(found.as_ref(), Some(expected), "{name}: {fact}"),
        }
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
