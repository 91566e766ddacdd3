use std::time::Duration;

use proptest::prelude::*;

use super::super::{Change, Memory, MemoryLimits};
use super::{NOON, at_s};
use crate::timestamp::Timestamp;

fn move_by(memory: &mut Memory, points: i8, decay_per_hour: u32, now: Timestamp) {
    memory.apply(&Change::Risk(points), now, &MemoryLimits::default(), decay_per_hour).expect("risk has no limit");
}

fn risky(points: i8) -> Memory {
    let mut memory = Memory::default();
    move_by(&mut memory, points, 0, NOON);
    memory
}

#[test]
fn risk_stays_between_0_and_100() {
    let mut memory = risky(90);
    move_by(&mut memory, 90, 0, NOON);
    assert_eq!(memory.risk(0, NOON), 100);
    move_by(&mut memory, -30, 0, NOON);
    assert_eq!(memory.risk(0, NOON), 70);
    move_by(&mut memory, i8::MIN, 0, NOON);
    assert_eq!(memory.risk(0, NOON), 0);
    assert!(memory.is_empty());
}

#[test]
fn risk_without_decay_stays() {
    assert_eq!(risky(20).risk(0, at_s(u64::MAX / 2)), 20);
}

#[test]
fn risk_decays_by_so_many_points_an_hour_and_is_rounded_up() {
    let memory = risky(20);
    assert_eq!(memory.risk(10, NOON), 20);
    assert_eq!(memory.risk(10, NOON.plus(Duration::from_micros(1))), 20);
    assert_eq!(memory.risk(10, at_s(360)), 19);
    assert_eq!(memory.risk(10, at_s(361)), 19);
    assert_eq!(memory.risk(10, at_s(3_600)), 10);
    assert_eq!(memory.risk(10, at_s(7_199)), 1);
    assert_eq!(memory.risk(10, at_s(7_200)), 0);
    assert_eq!(memory.risk(u32::MAX, at_s(u64::MAX / 2)), 0);
}

#[test]
fn move_comes_after_the_decay_until_then() {
    let mut memory = risky(100);
    move_by(&mut memory, 10, 50, at_s(3_600));
    assert_eq!(memory.risk(50, at_s(3_600)), 60);
    assert_eq!(memory.risk(50, at_s(7_200)), 10);
}

#[test]
fn clock_that_goes_back_decays_nothing_twice() {
    let mut memory = risky(50);
    move_by(&mut memory, 0, 10, at_s(3_600));
    move_by(&mut memory, 5, 10, at_s(0));
    assert_eq!(memory.risk(10, at_s(0)), 45);
    assert_eq!(memory.risk(10, at_s(3_600)), 45);
    assert_eq!(memory.risk(10, at_s(7_200)), 35);
}

proptest! {
    /// As counted exactly: however many moves of nothing come between, none of the decay is lost or counted twice.
    #[test]
    fn risk_is_the_exact_one_rounded_up(
        moves in prop::collection::vec((any::<i8>(), 0..100_000_000_u64), 1..30),
        decay in prop_oneof![Just(0), 0..200_u32, any::<u32>()],
        idle in prop::collection::vec(0..2_000_000_000_u64, 0..5),
    ) {
        const HOUR_US: i128 = 3_600_000_000;
        let decayed = |exact: i128, us: u64| (exact - i128::from(decay) * i128::from(us)).max(0);
        let mut memory = Memory::default();
        let (mut exact, mut now) = (0_i128, NOON);
        for (points, us) in moves {
            now = now.plus(Duration::from_micros(us));
            move_by(&mut memory, points, decay, now);
            exact = (decayed(exact, us) + i128::from(points) * HOUR_US).clamp(0, 100 * HOUR_US);
            prop_assert_eq!(i128::from(memory.risk(decay, now)), (exact + HOUR_US - 1) / HOUR_US);
        }
        for us in idle {
            now = now.plus(Duration::from_micros(us));
            move_by(&mut memory, 0, decay, now);
            exact = decayed(exact, us);
            prop_assert_eq!(i128::from(memory.risk(decay, now)), (exact + HOUR_US - 1) / HOUR_US);
        }
    }
}
