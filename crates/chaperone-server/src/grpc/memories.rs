//! What is remembered, as the API writes it.

use chaperone_api::chaperone::v1 as api;
use chaperone_policy::{AwaitedReport, DecisionId, Effect, MemoryName, RememberedSet, Value};
use chaperone_store::StoredMemory;

use super::{convert, decision_effects};
use crate::admin::memories::SessionMemory;

/// How many values of a set are written.
const VALUES_PER_SET: usize = 100;
/// How many values of all sets of a memory are written.
const VALUES_PER_MEMORY: usize = 1_000;
/// How many decisions that wait for reports are written.
const AWAITED_MAX: usize = 100;

/// What is remembered of a session, of its tree and of its principal.
pub fn memory_to_api(memory: &SessionMemory) -> api::SessionMemory {
    api::SessionMemory {
        session: Some(one_to_api(&memory.session, memory)),
        tree: Some(one_to_api(&memory.tree, memory)),
        principal: Some(one_to_api(&memory.principal, memory)),
        risk: memory.risk,
    }
}

fn one_to_api(stored: &StoredMemory, all: &SessionMemory) -> api::Memory {
    let (memory, now) = (&stored.memory, all.at);
    let mut budget = VALUES_PER_MEMORY;
    let counts = memory.counts(now).map(|(name, amount)| api::MemoryCount {
        name: name.to_string(),
        amount: Some(convert::value_to_api(&Value::from(amount))),
        window: name.window().map(convert::duration_to_api),
    });
    let set = |(name, set): (&MemoryName, &RememberedSet)| {
        let values: Vec<api::Value> =
            set.values(name.window(), now).take(VALUES_PER_SET.min(budget)).map(convert::value_to_api).collect();
        budget -= values.len();
        api::MemorySet {
            name: name.to_string(),
            value_count: count(set.values(name.window(), now).count()),
            values,
            window: name.window().map(convert::duration_to_api),
        }
    };
    let used = memory.used();
    api::Memory {
        labels: memory.labels().iter().map(ToString::to_string).collect(),
        risk: memory.risk(all.decay_per_hour, now),
        counts: counts.collect(),
        sets: memory.sets().map(set).collect(),
        first_used_at: used.map(|used| convert::timestamp_to_api(used.first)),
        last_used_at: used.map(|used| convert::timestamp_to_api(used.last)),
        version: stored.version,
        signal_count: count(memory.signal_count(now)),
        awaited: memory
            .awaited()
            .filter(|(_, awaited)| awaited.reported().is_none() && !awaited.is_over(now))
            .take(AWAITED_MAX)
            .map(awaited_to_api)
            .collect(),
    }
}

fn awaited_to_api((decision, awaited): (DecisionId, &AwaitedReport)) -> api::AwaitedReport {
    api::AwaitedReport {
        decision_id: decision.to_string(),
        until: Some(convert::timestamp_to_api(awaited.until())),
        effects: awaited.waits().map(|wait| decision_effects::effect_to_api(&Effect::Await(wait.clone()))).collect(),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use chaperone_policy::{Amount, Change, EntityRef, Memory, MemoryKey, MemoryLimits, SessionId, Timestamp};

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_769_860_800_000_000);

    fn name(text: &str) -> MemoryName {
        MemoryName::parse(text).expect("a name")
    }

    fn remembered(changes: &[Change]) -> SessionMemory {
        let mut memory = Memory::default();
        for change in changes {
            memory.apply(change, NOW, &MemoryLimits::default(), 0).expect("it fits");
        }
        memory.note_signal("edr-1", NOW).expect("it fits");
        memory.touch(NOW);
        let key = MemoryKey::Session(SessionId::new(uuid::Uuid::from_u128(1)));
        let nothing = StoredMemory { key: key.clone(), version: 0, memory: Memory::default() };
        SessionMemory {
            session: StoredMemory { key, version: 3, memory },
            tree: nothing.clone(),
            principal: nothing,
            risk: 40,
            decay_per_hour: 0,
            at: NOW,
        }
    }

    #[test]
    fn everything_that_is_remembered_is_written() {
        let document = Value::Entity(EntityRef::new("Document", "42"));
        let memory = memory_to_api(&remembered(&[
            Change::Label("pii".into()),
            Change::Risk(20),
            Change::Count(name("exports/1h"), Amount::Whole(3)),
            Change::Count(name("usd"), Amount::parse_decimal("12.5").expect("a decimal")),
            Change::Remember(name("documents/1h"), document.clone()),
        ]));
        assert_eq!((memory.risk, memory.tree), (40, Some(api::Memory::default())));
        let session = memory.session.expect("it is there");
        assert_eq!(
            (session.labels, session.risk, session.version, session.signal_count),
            (vec!["pii".into()], 20, 3, 1)
        );
        let hour = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
        let count = |name: &str, value: Value, window| api::MemoryCount {
            name: name.into(),
            amount: Some(convert::value_to_api(&value)),
            window,
        };
        let decimal = Value::Decimal("12.5000".into());
        assert_eq!(session.counts, [count("exports/1h", Value::Long(3), hour), count("usd", decimal, None)]);
        let values = vec![convert::value_to_api(&document)];
        assert_eq!(
            session.sets,
            [api::MemorySet { name: "documents/1h".into(), value_count: 1, values, window: hour }]
        );
        assert_eq!(session.first_used_at, Some(convert::timestamp_to_api(NOW)));
        assert_eq!(session.last_used_at, session.first_used_at);
    }

    #[test]
    fn large_sets_are_cut_and_say_how_large_they_are() {
        let values = (0..12).flat_map(|set| {
            (0..101_i64).map(move |value| Change::Remember(name(&format!("set-{set:02}")), Value::Long(value)))
        });
        let sets = memory_to_api(&remembered(&values.collect::<Vec<_>>())).session.expect("it is there").sets;
        assert!(sets.iter().all(|set| set.value_count == 101));
        let written: Vec<_> = sets.iter().map(|set| set.values.len()).collect();
        assert_eq!(written, [100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 0, 0]);
    }
}
