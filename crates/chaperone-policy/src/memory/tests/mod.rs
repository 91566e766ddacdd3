//! What memories are held to.

mod cost;
mod counters;
mod fill;
mod memories;
mod risks;
mod sets;
mod signals;
mod stored;
mod texts;

use std::time::Duration;

use proptest::prelude::*;

use super::MemoryName;
use crate::timestamp::Timestamp;

/// 2026-01-31T12:00:00Z.
const NOON: Timestamp = Timestamp::from_micros(1_769_860_800_000_000);

fn name(text: &str) -> MemoryName {
    MemoryName::parse(text).expect("is a name")
}

fn at_s(seconds: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(seconds))
}

/// Short ones, ones that sixty does not divide, and the ends.
fn windows() -> impl Strategy<Value = Duration> {
    let seconds = prop_oneof![1..200_u64, Just(3_600), Just(86_400), Just(366 * 86_400), 1..=366 * 86_400_u64];
    seconds.prop_map(Duration::from_secs)
}

/// A start, and steps that fit `window`: none, tiny ones, parts of it, and more than it.
fn times(window: Duration) -> impl Strategy<Value = Vec<Timestamp>> {
    let window_us = u64::try_from(window.as_micros()).expect("fits");
    let step = prop_oneof![
        Just(0),
        0..10_000_u64,
        0..window_us / 50,
        0..window_us / 5,
        Just(window_us),
        Just(window_us + 1),
        0..window_us * 2
    ];
    (any::<u32>(), prop::collection::vec(step, 1..=40)).prop_map(|(start, steps)| {
        let mut now = NOON.plus(Duration::from_micros(start.into()));
        let mut later = |step| {
            now = now.plus(Duration::from_micros(step));
            now
        };
        steps.into_iter().map(&mut later).collect()
    })
}

/// By how much a replica's clock is behind.
fn skews() -> impl Strategy<Value = Duration> {
    let most = u64::try_from(super::CLOCK_SKEW_MAX.as_micros()).expect("fits");
    prop_oneof![Just(0), Just(most), 0..=most].prop_map(Duration::from_micros)
}
