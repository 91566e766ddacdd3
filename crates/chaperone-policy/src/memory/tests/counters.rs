use std::time::Duration;

use proptest::prelude::*;

use super::super::counter::Sums;
use super::super::{Amount, CountError, Counter};
use super::{NOON, at_s, skews, times, windows};
use crate::timestamp::Timestamp;

const HOUR: Option<Duration> = Some(Duration::from_hours(1));
/// A sixtieth of 60 windows, and what the clocks' skew keeps.
const GRANULES_MAX: usize = 66;

fn granule(window: Duration) -> Duration {
    Duration::from_micros(u64::try_from(window.as_micros().div_ceil(60)).expect("fits")).max(Duration::from_secs(1))
}

/// All that was counted since `window` before `now`.
fn naive(counted: &[(Timestamp, i64)], window: Duration, now: Timestamp) -> i64 {
    counted.iter().filter(|(at, _)| *at >= now.minus(window)).map(|(_, number)| number).sum()
}

fn whole(amount: Amount) -> i64 {
    match amount {
        Amount::Whole(number) => number,
        Amount::Decimal(_) => panic!("is a decimal"),
    }
}

fn counted(window: Option<Duration>, amounts: &[Amount]) -> Counter {
    let mut counter = Counter::new(window);
    for amount in amounts {
        counter.add(*amount, window, NOON).expect("counts");
    }
    counter
}

#[test]
fn life_counter_never_forgets() {
    let counter = counted(None, &[Amount::Whole(3), Amount::Whole(4)]);
    assert_eq!(counter.total(None, at_s(u64::MAX / 2)), Amount::Whole(7));
}

#[test]
fn windowed_counter_forgets_after_the_window_and_a_granule() {
    let counter = counted(HOUR, &[Amount::Whole(3)]);
    assert_eq!(counter.total(HOUR, at_s(3_600)), Amount::Whole(3));
    assert_eq!(counter.total(HOUR, at_s(3_600 + 59)), Amount::Whole(3));
    assert_eq!(counter.total(HOUR, at_s(3_600 + 60)), Amount::Whole(0));
}

#[test]
fn short_window_has_granules_of_a_second() {
    let window = Some(Duration::from_secs(30));
    let counter = counted(window, &[Amount::Whole(3)]);
    assert_eq!(counter.total(window, at_s(30)), Amount::Whole(3));
    assert_eq!(counter.total(window, at_s(31)), Amount::Whole(0));
}

#[test]
fn amount_of_a_clock_that_is_behind_goes_to_the_newest_granule() {
    let mut counter = Counter::new(HOUR);
    counter.add(Amount::Whole(1), HOUR, at_s(600)).expect("counts");
    counter.add(Amount::Whole(2), HOUR, at_s(0)).expect("counts");
    assert_eq!(counter.total(HOUR, at_s(0)), Amount::Whole(3));
    assert_eq!(counter.total(HOUR, at_s(600 + 3_600)), Amount::Whole(3));
}

#[test]
fn negative_amount_is_refused() {
    for window in [None, HOUR] {
        let mut counter = counted(window, &[Amount::Whole(3)]);
        let before = counter.clone();
        assert_eq!(counter.add(Amount::Whole(-1), window, NOON), Err(CountError::Negative));
        assert_eq!(counter.add(Amount::Decimal(i64::MIN), window, NOON), Err(CountError::Negative));
        assert_eq!(counter, before);
    }
}

#[test]
fn total_that_does_not_fit_is_refused() {
    for window in [None, HOUR] {
        let mut counter = counted(window, &[Amount::Whole(i64::MAX)]);
        let before = counter.clone();
        assert_eq!(counter.add(Amount::Whole(1), window, at_s(120)), Err(CountError::Overflow));
        assert_eq!(counter.add(Amount::Decimal(0), window, at_s(120)), Err(CountError::Overflow));
        assert_eq!(counter, before);
        counter.add(Amount::Whole(0), window, at_s(120)).expect("counts nothing");
    }
    let mut counter = counted(HOUR, &[Amount::Whole(i64::MAX)]);
    counter.add(Amount::Whole(1), HOUR, at_s(3_700)).expect("the first does not count any more");
    assert_eq!(counter.total(HOUR, at_s(3_700)), Amount::Whole(1));
}

#[test]
fn counter_whose_type_changed_counts_no_less() {
    for window in [None, HOUR] {
        let counter = counted(window, &[Amount::Decimal(12_500), Amount::Whole(1)]);
        assert_eq!(counter.total(window, NOON), Amount::Whole(3));
        let counter = counted(window, &[Amount::Whole(1), Amount::Decimal(12_500)]);
        assert_eq!(counter.total(window, NOON), Amount::Decimal(22_500));
    }
}

proptest! {
    /// The law of a window: an amount counts for at least the window, and for at most a granule more.
    #[test]
    fn total_is_that_of_the_window_or_of_a_granule_more(
        (window, times) in windows().prop_flat_map(|window| (Just(window), times(window))),
        amounts in prop::collection::vec(0..1_000_i64, 40),
        readings in prop::collection::vec(any::<bool>(), 40),
    ) {
        let mut counter = Counter::new(Some(window));
        let mut history = Vec::new();
        for ((now, amount), is_reading) in times.into_iter().zip(amounts).zip(readings) {
            if !is_reading {
                counter.add(Amount::Whole(amount), Some(window), now).expect("counts");
                history.push((now, amount));
            }
            let total = whole(counter.total(Some(window), now));
            prop_assert!(naive(&history, window, now) <= total);
            prop_assert!(total <= naive(&history, window + granule(window), now));
        }
    }

    /// However the replicas' clocks differ within the skew, none counts less than what it saw itself within its window.
    #[test]
    fn clocks_that_differ_count_no_less(
        (window, times) in windows().prop_flat_map(|window| (Just(window), times(window))),
        amounts in prop::collection::vec(0..1_000_i64, 40),
        adding in prop::collection::vec(skews(), 40),
        reading in prop::collection::vec(skews(), 40),
    ) {
        let mut counter = Counter::new(Some(window));
        let mut history = Vec::new();
        for (((now, amount), adding), reading) in times.into_iter().zip(amounts).zip(adding).zip(reading) {
            counter.add(Amount::Whole(amount), Some(window), now.minus(adding)).expect("counts");
            history.push((now.minus(adding), amount));
            let reader = now.minus(reading);
            prop_assert!(naive(&history, window, reader) <= whole(counter.total(Some(window), reader)));
            let Sums::Granules(granules) = &counter.sums else { panic!("has a window") };
            prop_assert!(granules.len() <= GRANULES_MAX);
            prop_assert!(granules.is_sorted_by(|one, next| one.index < next.index));
        }
    }

    /// Whatever was counted in whichever unit, no unit makes it less.
    #[test]
    fn units_never_make_it_less(
        window in prop_oneof![Just(None), windows().prop_map(Some)],
        amounts in prop::collection::vec(prop_oneof![
            (0..1_000_000_i64).prop_map(Amount::Whole),
            (0..1_000_000_i64).prop_map(Amount::Decimal),
        ], 1..20),
    ) {
        let counter = counted(window, &amounts);
        let exact: i64 = amounts.iter().map(|amount| amount.to_decimal()).sum();
        prop_assert!(counter.total(window, NOON).to_decimal() >= exact);
        prop_assert!(counter.total(window, NOON).to_whole_up() * 10_000 >= exact);
    }

    /// Any time and any stored indices are survived.
    #[test]
    fn no_time_and_no_number_panics(
        window in windows(),
        steps in prop::collection::vec((any::<i64>(), any::<i64>(), any::<bool>()), 1..20),
        reading in any::<i64>(),
    ) {
        for window in [None, Some(window)] {
            let mut counter = Counter::new(window);
            let mut most = 0_i64;
            for (now, number, is_whole) in &steps {
                let amount = if *is_whole { Amount::Whole(*number) } else { Amount::Decimal(*number) };
                let now = Timestamp::from_micros(*now);
                let before = counter.clone();
                if counter.add(amount, window, now).is_ok() {
                    most = counter.total(window, now).to_whole_up();
                    prop_assert!(most >= amount.to_whole_up());
                } else {
                    prop_assert_eq!(&counter, &before);
                }
            }
            prop_assert!(most >= 0);
            counter.total(window, Timestamp::from_micros(reading));
        }
    }
}

/// What happens to a counter, beside time.
#[derive(Clone, Debug)]
enum Step {
    Add(i64),
    Reserve(i64),
    /// Gives back one of what is reserved.
    Release(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..100_i64).prop_map(Step::Add),
        (0..100_i64).prop_map(Step::Reserve),
        any::<usize>().prop_map(Step::Release),
    ];
    prop::collection::vec(step, 1..=40)
}

proptest! {
    /// What was reserved and given back is as if it had never been, whatever else was counted in between; what was not given back is
    /// spent.
    #[test]
    fn reserved_and_given_back_is_as_before(
        (window, times) in windows().prop_flat_map(|window| (Just(window), times(window))),
        is_windowed: bool,
        steps in steps(),
    ) {
        let window = is_windowed.then_some(window);
        let mut counter = Counter::new(window);
        let mut reserved: Vec<(Timestamp, i64, Option<i64>)> = Vec::new();
        let mut kept: Vec<(Timestamp, i64)> = Vec::new();
        for (step, now) in steps.into_iter().zip(times) {
            match step {
                Step::Add(number) => {
                    counter.add(Amount::Whole(number), window, now).expect("counts");
                    kept.push((now, number));
                }
                Step::Reserve(number) => {
                    counter.add(Amount::Whole(number), window, now).expect("counts");
                    reserved.push((now, number, counter.newest_granule()));
                }
                Step::Release(_) if reserved.is_empty() => {}
                Step::Release(place) => {
                    let (_, number, granule) = reserved.swap_remove(place % reserved.len());
                    counter.release(Amount::Whole(number), granule);
                }
            }
            // The same without what was given back.
            let mut all: Vec<_> = kept.iter().copied().chain(reserved.iter().map(|(at, number, _)| (*at, *number))).collect();
            all.sort_unstable();
            let mut without = Counter::new(window);
            for (at, number) in all {
                without.add(Amount::Whole(number), window, at).expect("counts");
            }
            prop_assert_eq!(counter.total(window, now), without.total(window, now));
        }
    }

    /// Whatever the clocks and units: what others added never counts for less than it was because something was given back.
    #[test]
    fn giving_back_never_takes_what_others_added(
        window in windows(),
        is_windowed: bool,
        adds in prop::collection::vec((0..2_000_u64, 0..100_000_i64, any::<bool>()), 1..20),
        place in any::<prop::sample::Index>(),
    ) {
        let window = is_windowed.then_some(window);
        let place = place.index(adds.len());
        let (mut counter, mut others, mut reserved) = (Counter::new(window), 0, None);
        let now = at_s(2_000);
        for (number, (at, units, is_decimal)) in adds.into_iter().enumerate() {
            let amount = if is_decimal { Amount::Decimal(units) } else { Amount::Whole(units) };
            counter.add(amount, window, at_s(at)).expect("counts");
            if number == place {
                reserved = Some((amount, counter.newest_granule()));
            } else if window.is_none_or(|window| at_s(at) >= now.minus(window)) {
                others += amount.to_decimal();
            }
        }
        let (amount, granule) = reserved.expect("one of them");
        counter.release(amount, granule);
        prop_assert!(counter.total(window, now).to_decimal() >= others);
    }
}

#[test]
fn what_has_left_the_window_is_not_given_back() {
    let mut counter = Counter::new(HOUR);
    counter.add(Amount::Whole(5), HOUR, NOON).expect("counts");
    let granule = counter.newest_granule();
    counter.add(Amount::Whole(2), HOUR, at_s(2 * 3_600)).expect("counts");
    counter.release(Amount::Whole(5), granule);
    assert_eq!(counter.total(HOUR, at_s(2 * 3_600)), Amount::Whole(2));
    counter.release(Amount::Whole(5), counter.newest_granule());
    assert!(counter.is_empty(), "never below zero");
}
