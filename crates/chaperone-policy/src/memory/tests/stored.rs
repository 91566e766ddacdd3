use super::super::{Amount, Change, Memory, MemoryLimits};
use super::{NOON, at_s, name};
use crate::value::{EntityRef, Value};

/// Every part in its stored form, which programs before and after this one read.
const STORED: &str = concat!(
    r#"{"labels":["pii","secret"],"#,
    r#""counters":{"exports":{"whole":3},"exports/1h":{"whole":[[29497680,2],[2,1]]},"usd/1d":{"decimal":[[1229070,125000]]}},"#,
    r#""sets":{"documents/1h":[[{"string":"a"},1769860920000000],"#,
    r#"[{"entity":{"type":"Document","id":"42"}},1769860800000000]]},"#,
    r#""risk":{"parts":72000000000,"at":1769860920000000},"#,
    r#""used":{"first":1769860800000000,"last":1769860920000000}}"#,
);

fn memory() -> Memory {
    let mut memory = Memory::default();
    let document = Value::Entity(EntityRef::new("Document", "42"));
    let steps = [
        (0, Change::Label("secret".into())),
        (0, Change::Label("pii".into())),
        (0, Change::Count(name("exports"), Amount::Whole(2))),
        (0, Change::Count(name("exports/1h"), Amount::Whole(2))),
        (0, Change::Count(name("usd/1d"), Amount::parse_decimal("12.50").expect("is a decimal"))),
        (0, Change::Remember(name("documents/1h"), document)),
        (120, Change::Count(name("exports"), Amount::Whole(1))),
        (120, Change::Count(name("exports/1h"), Amount::Whole(1))),
        (120, Change::Remember(name("documents/1h"), Value::String("a".into()))),
        (120, Change::Risk(20)),
    ];
    for (seconds, change) in steps {
        memory.apply(&change, at_s(seconds), &MemoryLimits::default(), 0).expect("has room");
        memory.touch(at_s(seconds));
    }
    memory
}

fn parse(json: &str) -> Result<Memory, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn stored_form_is_stable() {
    assert_eq!(serde_json::to_string(&memory()).expect("serialises"), STORED);
    assert_eq!(parse(STORED).expect("parses"), memory());
    assert_eq!(serde_json::to_string(&Memory::default()).expect("serialises"), "{}");
    assert_eq!(parse("{}").expect("parses"), Memory::default());
}

#[test]
fn counter_of_a_decimal_is_read_back() {
    assert_eq!(memory().count(&name("usd/1d"), NOON).map(|amount| amount.to_string()), Some("12.5000".into()));
}

#[test]
fn what_a_newer_program_stored_is_refused() {
    for json in [
        r#"{"colours":[]}"#,
        r#"{"used":{"first":1,"last":2,"by":3}}"#,
        r#"{"risk":{"parts":1,"at":2,"by":3}}"#,
        r#"{"counters":{"a":{"float":3}}}"#,
        r#"{"counters":{"a":{"whole":3,"by":3}}}"#,
        r#"{"sets":{"a":[[{"long":1},2,3]]}}"#,
    ] {
        assert!(parse(json).is_err(), "{json}");
    }
}

#[test]
fn what_no_program_stored_is_refused() {
    for json in [
        r#"{"counters":{"a b":{"whole":3}}}"#,
        r#"{"counters":{"a/1w":{"whole":[]}}}"#,
        r#"{"counters":{"a/1h":{"whole":3}}}"#,
        r#"{"counters":{"a":{"whole":[[1,2]]}}}"#,
        r#"{"counters":{"a":{"whole":-1}}}"#,
        r#"{"counters":{"a/1h":{"whole":[[1,-2]]}}}"#,
        r#"{"counters":{"a/1h":{"whole":[[1,2],[0,2]]}}}"#,
        r#"{"counters":{"a/1h":{"whole":[[9223372036854775807,2],[1,2]]}}}"#,
        r#"{"risk":{"parts":-1,"at":2}}"#,
    ] {
        assert!(parse(json).is_err(), "{json}");
    }
}

#[test]
fn order_of_stored_values_does_not_matter() {
    let json = r#"{"sets":{"a/1h":[[{"long":2},5],[{"long":1},7],[{"long":2},9]]}}"#;
    let sorted = r#"{"sets":{"a/1h":[[{"long":1},7],[{"long":2},9]]}}"#;
    assert_eq!(serde_json::to_string(&parse(json).expect("parses")).expect("serialises"), sorted);
}
