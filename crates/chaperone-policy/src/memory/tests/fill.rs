//! Filling in is a join, and what was reported is settled before it.

use proptest::prelude::*;

use super::{name, times, windows};
use crate::effects::Level;
use crate::ids::DecisionId;
use crate::memory::{Amount, Change, Deferred, Memory, MemoryLimits, Reported, Wait};
use crate::report::{OutcomeReport, ReportedMemories, settle, settle_recorded};
use crate::timestamp::Timestamp;
use crate::value::{Attributes, Value};

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

/// What was reported of some decisions, by their places.
fn reports() -> impl Strategy<Value = Vec<Option<Reported>>> {
    let reported = prop::sample::select(vec![None, Some(Reported::Executed), Some(Reported::Failed)]);
    prop::collection::vec(reported, 40)
}

/// A wait that outlasts every window.
fn limits() -> MemoryLimits {
    MemoryLimits { report_wait: std::time::Duration::from_hours(1_000_000), ..MemoryLimits::default() }
}

/// The memory after those decisions of which `is_seen` says so. Each reserves an amount, and labels when it was executed or when it failed.
fn reserved(text: &str, decided: &Decisions, is_seen: impl Fn(bool) -> bool) -> Memory {
    let (mut memory, counter, limits) = (Memory::default(), name(text), limits());
    for (place, (at, amount, one, _)) in decided.iter().enumerate() {
        if !is_seen(*one) {
            continue;
        }
        let amount = Amount::Whole(*amount);
        memory.apply(&Change::Count(counter.clone(), amount), *at, &limits, 0).expect("there is room");
        let granule = memory.newest_granule(&counter);
        let waits = [
            (Reported::Executed, Deferred::Reserved(counter.clone(), amount, granule)),
            (Reported::Executed, Deferred::Label("executed".into())),
            (Reported::Failed, Deferred::Label("failed".into())),
        ];
        for (on, what) in waits {
            let wait = Wait { on, level: Level::Session, what };
            memory.await_report(decision(place), at.plus(limits.report_wait), None, wait, &limits).expect("room");
        }
    }
    memory
}

fn decision(place: usize) -> DecisionId {
    DecisionId::new(uuid::Uuid::from_u128(place as u128))
}

/// The memory after these reports: as they are settled when they come, or from their records.
fn settled(memory: Memory, reports: &[Option<Reported>], now: Timestamp, is_recorded: bool) -> Memory {
    let mut memories = ReportedMemories { session: memory, ..ReportedMemories::default() };
    for (place, outcome) in reports.iter().enumerate() {
        let Some(awaited) = memories.session.awaited_by(decision(place)).cloned() else { continue };
        let Some(outcome) = *outcome else { continue };
        let report = OutcomeReport { decision: decision(place), outcome, facts: Attributes::new() };
        memories = if is_recorded {
            settle_recorded(&awaited, &report, &memories, now, &limits(), 0).expect("there is room").0
        } else {
            match settle(&report, &memories, now, &limits(), 0).expect("there is room") {
                crate::report::Settlement::Settled(_, after) => *after,
                other => panic!("{other:?}"),
            }
        };
    }
    memories.session
}

proptest! {
    #[test]
    fn history_with_its_reports_fills_in_what_it_would_have_counted((text, decided) in decisions(), reports in reports()) {
        let (now, counter) = (decided.iter().map(|(at, ..)| *at).max().expect("some"), name(&text));
        let would_be = settled(reserved(&text, &decided, |_| true), &reports, now, false);
        let history = settled(reserved(&text, &decided, |_| true), &reports, now, true);
        prop_assert_eq!(&history, &would_be, "a report settles the same from its record");
        // What was counted since, and reported since, is part of that history.
        let known = settled(reserved(&text, &decided, |one| one), &reports, now, false);
        let whole = filled(&known, &history, now);
        prop_assert_eq!(&filled(&whole, &history, now), &whole);
        let count = |memory: &Memory| memory.count(&counter, now).map_or(0, Amount::to_decimal);
        prop_assert_eq!((count(&whole), whole.labels()), (count(&would_be), would_be.labels()));
        // Read before its reports, it counts more: what was filled in is not taken back.
        let early = filled(&known, &reserved(&text, &decided, |_| true), now);
        prop_assert!(count(&filled(&early, &history, now)) >= count(&early));
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
