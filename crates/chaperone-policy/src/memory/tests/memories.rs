use std::time::Duration;

use proptest::prelude::*;

use super::super::{Amount, Change, ChangeError, Memory, MemoryLimits};
use super::{NOON, at_s, name};
use crate::timestamp::Timestamp;
use crate::value::{EntityRef, Value};

const FEW: MemoryLimits = MemoryLimits {
    labels: 1,
    counters: 1,
    sets: 1,
    values_per_set: 1,
    grants: 1,
    value_bytes: 64,
    reports: 1,
    report_wait: Duration::from_mins(15),
};

fn label(text: &str) -> Change {
    Change::Label(text.into())
}

fn count(counter: &str, number: i64) -> Change {
    Change::Count(name(counter), Amount::Whole(number))
}

fn remember(set: &str, number: i64) -> Change {
    Change::Remember(name(set), Value::Long(number))
}

fn remembering(changes: &[Change]) -> Memory {
    let mut memory = Memory::default();
    for change in changes {
        memory.apply(change, NOON, &FEW, 0).expect("has room");
    }
    memory
}

/// Refuses, says why, and changes nothing.
fn assert_refused(memory: &Memory, change: &Change, now: Timestamp, message: &str) -> ChangeError {
    let mut changed = memory.clone();
    let error = changed.apply(change, now, &FEW, 0).expect_err("is refused");
    assert_eq!(&changed, memory);
    assert_eq!(error.to_string(), message);
    error
}

#[test]
fn memory_says_what_it_was_told() {
    let document = Value::Entity(EntityRef::new("Document", "42"));
    let changes = [
        label("pii"),
        count("exports/1h", 2),
        Change::Remember(name("documents/1h"), document.clone()),
        Change::Risk(20),
    ];
    let memory = remembering(&changes);
    assert!(memory.has_label("pii") && !memory.has_label("secret"));
    assert_eq!(memory.labels().iter().collect::<Vec<_>>(), ["pii"]);
    assert_eq!(memory.count(&name("exports/1h"), NOON), Some(Amount::Whole(2)));
    assert_eq!(memory.count(&name("exports/60m"), NOON), None, "another name is another counter");
    assert_eq!(memory.counts(NOON).collect::<Vec<_>>(), [(&name("exports/1h"), Amount::Whole(2))]);
    let set = memory.set(&name("documents/1h")).expect("is there");
    assert!(set.contains(&document, name("documents/1h").window(), NOON));
    assert_eq!(memory.sets().count(), 1);
    assert_eq!(memory.risk(0, NOON), 20);
    assert!(!memory.is_empty());
}

#[test]
fn use_never_goes_back() {
    let mut memory = Memory::default();
    assert_eq!(memory.used(), None);
    for seconds in [60, 120, 90] {
        memory.touch(at_s(seconds));
    }
    let used = memory.used().expect("is used");
    assert_eq!((used.first, used.last), (at_s(60), at_s(120)));
    assert!(!memory.is_empty());
}

#[test]
fn full_memory_refuses_and_names_what_is_full() {
    let memory = remembering(&[label("pii"), count("exports", 1), remember("documents", 1)]);
    let full = |what, name: &str| ChangeError::Full { what, name: name.into(), limit: 1 };
    let refused = |change, message| assert_refused(&memory, &change, NOON, message);
    let message = "no room for label `secret`: at most 1 are remembered";
    assert_eq!(refused(label("secret"), message), full("label", "secret"));
    let message = "no room for counter `usd/1h`: at most 1 are remembered";
    assert_eq!(refused(count("usd/1h", 1), message), full("counter", "usd/1h"));
    let message = "no room for set `hosts`: at most 1 are remembered";
    assert_eq!(refused(remember("hosts", 1), message), full("set", "hosts"));
    let message = "no room for value `documents`: at most 1 are remembered";
    assert_eq!(refused(remember("documents", 2), message), full("value", "documents"));
}

#[test]
fn full_memory_takes_what_it_knows() {
    let changes = [label("pii"), count("exports", 1), remember("documents", 1)];
    let mut memory = remembering(&changes);
    for change in &changes {
        memory.apply(change, NOON, &FEW, 0).expect("is there");
    }
    assert_eq!(memory.count(&name("exports"), NOON), Some(Amount::Whole(2)));
}

#[test]
fn name_that_holds_nothing_any_more_gives_way() {
    let mut memory = remembering(&[count("exports/1m", 1), remember("documents/1m", 1)]);
    assert_refused(&memory, &count("usd", 1), at_s(60), "no room for counter `usd`: at most 1 are remembered");
    assert_refused(&memory, &remember("hosts", 1), at_s(60), "no room for set `hosts`: at most 1 are remembered");
    memory.apply(&count("usd", 1), at_s(90), &FEW, 0).expect("has room");
    memory.apply(&remember("hosts", 1), at_s(90), &FEW, 0).expect("has room");
    assert_eq!(memory.count(&name("exports/1m"), at_s(90)), None);
    assert_eq!(memory.set(&name("documents/1m")), None);
}

#[test]
fn amount_that_cannot_be_counted_is_named() {
    let memory = remembering(&[count("exports", i64::MAX)]);
    let name = name("exports");
    let error =
        assert_refused(&memory, &count("exports", -1), NOON, "counter `exports` cannot count a negative amount");
    assert_eq!(error, ChangeError::NegativeAmount { name: name.clone() });
    let error =
        assert_refused(&memory, &count("exports", 1), NOON, "counter `exports` would hold more than fits 64 bits");
    assert_eq!(error, ChangeError::Overflow { name });
    assert!(remembering(&[]).apply(&count("exports", -1), NOON, &FEW, 0).is_err());
}

#[test]
fn value_that_is_too_long_is_refused() {
    // `{"string":"…"}` is 13 bytes around it.
    let text = |bytes| Change::Remember(name("hosts"), Value::String("x".repeat(bytes).into()));
    let memory = remembering(&[text(64 - 13)]);
    let message = "set `hosts` remembers no value of more than 64 bytes";
    assert_refused(&memory, &text(64 - 12), NOON, message);
    // Shorter as written than as remembered.
    let addresses = Value::Set(["::1", "::2", "::3"].map(|address| Value::Ip(address.into())).to_vec());
    assert_refused(&memory, &Change::Remember(name("hosts"), addresses), NOON, message);
}

fn changes() -> impl Strategy<Value = Vec<(Change, Timestamp)>> {
    let names = || prop::sample::select(vec!["a", "b", "a/1s", "a/90s", "b/1h", "c/1d"]).prop_map(name);
    let amounts = prop_oneof![
        (-5..1_000_i64).prop_map(Amount::Whole),
        (-5..1_000_000_i64).prop_map(Amount::Decimal),
        any::<i64>().prop_map(Amount::Whole),
    ];
    let values = prop_oneof![
        (0..4_i64).prop_map(Value::Long),
        "\\PC{0,60}".prop_map(|text| Value::String(text.into())),
        "\\PC{0,4}".prop_map(|id| Value::Entity(EntityRef::new("User", id))),
        Just(Value::Decimal("1.50".into())),
    ];
    let change = prop_oneof![
        "[a-e]".prop_map(|text| Change::Label(text.into())),
        (names(), amounts).prop_map(|(name, amount)| Change::Count(name, amount)),
        (names(), values).prop_map(|(name, value)| Change::Remember(name, value)),
        (names(), -5..1_000_i64, 0..3_i64).prop_map(|(name, number, granule)| {
            let granule = name.window().map(|window| {
                NOON.as_micros() / i64::try_from(window.as_micros() / 60).expect("fits").max(1_000_000) + granule
            });
            Change::Release(name, Amount::Whole(number.max(0)), granule)
        }),
        any::<i8>().prop_map(Change::Risk),
    ];
    let at = (0..20_000_000_000_u64).prop_map(|us| NOON.plus(Duration::from_micros(us)));
    prop::collection::vec((change, at), 0..40)
}

proptest! {
    /// What replicas and replays rely on: the same changes give the same memory; it survives its stored form; a failure changes
    /// nothing; labels only grow; and no limit is passed.
    #[test]
    fn memory_is_a_function_of_its_changes(changes in changes(), decay in 0..100_u32) {
        let limits =
            MemoryLimits { labels: 3, counters: 3, sets: 3, values_per_set: 3, value_bytes: 64, ..MemoryLimits::default() };
        let mut memory = Memory::default();
        let mut twin = Memory::default();
        for (change, now) in changes {
            let before = memory.clone();
            let result = memory.apply(&change, now, &limits, decay);
            memory.touch(now);
            prop_assert_eq!(&result, &twin.apply(&change, now, &limits, decay));
            twin.touch(now);
            prop_assert_eq!(&memory, &twin);
            if result.is_err() {
                prop_assert_eq!(Memory { used: before.used, ..memory.clone() }, before.clone());
            }
            prop_assert!(before.labels().is_subset(memory.labels()));
            prop_assert!(memory.labels().len() <= 3 && memory.counts(now).count() <= 3 && memory.sets().count() <= 3);
            let json = serde_json::to_string(&memory).expect("serialises");
            twin = serde_json::from_str(&json).expect("parses");
            prop_assert_eq!(&memory, &twin);
        }
    }
}
