use std::time::Duration;

use super::super::{ChangeError, Memory, SIGNAL_WINDOW, SIGNALS_MAX};
use super::NOON;

#[test]
fn signal_is_known_for_its_window_and_no_longer() {
    let mut memory = Memory::default();
    assert!(!memory.has_signal("a", NOON));
    memory.note_signal("a", NOON).expect("has room");
    let end = NOON.plus(SIGNAL_WINDOW);
    assert!(memory.has_signal("a", NOON) && memory.has_signal("a", end) && !memory.has_signal("b", NOON));
    assert!(!memory.has_signal("a", end.plus(Duration::from_micros(1))));
    assert_eq!((memory.signal_count(end), memory.signal_count(end.plus(Duration::from_secs(1)))), (1, 0));
}

#[test]
fn full_memory_forgets_no_signal_that_counts() {
    let mut memory = Memory::default();
    for number in 0..SIGNALS_MAX {
        memory.note_signal(&number.to_string(), NOON).expect("has room");
    }
    let before = memory.clone();
    let error = memory.note_signal("one more", NOON.plus(SIGNAL_WINDOW)).expect_err("is full");
    assert_eq!(error, ChangeError::Full { what: "signal", name: "one more".into(), limit: SIGNALS_MAX });
    assert_eq!(memory, before);
    let later = NOON.plus(SIGNAL_WINDOW).plus(Duration::from_mins(1));
    memory.note_signal("one more", later).expect("the others are over");
    assert_eq!(memory.signal_count(later), 1);
}

#[test]
fn signals_have_a_stable_stored_form() {
    let mut memory = Memory::default();
    memory.note_signal("edr-7", NOON).expect("has room");
    let stored = r#"{"signals":[[{"string":"edr-7"},1769860800000000]]}"#;
    assert_eq!(serde_json::to_string(&memory).expect("serialises"), stored);
    assert_eq!(serde_json::from_str::<Memory>(stored).expect("parses"), memory);
}
