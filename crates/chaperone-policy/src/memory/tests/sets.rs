use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::super::canonical::canonical;
use super::super::{LimitReached, RememberedSet};
use super::{NOON, at_s, skews, times, windows};
use crate::compiled::{Datum, Symbols};
use crate::timestamp::Timestamp;
use crate::value::{EntityRef, Value};

const HOUR: Option<Duration> = Some(Duration::from_hours(1));

fn add(set: &mut RememberedSet, value: i64, now: Timestamp, max: usize) -> Result<(), LimitReached> {
    set.add(&Value::Long(value), HOUR, now, max)
}

#[test]
fn value_stays_for_exactly_the_window() {
    let mut set = RememberedSet::default();
    add(&mut set, 1, NOON, 2).expect("has room");
    let last = NOON.plus(Duration::from_hours(1));
    assert!(set.contains(&Value::Long(1), HOUR, last));
    assert!(!set.contains(&Value::Long(1), HOUR, last.plus(Duration::from_micros(1))));
    assert_eq!(set.values(HOUR, last).count(), 1);
}

#[test]
fn value_that_is_seen_again_stays_longer() {
    let mut set = RememberedSet::default();
    add(&mut set, 1, NOON, 1).expect("has room");
    add(&mut set, 1, at_s(1_800), 1).expect("is there");
    add(&mut set, 1, at_s(0), 1).expect("is there");
    assert!(set.contains(&Value::Long(1), HOUR, at_s(1_800 + 3_600)));
}

#[test]
fn value_without_a_window_stays() {
    let mut set = RememberedSet::default();
    set.add(&Value::Long(1), None, NOON, 1).expect("has room");
    let before = set.clone();
    assert!(set.contains(&Value::Long(1), None, at_s(u64::MAX / 2)));
    set.add(&Value::Long(1), None, at_s(9), 1).expect("is there");
    assert_eq!(set, before, "a value that is there changes nothing");
}

#[test]
fn full_set_refuses_and_forgets_nothing() {
    let mut set = RememberedSet::default();
    add(&mut set, 1, NOON, 2).expect("has room");
    add(&mut set, 2, at_s(60), 2).expect("has room");
    let before = set.clone();
    assert_eq!(add(&mut set, 3, at_s(3_600), 2), Err(LimitReached));
    assert_eq!(set, before);
    add(&mut set, 3, at_s(3_601), 2).expect("the first does not count any more");
    assert_eq!(set.values(HOUR, at_s(3_601)).collect::<Vec<_>>(), [&Value::Long(2), &Value::Long(3)]);
}

#[test]
fn values_are_told_apart_as_cedar_does() {
    let same = [
        (Value::Decimal("1.5".into()), Value::Decimal("1.50".into())),
        (Value::Ip("10.0.0.1".into()), Value::Ip("10.0.0.1/32".into())),
        (Value::Duration("1h".into()), Value::Duration("60m".into())),
        (Value::Datetime("2026-01-31".into()), Value::Datetime("2026-01-31T01:00:00.000+0100".into())),
        (
            Value::Set(vec![Value::Long(1), Value::Long(2)]),
            Value::Set(vec![Value::Long(2), Value::Long(1), Value::Long(2)]),
        ),
    ];
    for (one, other) in same {
        let mut set = RememberedSet::default();
        set.add(&one, None, NOON, 1).expect("has room");
        assert!(set.contains(&other, None, NOON), "{other:?}");
        set.add(&other, None, NOON, 1).expect("is there");
    }
}

fn values() -> impl Strategy<Value = Value> {
    let ip = prop_oneof![
        any::<std::net::IpAddr>().prop_map(|address| address.to_string()),
        (any::<std::net::Ipv4Addr>(), 0..=32_u8).prop_map(|(address, prefix)| format!("{address}/{prefix}")),
    ];
    let scalar = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        (-2..3_i64).prop_map(Value::Long),
        "\\PC{0,3}".prop_map(|text| Value::String(text.into())),
        "\\PC{0,3}".prop_map(|id| Value::Entity(EntityRef::new("User", id))),
        ip.prop_map(|text| Value::Ip(text.into())),
        "-?0?[0-2]\\.[0-5]0{0,3}".prop_map(|text| Value::Decimal(text.into())),
        "-?(1d)?(24h)?(0m)?(60s)?[0-9]ms".prop_map(|text| Value::Duration(text.into())),
        "(0000|2026|9999)-(01-01|12-31)(T(00|23):00:00(\\.00[0-2])?(Z|[+-](01|23)00))?"
            .prop_map(|text| Value::Datetime(text.into())),
    ];
    scalar.prop_recursive(2, 8, 3, |value| prop::collection::vec(value, 0..3).prop_map(Value::Set))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn remembered_form_is_the_same_to_cedar(one in values(), other in values()) {
        let symbols = Symbols::default();
        let datum = |value: &Value| Datum::new(value, &symbols).ok();
        let (Some(first), Some(second)) = (datum(&one), datum(&other)) else { return Ok(()) };
        let remembered = datum(&canonical(&one)).expect("is a value");
        prop_assert!(remembered.as_operand() == first.as_operand());
        prop_assert_eq!(canonical(&one) == canonical(&other), first.as_operand() == second.as_operand());
        prop_assert_eq!(canonical(&canonical(&one)), canonical(&one));
    }

    /// The law of a remembered set: by any clock within the skew, a value is there until the window after it was last seen.
    #[test]
    fn set_holds_what_was_seen_within_the_window(
        (window, times) in windows().prop_flat_map(|window| (Just(window), times(window))),
        added in prop::collection::vec((0..8_i64, skews(), skews()), 60),
    ) {
        let window = Some(window);
        let mut set = RememberedSet::default();
        let mut seen = BTreeMap::<i64, Timestamp>::new();
        for (now, (value, adding, reading)) in times.into_iter().zip(added) {
            let (adder, reader) = (now.minus(adding), now.minus(reading));
            set.add(&Value::Long(value), window, adder, 8).expect("has room");
            let at = seen.entry(value).or_insert(adder);
            *at = (*at).max(adder);
            let naive = seen.iter().filter(|(_, at)| **at >= reader.minus(window.unwrap_or_default()));
            let naive: Vec<Value> = naive.map(|(value, _)| Value::Long(*value)).collect();
            prop_assert_eq!(set.values(window, reader).cloned().collect::<Vec<_>>(), naive);
        }
    }

    /// As many as fit, never one more, and none that counts gives way.
    #[test]
    fn set_never_holds_more_than_fits(
        (window, times) in windows().prop_flat_map(|window| (Just(window), times(window))),
        added in prop::collection::vec(0..8_i64, 60),
        max in 1..6_usize,
    ) {
        let window = Some(window);
        let mut set = RememberedSet::default();
        for (now, value) in times.into_iter().zip(added) {
            let before: Vec<Value> = set.values(window, now).cloned().collect();
            let value = Value::Long(value);
            let is_room = before.contains(&value) || before.len() < max;
            prop_assert_eq!(set.add(&value, window, now, max).is_ok(), is_room);
            prop_assert!(before.iter().all(|value| set.contains(value, window, now)));
            prop_assert!(Vec::<(Value, Timestamp)>::from(set.clone()).len() <= max);
        }
    }
}
