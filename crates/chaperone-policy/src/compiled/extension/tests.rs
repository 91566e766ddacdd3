//! Cedar's own extension functions take the same texts and give the same values.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Mutex;

use cedar_policy_core::ast::{ExtensionFunction, Literal, Value, ValueKind};
use proptest::prelude::*;
use smol_str::SmolStr;

use super::*;
use crate::compiled::{Datum, Symbols};
use crate::reference::convert;

/// What Cedar makes of a text.
fn by_cedar(constructor: &'static str, text: &str) -> Option<Value> {
    crate::convert::call(function(constructor), &[Value::from(SmolStr::new(text))]).ok()
}

/// The same value in Cedar's form.
fn in_cedar(datum: &Datum) -> Value {
    convert::value(datum, &Symbols::default()).expect("every value has a Cedar form")
}

/// What Cedar says that a function gives.
fn call(function: &'static str, arguments: &[Datum]) -> Option<Value> {
    crate::convert::call(self::function(function), &arguments.iter().map(in_cedar).collect::<Vec<_>>()).ok()
}

fn function(name: &'static str) -> Option<&'static ExtensionFunction> {
    static FUNCTIONS: Mutex<BTreeMap<&str, Option<&ExtensionFunction>>> = Mutex::new(BTreeMap::new());
    *FUNCTIONS.lock().expect("no panic before").entry(name).or_insert_with(|| crate::convert::function(name))
}

fn bool_of(value: Option<Value>) -> bool {
    match value.expect("no error").value_kind() {
        ValueKind::Lit(Literal::Bool(value)) => *value,
        other => panic!("`{other:?}` is no Bool"),
    }
}

fn assert_same(constructor: &'static str, text: &str, own: Option<Datum>) {
    let own = own.map(|datum| in_cedar(&datum));
    assert_eq!(own, by_cedar(constructor, text), "{constructor}({text:?})");
}

fn assert_ip(text: &str) {
    assert_same("ip", text, IpRange::parse(text).map(Datum::Ip));
}

fn assert_decimal(text: &str) {
    assert_same("decimal", text, parse_decimal(text).map(Datum::Decimal));
}

fn assert_datetime(text: &str) {
    assert_same("datetime", text, parse_datetime(text).map(Datum::Datetime));
}

fn assert_duration(text: &str) {
    assert_same("duration", text, parse_duration(text).map(Datum::Duration));
}

/// A text, most often with one place changed: a character gone, doubled, replaced or put in.
fn nearly(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let characters = prop::sample::select("0123456789-+.:/TZdhms fF٣é\n".chars().collect::<Vec<_>>());
    (text, any::<prop::sample::Index>(), 0..8_u8, characters).prop_map(|(text, place, change, character)| {
        let mut characters: Vec<char> = text.chars().collect();
        let place = place.index(characters.len() + 1);
        match (change, characters.get(place).copied()) {
            (0, Some(_)) => drop(characters.remove(place)),
            (1, Some(double)) => characters.insert(place, double),
            (2, Some(_)) => characters[place] = character,
            (3, _) => characters.insert(place, character),
            _ => {}
        }
        characters.into_iter().collect()
    })
}

fn one_of<T: Clone + Debug + 'static>(values: &[T]) -> impl Strategy<Value = T> + use<T> {
    prop::sample::select(values.to_vec())
}

fn ip_text() -> impl Strategy<Value = String> {
    let near_v4 = one_of(&["10.1.2.3", "127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255"]).prop_map(str::to_owned);
    let near_v6 =
        one_of(&["::", "::1", "ff02::1", "::ffff:7f00:1", "::ffff:1.2.3.4", "abcd:ef01:2345:6789:abcd:ef01:2345:6789"]);
    let address = prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string()),
        near_v4,
        near_v6.prop_map(str::to_owned),
    ];
    let prefix = prop_oneof![Just(String::new()), (0..140_u32).prop_map(|prefix| format!("/{prefix}"))];
    (address, prefix).prop_map(|(address, prefix)| address + &prefix)
}

fn ip() -> impl Strategy<Value = IpRange> {
    ip_text().prop_filter_map("not an address", |text| IpRange::parse(&text))
}

fn decimal_text() -> impl Strategy<Value = String> {
    let whole = prop_oneof![
        any::<i64>().prop_map(|value| (value / 10_000).to_string()),
        any::<i16>().prop_map(|value| value.to_string()),
        one_of(&["-0", "00", "922337203685477", "-922337203685477", "922337203685478"]).prop_map(str::to_owned),
    ];
    let fraction = prop_oneof!["[0-9]{1,4}", one_of(&["5807", "5808", "5809", "00000"]).prop_map(str::to_owned)];
    (whole, fraction).prop_map(|(whole, fraction)| format!("{whole}.{fraction}"))
}

fn datetime_text() -> impl Strategy<Value = String> {
    let date =
        (0..10_000_u16, 0..14_u8, 0..33_u8).prop_map(|(year, month, day)| format!("{year:04}-{month:02}-{day:02}"));
    let time =
        (0..26_u8, 0..62_u8, 0..62_u8).prop_map(|(hour, minute, second)| format!("T{hour:02}:{minute:02}:{second:02}"));
    let fraction = prop_oneof![Just(String::new()), (0..1_000_u16).prop_map(|value| format!(".{value:03}"))];
    let offset = (one_of(&["+", "-"]), 0..25_u8, 0..61_u8)
        .prop_map(|(sign, hour, minute)| format!("{sign}{hour:02}{minute:02}"));
    let zone = prop_oneof![Just("Z".to_owned()), offset, Just(String::new())];
    prop_oneof![
        date.clone(),
        (date, time, fraction, zone).prop_map(|(date, time, fraction, zone)| date + &time + &fraction + &zone)
    ]
}

fn duration_text() -> impl Strategy<Value = String> {
    let unit = |unit: &'static str, most: i64| {
        let near = prop_oneof![0..100_i64, Just(most), Just(most.saturating_add(1)), 0..=most];
        prop_oneof![2 => Just(String::new()), 1 => near.prop_map(move |value| format!("{value}{unit}"))]
    };
    let units = [
        ("d", i64::MAX / 86_400_000),
        ("h", i64::MAX / 3_600_000),
        ("m", i64::MAX / 60_000),
        ("s", i64::MAX / 1_000),
        ("ms", i64::MAX),
    ];
    let parts = units.map(|(name, most)| unit(name, most));
    (one_of(&["", "-"]), parts).prop_map(|(sign, parts)| sign.to_owned() + &parts.concat())
}

/// Numbers at and near the ends, and at and near whole days.
fn milliseconds() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        -1_000_000_000_000..1_000_000_000_000_i64,
        (-3..=3_i64, -1..=1_i64).prop_map(|(days, more)| days * 86_400_000 + more),
        (0..200_000_000_i64).prop_map(|less| i64::MAX - less),
        (0..200_000_000_i64).prop_map(|more| i64::MIN + more),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn ip_texts_are_read_as_cedar_reads_them(text in nearly(ip_text())) {
        assert_ip(&text);
    }

    #[test]
    fn decimal_texts_are_read_as_cedar_reads_them(text in nearly(decimal_text())) {
        assert_decimal(&text);
    }

    #[test]
    fn datetime_texts_are_read_as_cedar_reads_them(text in nearly(datetime_text())) {
        assert_datetime(&text);
    }

    #[test]
    fn duration_texts_are_read_as_cedar_reads_them(text in nearly(duration_text())) {
        assert_duration(&text);
    }

    #[test]
    fn any_text_is_refused_or_read_as_cedar_reads_it(text in "\\PC{0,12}|[0-9a-f.:/]{0,12}|[0-9dhms-]{0,8}|[0-9TZ:+.-]{0,24}") {
        assert_ip(&text);
        assert_decimal(&text);
        assert_datetime(&text);
        assert_duration(&text);
    }

    #[test]
    fn kinds_of_addresses_are_those_that_cedar_sees(range in ip()) {
        let ask = |function| bool_of(call(function, &[Datum::Ip(range)]));
        prop_assert_eq!(range.is_ipv4(), ask("isIpv4"));
        prop_assert_eq!(range.is_ipv6(), ask("isIpv6"));
        prop_assert_eq!(range.is_loopback(), ask("isLoopback"));
        prop_assert_eq!(range.is_multicast(), ask("isMulticast"));
    }

    #[test]
    fn ranges_hold_the_addresses_that_cedar_finds_in_them(range in ip(), other in ip(), prefix in 0..=128_u8) {
        // Two random ranges hardly ever meet, so that one is also widened.
        let wider = range.to_smolstr().split_once('/').and_then(|(address, _)| IpRange::parse(&format!("{address}/{prefix}")));
        for other in [other, range].into_iter().chain(wider) {
            prop_assert_eq!(range.is_in_range(&other), bool_of(call("isInRange", &[Datum::Ip(range), Datum::Ip(other)])));
            prop_assert_eq!(other.is_in_range(&range), bool_of(call("isInRange", &[Datum::Ip(other), Datum::Ip(range)])));
            prop_assert_eq!(range == other, in_cedar(&Datum::Ip(range)) == in_cedar(&Datum::Ip(other)));
        }
    }

    #[test]
    fn decimals_compare_as_in_cedar(a in any::<i64>(), b in any::<i64>()) {
        let ask = |function| bool_of(call(function, &[Datum::Decimal(a), Datum::Decimal(b)]));
        prop_assert_eq!(a < b, ask("lessThan"));
        prop_assert_eq!(a <= b, ask("lessThanOrEqual"));
    }

    #[test]
    fn datetimes_move_and_part_as_in_cedar(a in milliseconds(), b in milliseconds()) {
        let own = |value: Option<Datum>| value.map(|datum| in_cedar(&datum));
        let at = Datum::Datetime(a);
        prop_assert_eq!(own(datetime_offset(a, b).map(Datum::Datetime)), call("offset", &[at.clone(), Datum::Duration(b)]));
        prop_assert_eq!(own(duration_since(a, b).map(Datum::Duration)), call("durationSince", &[at.clone(), Datum::Datetime(b)]));
        prop_assert_eq!(own(to_date(a).map(Datum::Datetime)), call("toDate", std::slice::from_ref(&at)));
        prop_assert_eq!(own(Some(Datum::Duration(to_time(a)))), call("toTime", &[at]));
    }

    #[test]
    fn durations_are_as_long_as_in_cedar(duration in milliseconds()) {
        let ask = |function| call(function, &[Datum::Duration(duration)]);
        prop_assert_eq!(Some(Value::from(to_days(duration))), ask("toDays"));
        prop_assert_eq!(Some(Value::from(to_hours(duration))), ask("toHours"));
        prop_assert_eq!(Some(Value::from(to_minutes(duration))), ask("toMinutes"));
        prop_assert_eq!(Some(Value::from(to_seconds(duration))), ask("toSeconds"));
        prop_assert_eq!(Some(Value::from(to_milliseconds(duration))), ask("toMilliseconds"));
    }
}

#[test]
fn generated_texts_are_both_accepted_and_refused() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut shares = |texts: BoxedStrategy<String>, accepts: fn(&str) -> bool| {
        let count = (0..1_000)
            .filter(|_| {
                accepts(&proptest::strategy::ValueTree::current(&texts.new_tree(&mut runner).expect("generates")))
            })
            .count();
        assert!((100..900).contains(&count), "{count} of 1000 are accepted");
    };
    shares(nearly(ip_text()).boxed(), |text| IpRange::parse(text).is_some());
    shares(nearly(decimal_text()).boxed(), |text| parse_decimal(text).is_some());
    shares(nearly(datetime_text()).boxed(), |text| parse_datetime(text).is_some());
    shares(nearly(duration_text()).boxed(), |text| parse_duration(text).is_some());
}

#[test]
fn bounds_are_cedars() {
    for text in [
        "922337203685477.5807",
        "922337203685477.5808",
        "-922337203685477.5808",
        "-922337203685477.5809",
        "-0.0001",
        "1.",
        ".1",
        "1",
    ] {
        assert_decimal(text);
    }
    assert_eq!(parse_decimal("-922337203685477.5808"), Some(i64::MIN));
    for text in [
        "9223372036854775807ms",
        "9223372036854775808ms",
        "-9223372036854775808ms",
        "-9223372036854775809ms",
        "",
        "-",
        "1ms1s",
        "1s1s",
        "1m1ms",
    ] {
        assert_duration(text);
    }
    assert_eq!(parse_duration("-9223372036854775808ms"), Some(i64::MIN));
    for text in [
        "0000-01-01",
        "9999-12-31T23:59:59.999-2359",
        "2023-02-29",
        "2024-02-29",
        "2024-12-31T23:59:60Z",
        "2024-01-01T00:00:00+2400",
    ] {
        assert_datetime(text);
    }
    for text in [
        "0.0.0.0/0",
        "::/0",
        "1.1.1.1/32",
        "1.1.1.1/33",
        "::/128",
        "::/129",
        "1.1.1.1/032",
        "::/00",
        "1.1.1.1/",
        "::ffff:1.2.3.4",
    ] {
        assert_ip(text);
    }
}
