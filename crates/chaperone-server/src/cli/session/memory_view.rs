//! What is remembered, as it is printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chaperone_api::chaperone::v1::value::Kind;
use chaperone_api::chaperone::v1::{AwaitedReport, Memory, MemorySet, Session, SessionMemory, Value};
use serde::Serialize;

use super::view::SessionJson;
use crate::cli::check::{EffectJson, shown_effect};
use crate::cli::entity::write_value;
use crate::cli::output::Table;
use crate::cli::parse::show_entity_ref;
use crate::cli::time::shown_time;

/// How many values of a set are shown to people.
const VALUES_SHOWN: usize = 10;

/// A session with what is remembered of it, in JSON output.
#[derive(Debug, Serialize)]
pub struct RememberingJson<'a> {
    #[serde(flatten)]
    session: SessionJson<'a>,
    memory: SessionMemoryJson<'a>,
}

#[derive(Debug, Serialize)]
struct SessionMemoryJson<'a> {
    risk: i64,
    session: MemoryJson<'a>,
    tree: MemoryJson<'a>,
    principal: MemoryJson<'a>,
}

/// Named as policies read it.
#[derive(Debug, Serialize)]
struct MemoryJson<'a> {
    labels: &'a [String],
    risk: i64,
    counts: BTreeMap<&'a str, serde_json::Value>,
    sets: BTreeMap<&'a str, SetJson>,
    first_used_at: Option<String>,
    last_used_at: Option<String>,
    version: u64,
    signal_count: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    awaited: Vec<AwaitedJson<'a>>,
}

/// A decision that waits for a report of its outcome.
#[derive(Debug, Serialize)]
struct AwaitedJson<'a> {
    decision_id: &'a str,
    until: Option<String>,
    effects: Vec<EffectJson<'a>>,
}

#[derive(Debug, Serialize)]
struct SetJson {
    value_count: u32,
    /// In Cedar's JSON form.
    values: Vec<serde_json::Value>,
}

impl<'a> RememberingJson<'a> {
    /// A session, and its memory.
    pub fn new(session: &'a Session, memory: &'a SessionMemory) -> Self {
        let memory = SessionMemoryJson {
            risk: memory.risk,
            session: memory.session.as_ref().into(),
            tree: memory.tree.as_ref().into(),
            principal: memory.principal.as_ref().into(),
        };
        Self { session: session.into(), memory }
    }
}

impl<'a> From<Option<&'a Memory>> for MemoryJson<'a> {
    fn from(memory: Option<&'a Memory>) -> Self {
        let sets = memory.into_iter().flat_map(|memory| &memory.sets);
        let counts = memory.into_iter().flat_map(|memory| &memory.counts);
        Self {
            labels: memory.map_or(&[], |memory| &memory.labels),
            risk: memory.map_or(0, |memory| memory.risk),
            counts: counts.map(|count| (count.name.as_str(), written(count.amount.as_ref()))).collect(),
            sets: sets.map(|set| (set.name.as_str(), set.into())).collect(),
            first_used_at: memory.and_then(|memory| memory.first_used_at).map(|time| time.to_string()),
            last_used_at: memory.and_then(|memory| memory.last_used_at).map(|time| time.to_string()),
            version: memory.map_or(0, |memory| memory.version),
            signal_count: memory.map_or(0, |memory| memory.signal_count),
            awaited: memory.into_iter().flat_map(|memory| &memory.awaited).map(AwaitedJson::from).collect(),
        }
    }
}

impl<'a> From<&'a AwaitedReport> for AwaitedJson<'a> {
    fn from(awaited: &'a AwaitedReport) -> Self {
        Self {
            decision_id: &awaited.decision_id,
            until: awaited.until.map(|time| time.to_string()),
            effects: awaited.effects.iter().map(EffectJson::from).collect(),
        }
    }
}

impl From<&MemorySet> for SetJson {
    fn from(set: &MemorySet) -> Self {
        Self { value_count: set.value_count, values: set.values.iter().map(write_value).collect() }
    }
}

fn written(value: Option<&Value>) -> serde_json::Value {
    value.map_or(serde_json::Value::Null, write_value)
}

/// What is remembered, for people; empty where nothing is.
pub fn details(memory: &SessionMemory) -> String {
    let mut text = String::new();
    for (whose, held) in [("session", &memory.session), ("tree", &memory.tree), ("principal", &memory.principal)] {
        let Some(held) = held.as_ref().filter(|held| **held != Memory::default()) else { continue };
        let mut facts = Table::of_facts();
        // What is inherited counts, and its source is another session.
        let inherited = if whose == "session" && memory.risk > held.risk {
            format!(" (with its ancestors: {})", memory.risk)
        } else {
            String::new()
        };
        if whose == "session" {
            facts.fact("risk", format!("{}{inherited}", held.risk));
        }
        facts.fact("labels", held.labels.join(", "));
        for count in &held.counts {
            let amount = count.amount.as_ref().map(shown).unwrap_or_default();
            facts.fact("count", format!("{} = {amount}", count.name));
        }
        for set in &held.sets {
            facts.fact("set", shown_set(set));
        }
        for awaited in &held.awaited {
            let effects: Vec<_> = awaited.effects.iter().map(shown_effect).collect();
            let until = shown_time(awaited.until.as_ref());
            facts.fact("waits", format!("{} until {until}: {}", awaited.decision_id, effects.join(", ")));
        }
        facts
            .fact("signals", if held.signal_count == 0 { String::new() } else { held.signal_count.to_string() })
            .fact("first used", shown_time(held.first_used_at.as_ref()))
            .fact("last used", shown_time(held.last_used_at.as_ref()))
            .fact("version", held.version.to_string());
        // Writing to a String cannot fail.
        let _ = write!(text, "memory of the {whose}\n{}", facts.render());
    }
    if text.is_empty() && memory.risk > 0 {
        text = format!("the risk of its ancestors is {}\n", memory.risk);
    }
    text
}

fn shown_set(set: &MemorySet) -> String {
    let mut values: Vec<String> = set.values.iter().take(VALUES_SHOWN).map(shown).collect();
    let more = (set.value_count as usize).saturating_sub(values.len());
    if more > 0 {
        values.push(format!("and {more} more"));
    }
    format!("{} = {}", set.name, values.join(", "))
}

fn shown(value: &Value) -> String {
    match &value.kind {
        Some(Kind::Entity(entity)) => show_entity_ref(entity),
        Some(Kind::Decimal(text) | Kind::Ip(text)) => text.clone(),
        _ => write_value(value).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use chaperone_api::chaperone::v1::{EntityRef, MemoryCount};

    use super::*;

    fn value(kind: Kind) -> Value {
        Value { kind: Some(kind) }
    }

    fn memory() -> SessionMemory {
        let document = value(Kind::Entity(EntityRef { r#type: "Document".into(), id: "42".into() }));
        let session = Memory {
            labels: vec!["pii".into(), "secret".into()],
            risk: 20,
            counts: vec![
                MemoryCount { name: "exports/1h".into(), amount: Some(value(Kind::Long(3))), window: None },
                MemoryCount { name: "usd".into(), amount: Some(value(Kind::Decimal("12.5000".into()))), window: None },
            ],
            sets: vec![MemorySet { name: "documents/1h".into(), value_count: 5, values: vec![document], window: None }],
            version: 4,
            signal_count: 1,
            ..Memory::default()
        };
        SessionMemory { session: Some(session), tree: Some(Memory::default()), principal: None, risk: 80 }
    }

    #[test]
    fn details_name_what_is_remembered_and_nothing_else() {
        assert_eq!(
            anstream::adapter::strip_str(&details(&memory())).to_string(),
            "memory of the session\n  \
             risk     20 (with its ancestors: 80)\n  \
             labels   pii, secret\n  \
             count    exports/1h = 3\n  \
             count    usd = 12.5000\n  \
             set      documents/1h = Document::\"42\", and 4 more\n  \
             signals  1\n  \
             version  4\n"
        );
        assert_eq!(details(&SessionMemory::default()), "");
    }

    #[test]
    fn json_is_named_as_policies_read_it() {
        let (session, memory) = (Session::default(), memory());
        let json = serde_json::to_value(RememberingJson::new(&session, &memory)).expect("it serializes");
        let memory = &json["memory"];
        assert_eq!(memory["risk"], 80);
        assert_eq!(memory["session"]["counts"]["exports/1h"], 3);
        assert_eq!(memory["session"]["counts"]["usd"]["__extn"]["arg"], "12.5000");
        assert_eq!(memory["session"]["sets"]["documents/1h"]["value_count"], 5);
        assert_eq!(memory["session"]["sets"]["documents/1h"]["values"][0]["__entity"]["id"], "42");
        assert_eq!(memory["tree"]["labels"], serde_json::json!([]));
        assert!(json.get("session_id").is_some() && memory["principal"]["first_used_at"].is_null());
    }
}
