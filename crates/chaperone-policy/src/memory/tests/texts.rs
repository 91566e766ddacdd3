use std::time::Duration;

use proptest::prelude::*;

use super::super::{Amount, MemoryKey, MemoryName, ParseMemoryNameError, WINDOW_MAX};
use crate::ids::SessionId;
use crate::value::{EntityRef, Value};

const ID: &str = "01980000-0000-7000-8000-000000000001";

fn principal(kind: &str, id: &str) -> MemoryKey {
    MemoryKey::Principal(EntityRef::new(kind, id))
}

#[test]
fn names_say_their_windows() {
    for (text, seconds) in [("a/1s", 1), ("exports/90m", 5_400), ("usd.eu_x-1/24h", 86_400), ("A/366d", 31_622_400)] {
        let name = MemoryName::parse(text).expect("is a name");
        assert_eq!(name.window(), Some(Duration::from_secs(seconds)));
        assert_eq!((name.as_str(), name.to_string()), (text, text.to_owned()));
    }
    assert_eq!(MemoryName::parse(&"a".repeat(64)).expect("is a name").window(), None);
}

#[test]
fn other_names_are_refused() {
    for text in ["", "/1h", "a b", "ä", "a\n", &"a".repeat(65)] {
        assert_eq!(MemoryName::parse(text), Err(ParseMemoryNameError::Name), "{text:?}");
    }
    let windows = ["", "h", "1", "0s", "01h", "+1h", "-1h", "1.5h", "1w", "1 h", "1H", "1h/1h", "367d", "1m30s", "1é"];
    for window in windows.into_iter().chain(["31622401s", "18446744073709551616s", "9999999999999999999d"]) {
        assert_eq!(MemoryName::parse(&format!("a/{window}")), Err(ParseMemoryNameError::Window), "{window:?}");
    }
}

#[test]
fn keys_are_written_as_they_are_stored() {
    let id: SessionId = ID.parse().expect("is an id");
    for (key, text) in [
        (MemoryKey::Session(id), format!("session:{ID}")),
        (MemoryKey::Tree(id), format!("tree:{ID}")),
        (principal("Docs::User", "ann"), r#"principal:Docs::User::"ann""#.to_owned()),
        (principal("User", "a\"b\\\nö::\"\0"), r#"principal:User::"a\"b\\\nö::\"\u0000""#.to_owned()),
        (principal("User", ""), r#"principal:User::"""#.to_owned()),
    ] {
        assert_eq!(key.to_string(), text);
        assert_eq!(text.parse(), Ok(key.clone()));
        let json = serde_json::to_string(&key).expect("serialises");
        assert_eq!(json, serde_json::to_string(&text).expect("serialises"));
        assert_eq!(serde_json::from_str::<MemoryKey>(&json).expect("parses"), key);
    }
}

#[test]
fn key_has_one_text() {
    let others = [
        String::new(),
        "session".into(),
        "session:".into(),
        format!("Session:{ID}"),
        format!("session:{ID} "),
        format!("session:{}", ID.replace('-', "")),
        format!("session:{{{ID}}}"),
        "tree:01980000-0000-7000-8000-00000000000A".into(),
        r"principal:User".into(),
        r#"principal:User::""#.into(),
        r#"principal:User::"a"b""#.into(),
        r#"principal:User::"\u0041""#.into(),
        "principal:User::\"a\nb\"".into(),
        r#"principal:User:: "a""#.into(),
    ];
    for text in others {
        assert!(MemoryKey::parse(&text).is_err(), "{text}");
    }
}

#[test]
fn amounts_are_rounded_up() {
    for (text, whole) in [("12.50", 13), ("12.0", 12), ("0.0001", 1), ("-0.5", 0), ("-1.0", -1), ("-1.5", -1)] {
        assert_eq!(Amount::parse_decimal(text).expect("is a decimal").to_whole_up(), whole, "{text}");
    }
    assert_eq!(Amount::Decimal(i64::MAX).to_whole_up(), 922_337_203_685_478);
    assert_eq!(Amount::Decimal(i64::MIN).to_whole_up(), -922_337_203_685_477);
    assert_eq!(Amount::Whole(3).to_decimal(), 30_000);
    assert_eq!(Amount::Whole(i64::MAX).to_decimal(), i64::MAX);
}

#[test]
fn amount_comes_from_a_number() {
    assert_eq!(Amount::from_value(&Value::Long(3)), Some(Amount::from(3)));
    assert_eq!(Amount::from_value(&Value::Decimal("12.50".into())), Some(Amount::Decimal(125_000)));
    assert_eq!(Amount::from_value(&Value::Decimal("922337203685477.5808".into())), None);
    assert_eq!(Amount::from_value(&Value::Decimal("1".into())), None);
    assert_eq!(Amount::from_value(&Value::String("1".into())), None);
}

proptest! {
    #[test]
    fn key_is_read_back(kind in "\\PC{0,20}|(:|\"|a){0,6}", id in "(?s).{0,40}|[:\"\\\\a]{0,8}|a{500}") {
        let key = principal(&kind, &id);
        prop_assert_eq!(MemoryKey::parse(&key.to_string()), Ok(key));
    }

    #[test]
    fn any_text_is_one_key_or_none(text in "(session|tree|principal)?:?\\PC{0,20}|principal:[a\":\\\\]{0,12}\"") {
        if let Ok(key) = MemoryKey::parse(&text) {
            prop_assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn name_is_read_back(text in "[A-Za-z0-9_.-]{1,64}(/[1-9][0-9]{0,2}[smhd])?") {
        match MemoryName::parse(&text) {
            Ok(name) => {
                let json = serde_json::to_string(&name).expect("serialises");
                prop_assert_eq!(serde_json::from_str::<MemoryName>(&json).expect("parses"), name.clone());
                prop_assert!(name.window().is_none_or(|window| window <= WINDOW_MAX));
                prop_assert_eq!(name.to_string(), text);
            }
            Err(error) => prop_assert_eq!(error, ParseMemoryNameError::Window),
        }
    }

    #[test]
    fn amount_is_read_back(units in any::<i64>()) {
        let amount = Amount::Decimal(units);
        prop_assert_eq!(Amount::parse_decimal(&amount.to_string()), Some(amount));
        prop_assert_eq!(Amount::from_value(&amount.into()), Some(amount));
        prop_assert!(i128::from(amount.to_whole_up()) * 10_000 >= i128::from(units));
        prop_assert!(i128::from(amount.to_whole_up()) * 10_000 < i128::from(units) + 10_000);
    }
}
