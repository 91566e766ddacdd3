//! What memories cost: the bounds that the documentation of the module gives.

use std::time::Duration;

use super::super::counter::{Granule, Sums};
use super::super::{
    Amount, ApprovalGrant, AwaitedReport, Change, Counter, Deferred, Memory, MemoryLimits, MemoryName, RememberedSet,
    Reported, Told, WINDOW_MAX, Wait,
};
use super::{NOON, name};
use crate::effects::Level;
use crate::fact::{FactType, ResultFacts};
use crate::ids::{ApprovalId, DecisionId};
use crate::timestamp::Timestamp;
use crate::value::{EntityRef, Value};

fn json_bytes<T: serde::Serialize>(value: &T) -> usize {
    serde_json::to_string(value).expect("serialises").len()
}

/// As full of granules as it gets: with one for each.
fn fullest(window: Duration, amount: Amount) -> Counter {
    let mut counter = Counter::new(Some(window));
    for step in 0..1_000 {
        let now = NOON.plus(window * step / 120);
        counter.add(amount, Some(window), now).expect("counts");
    }
    counter
}

/// What a map allocates for its first entry, which is room for eleven.
const fn first_node_bytes<T>() -> usize {
    11 * size_of::<T>() + 16
}

#[test]
fn empty_memory_costs_nothing_beside_itself() {
    println!("empty: {} bytes", size_of::<Memory>());
    assert!(size_of::<Memory>() <= 160);
    assert_eq!(json_bytes(&Memory::default()), 2);
}

#[test]
fn counter_costs_as_documented() {
    println!("first label {} bytes", first_node_bytes::<smol_str::SmolStr>());
    println!(
        "counter {} bytes, the first {}",
        size_of::<(MemoryName, Counter)>(),
        first_node_bytes::<(MemoryName, Counter)>()
    );
    println!(
        "set {} bytes, the first {}",
        size_of::<(MemoryName, RememberedSet)>(),
        first_node_bytes::<(MemoryName, RememberedSet)>()
    );
    assert!(size_of::<(MemoryName, Counter)>() <= 72);
    assert!(size_of::<(MemoryName, RememberedSet)>() <= 64);
    assert!(json_bytes(&Counter::new(None)) <= r#"{"whole":0}"#.len());
    for window in [Duration::from_mins(1), Duration::from_hours(1), WINDOW_MAX] {
        let usual = fullest(window, Amount::Whole(1));
        let Sums::Granules(granules) = &usual.sums else { panic!("has a window") };
        println!(
            "{window:?}: {} granules, {} in room, {} bytes of JSON",
            granules.len(),
            granules.capacity(),
            json_bytes(&usual)
        );
        assert!(granules.len() <= 66 && granules.capacity() * size_of::<Granule>() <= 2_048);
        assert!(json_bytes(&usual) <= 480);
        // The longest sums that fit together.
        let longest = fullest(window, Amount::Decimal(i64::MAX / 200));
        println!("longest: {} bytes of JSON", json_bytes(&longest));
        assert!(json_bytes(&longest) <= 1_600);
    }
}

#[test]
fn remembered_value_costs_as_documented() {
    let mut set = RememberedSet::default();
    for number in 0..1_024 {
        let value = Value::Entity(EntityRef::new("Document", format!("document-{number:04}")));
        set.add(&value, None, NOON, 1_024).expect("has room");
    }
    println!("in memory: {} bytes a value", size_of::<(Value, Timestamp)>());
    println!("stored: {} bytes a value", json_bytes(&set) / 1_024);
    assert!(size_of::<(Value, Timestamp)>() <= 64);
    assert!(json_bytes(&set) / 1_024 <= 80);
    let before = json_bytes(&set);
    assert!(set.add(&Value::Bool(true), None, NOON, 1_024).is_err());
    assert_eq!(json_bytes(&set), before);
}

#[test]
fn grant_costs_as_documented() {
    let grant = ApprovalGrant {
        step_up: "data-protection".into(),
        action: EntityRef::action("export"),
        resource: EntityRef::new("Document", "42"),
        digest: "ab".repeat(32).parse().expect("a digest"),
        until: NOON,
        uses: std::num::NonZeroU32::MIN,
    };
    let mut memory = Memory::default();
    let change = Change::Grant(ApprovalId::new(uuid::Uuid::nil()), Box::new(grant));
    memory.apply(&change, NOON, &MemoryLimits::default(), 0).expect("has room");
    println!("grant {} bytes, {} bytes of JSON", size_of::<(ApprovalId, ApprovalGrant)>(), json_bytes(&memory));
    assert!(size_of::<(ApprovalId, ApprovalGrant)>() <= 184);
    assert!(json_bytes(&memory) <= 320);
}

#[test]
fn awaited_report_costs_as_documented() {
    let limits = MemoryLimits::default();
    let (mut memory, mut with_facts) = (Memory::default(), Memory::default());
    let id = DecisionId::new(uuid::Uuid::from_u128(7 << 76));
    let wait = |what| Wait { on: Reported::Executed, level: Level::Session, what };
    let reserved = wait(Deferred::Reserved(name("deploys/1h"), Amount::Whole(1), Some(29_497_680)));
    memory.await_report(id, NOON, None, reserved, &limits).expect("has room");
    let rows = wait(Deferred::CountFact(name("rows/1h"), "rows".into(), FactType::Long));
    let facts = ResultFacts::from([("rows".into(), FactType::Long), ("path".into(), FactType::String)]);
    with_facts.await_report(id, NOON, Some(&facts), rows, &limits).expect("has room");
    println!("awaited {} bytes, each effect {}", size_of::<(DecisionId, AwaitedReport)>(), size_of::<Wait>());
    println!("first {} bytes", first_node_bytes::<(DecisionId, AwaitedReport)>());
    println!("{} bytes of JSON, with facts {}", json_bytes(&memory), json_bytes(&with_facts));
    assert!(size_of::<(DecisionId, AwaitedReport)>() <= 112 && size_of::<Wait>() <= 104);
    assert!(json_bytes(&memory) <= 200 && json_bytes(&with_facts) <= 256);
    let told = Told { outcome: Reported::Executed, facts: "ab".repeat(32).parse().expect("a digest") };
    memory.note_report(id, told);
    println!("reported {}", json_bytes(&memory));
    assert!(json_bytes(&memory) <= 320);
}

#[test]
fn usual_memory_costs_as_documented() {
    let mut memory = Memory::default();
    let changes = [
        Change::Label("pii".into()),
        Change::Count(name("exports"), Amount::Whole(3)),
        Change::Count(name("exports/1h"), Amount::Whole(3)),
        Change::Remember(name("documents/1h"), Value::Entity(EntityRef::new("Document", "42"))),
        Change::Risk(20),
    ];
    for change in changes {
        memory.apply(&change, NOON, &MemoryLimits::default(), 0).expect("has room");
    }
    memory.touch(NOON);
    println!("a label, two counters, a value, risk: {} bytes of JSON", json_bytes(&memory));
    assert!(json_bytes(&memory) <= 340);
}
