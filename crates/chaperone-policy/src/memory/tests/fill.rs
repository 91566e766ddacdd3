//! Filling in is a join.

use proptest::prelude::*;

use super::{name, times, windows};
use crate::memory::{Amount, Change, Memory, MemoryLimits};
use crate::timestamp::Timestamp;
use crate::value::Value;

/// What some decisions leave: each counts, remembers a value and labels, in a memory of its own or in both.
type Decisions = Vec<(Timestamp, i64, bool, bool)>;

fn decisions() -> impl Strategy<Value = (String, Decisions)> {
    let decided = windows().prop_flat_map(|window| {
        times(window).prop_flat_map(move |times| {
            let each = prop::collection::vec((0..5_i64, any::<bool>(), any::<bool>()), times.len());
            let decided = each.prop_map(move |each| {
                let with = |(at, (amount, one, other)): (&Timestamp, (i64, bool, bool))| (*at, amount, one, other);
                times.iter().zip(each).map(with).collect::<Decisions>()
            });
            (Just(format!("x/{}s", window.as_secs())), decided)
        })
    });
    (decided, any::<bool>())
        .prop_map(|((windowed, decided), is_windowed)| (if is_windowed { windowed } else { "x".to_owned() }, decided))
}

/// The memory after those decisions of which `is_seen` says so.
fn after(text: &str, decided: &Decisions, is_seen: impl Fn(bool, bool) -> bool) -> Memory {
    let (mut memory, name) = (Memory::default(), name(text));
    for (at, amount, one, other) in decided.iter().filter(|(_, _, one, other)| is_seen(*one, *other)) {
        let label = format!("l{}", i32::from(*one) + 2 * i32::from(*other));
        let changes = [
            Change::Count(name.clone(), Amount::Whole(*amount)),
            Change::Remember(name.clone(), Value::Long(*amount)),
            Change::Label(label.into()),
        ];
        for change in &changes {
            memory.apply(change, *at, &MemoryLimits::default(), 0).expect("there is room");
        }
    }
    memory
}

fn filled(memory: &Memory, part: &Memory, now: Timestamp) -> Memory {
    let mut whole = memory.clone();
    whole.fill(part, now, &MemoryLimits::default()).expect("there is room");
    whole
}

proptest! {
    #[test]
    fn filling_twice_is_filling_once_and_nothing_becomes_less((text, decided) in decisions()) {
        let now = decided.iter().map(|(at, ..)| *at).max().expect("some");
        let known = after(&text, &decided, |one, _| one);
        let history = after(&text, &decided, |_, other| other);
        let once = filled(&known, &history, now);
        prop_assert_eq!(&filled(&once, &history, now), &once);
        let name = name(&text);
        let all = |memory: &Memory| memory.count(&name, now).map_or(0, Amount::to_decimal);
        for part in [&known, &history] {
            prop_assert!(all(&once) >= all(part));
            prop_assert!(part.labels().is_subset(once.labels()));
            let is_kept = |value: &Value| once.set(&name).is_some_and(|set| set.contains(value, name.window(), now));
            let values = part.set(&name).into_iter().flat_map(|set| set.values(name.window(), now));
            prop_assert!(values.into_iter().all(is_kept));
        }
    }

    #[test]
    fn whole_history_fills_in_what_it_would_have_counted((text, decided) in decisions()) {
        let now = decided.iter().map(|(at, ..)| *at).max().expect("some");
        // What was counted since is part of that history.
        let (known, history) = (after(&text, &decided, |one, _| one), after(&text, &decided, |_, _| true));
        let (whole, name) = (filled(&known, &history, now), name(&text));
        let count = |memory: &Memory| memory.count(&name, now).map_or(0, Amount::to_decimal);
        prop_assert_eq!(count(&whole), count(&history));
        let values = |memory: &Memory| {
            let set = memory.set(&name).cloned().unwrap_or_default();
            set.values(name.window(), now).cloned().collect::<Vec<_>>()
        };
        prop_assert_eq!((values(&whole), whole.labels()), (values(&history), history.labels()));
    }
}

#[test]
fn what_there_is_no_room_for_is_told_and_the_rest_is_filled_in() {
    let now = Timestamp::from_micros(1_769_860_800_000_000);
    let history = after("x", &vec![(now, 1, true, true), (now, 2, true, true)], |_, _| true);
    let mut memory = Memory::default();
    let limits = MemoryLimits { values_per_set: 1, ..MemoryLimits::default() };
    assert!(memory.fill(&history, now, &limits).is_err());
    assert_eq!(memory.count(&name("x"), now), Some(Amount::Whole(3)));
    assert_eq!(memory.set(&name("x")).map(|set| set.values(None, now).count()), Some(1));
}
