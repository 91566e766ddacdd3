//! The clock, and what is made with it: ids and secrets. Nothing else reads the time or draws randomness for ids.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use chaperone_policy::{ApprovalId, DecisionId, SessionId, Timestamp};
use rand::rngs::SysRng;
use rand::{Rng as _, TryRng as _};
use uuid::{Builder, Uuid};

/// The time of this process: it never goes back, whatever the wall clock does, and never stands still either.
///
/// It is the process's steady clock plus the largest distance seen between the wall clock and that. A wall clock that is set back
/// is thus ignored until it has caught up: a frozen clock would let a session opened meanwhile live longer than it may. Clones
/// share one clock.
///
/// The wall clock is looked at once a millisecond at the most: between two looks the steady clock says the same, at half the cost.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    /// Microseconds from the steady clock to the wall clock. Only grows.
    offset: AtomicI64,
    /// When the wall clock is to be looked at again, by the steady clock.
    look_at: AtomicI64,
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// By the steady clock, for measuring how long something takes.
    pub instant: Instant,
    /// By this process's time, for what is compared with the times of sessions.
    pub at: Timestamp,
}

/// For how long the wall clock is not looked at again, in microseconds.
const LOOK_AGAIN_US: i64 = 1_000;

#[derive(Debug)]
enum Source {
    System { started: Instant },
    Manual { started: Instant, wall: AtomicI64, steady: AtomicI64 },
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::over(Source::System { started: Instant::now() })
    }

    /// A clock for tests, which stands at `start` until it is moved.
    pub fn manual(start: Timestamp) -> Self {
        let (wall, steady) = (AtomicI64::new(start.as_micros()), AtomicI64::new(0));
        Self::over(Source::Manual { started: Instant::now(), wall, steady })
    }

    fn over(source: Source) -> Self {
        let (offset, look_at) = (AtomicI64::new(i64::MIN), AtomicI64::new(i64::MIN));
        let clock = Self(Arc::new(Inner { source, offset, look_at }));
        // The first reading sets the offset.
        clock.now();
        clock
    }

    /// The time now, never before an earlier answer.
    pub fn now(&self) -> Timestamp {
        self.moment().at
    }

    /// The time now by both clocks, read together.
    pub fn moment(&self) -> Moment {
        let Inner { source, offset, look_at } = &*self.0;
        let mut instant = source.instant();
        let mut steady = source.steady(instant);
        if steady >= look_at.load(Ordering::Acquire) {
            // The wall clock is read first, so that a pause in between makes the offset smaller, never larger.
            let wall = source.wall();
            instant = source.instant();
            steady = source.steady(instant);
            offset.fetch_max(wall.saturating_sub(steady), Ordering::Relaxed);
            // After the offset, so that whoever sees this does not miss that.
            look_at.fetch_max(steady.saturating_add(source.look_again_us()), Ordering::Release);
        }
        Moment { instant, at: Timestamp::from_micros(steady.saturating_add(offset.load(Ordering::Relaxed))) }
    }

    /// How far this clock is ahead of the wall clock, because the wall clock was set back.
    pub fn ahead_of_wall(&self) -> Duration {
        let wall = self.0.source.wall();
        self.now().since(Timestamp::from_micros(wall))
    }

    /// Moves a manual clock on. Does nothing to the machine's clock.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { wall, steady, .. } = &self.0.source {
            let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            wall.fetch_add(micros, Ordering::Relaxed);
            steady.fetch_add(micros, Ordering::Relaxed);
        }
    }

    /// Sets a manual clock's wall time, forward or back. Does nothing to the machine's clock.
    pub fn set(&self, to: Timestamp) {
        if let Source::Manual { wall, .. } = &self.0.source {
            wall.store(to.as_micros(), Ordering::Relaxed);
        }
    }

    /// A new decision's id.
    pub fn decision_id(&self) -> DecisionId {
        decision_id(self.now())
    }

    /// A new session's id.
    pub fn session_id(&self) -> SessionId {
        SessionId::new(uuid_v7(self.now()))
    }

    /// A new UUIDv7, for whatever has no type of its own here.
    pub fn uuid(&self) -> Uuid {
        uuid_v7(self.now())
    }

    /// 256 random bits from the operating system, for a session handle.
    #[expect(clippy::unused_self, reason = "whoever may draw secrets was handed this module's one object")]
    pub fn random_32(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        if SysRng.try_fill_bytes(&mut bytes).is_err() {
            // The thread's generator is a CSPRNG that was seeded from the same source; it panics rather than be predictable.
            rand::rng().fill_bytes(&mut bytes);
        }
        bytes
    }
}

impl Source {
    #[expect(clippy::disallowed_methods, reason = "the one home of the clock")]
    fn wall(&self) -> i64 {
        match self {
            Self::System { .. } => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX)),
            Self::Manual { wall, .. } => wall.load(Ordering::Relaxed),
        }
    }

    /// By the steady clock. A manual one stands still with all that is measured by it, such as how old the state is.
    fn instant(&self) -> Instant {
        match self {
            Self::System { .. } => Instant::now(),
            Self::Manual { started, steady, .. } => {
                *started + Duration::from_micros(u64::try_from(steady.load(Ordering::Relaxed)).unwrap_or(0))
            }
        }
    }

    fn steady(&self, now: Instant) -> i64 {
        match self {
            Self::System { started } => {
                let age = now.saturating_duration_since(*started);
                i64::try_from(age.as_micros()).unwrap_or(i64::MAX)
            }
            Self::Manual { steady, .. } => steady.load(Ordering::Relaxed),
        }
    }

    /// A test that sets the clock sees that at once.
    const fn look_again_us(&self) -> i64 {
        match self {
            Self::System { .. } => LOOK_AGAIN_US,
            Self::Manual { .. } => 0,
        }
    }
}

/// A new id of a decision that was made then.
pub fn decision_id(at: Timestamp) -> DecisionId {
    DecisionId::new(uuid_v7(at))
}

/// A new approval's id.
pub fn approval_id(at: Timestamp) -> ApprovalId {
    ApprovalId::new(uuid_v7(at))
}

/// `at` as the standard library's type, for telemetry.
pub fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(at.as_micros()).unwrap_or(0))
}

fn uuid_v7(at: Timestamp) -> Uuid {
    let millis = u64::try_from(at.as_micros() / 1_000).unwrap_or(0);
    let mut random = [0; 10];
    // The thread's generator: no system call for each id.
    rand::rng().fill_bytes(&mut random);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    #[test]
    fn clock_set_back_goes_on_from_where_it_was() {
        let clock = Clock::manual(START);
        clock.set(Timestamp::from_micros(START.as_micros() - 3_600_000_000));
        assert_eq!(clock.now(), START);
        assert_eq!(clock.ahead_of_wall(), Duration::from_hours(1));
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), START.plus(Duration::from_secs(1)));
    }

    #[test]
    fn clock_set_forward_follows_the_wall() {
        let clock = Clock::manual(START);
        let later = START.plus(Duration::from_hours(1));
        clock.set(later);
        assert_eq!(clock.now(), later);
        assert_eq!(clock.ahead_of_wall(), Duration::ZERO);
    }

    #[test]
    fn system_clock_agrees_with_the_machine() {
        let clock = Clock::system();
        assert!(clock.ahead_of_wall() < Duration::from_secs(1));
        assert!(clock.now() > Timestamp::from_micros(1_700_000_000_000_000), "it is after 2023");
    }

    #[test]
    fn ids_are_version_7_distinct_and_carry_the_time() {
        let clock = Clock::manual(START);
        let ids: HashSet<_> = (0..1_000).map(|_| clock.decision_id()).collect();
        assert_eq!(ids.len(), 1_000);
        for id in ids {
            assert_eq!(id.as_uuid().get_version_num(), 7);
            let (seconds, _) = id.as_uuid().get_timestamp().expect("a version 7 has a time").to_unix();
            assert_eq!(seconds, 1_800_000_000);
        }
    }

    #[test]
    fn secrets_differ() {
        let clock = Clock::system();
        assert_ne!(clock.random_32(), clock.random_32());
    }

    proptest! {
        /// Whatever is done to the wall clock, time never goes back.
        #[test]
        fn time_never_goes_back(steps in proptest::collection::vec((any::<bool>(), 0..4_000_000_000_000_000_i64), 0..50)) {
            let clock = Clock::manual(START);
            let mut last = clock.now();
            for (advance, micros) in steps {
                if advance {
                    clock.advance(Duration::from_micros(u64::try_from(micros % 1_000_000).unwrap_or(0)));
                } else {
                    clock.set(Timestamp::from_micros(micros));
                }
                let now = clock.now();
                prop_assert!(now >= last);
                last = now;
            }
        }
    }
}
