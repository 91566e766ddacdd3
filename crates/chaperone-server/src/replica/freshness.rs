//! How old the state in memory may be.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How old the state in memory may be.
#[derive(Clone, Copy, Debug)]
pub struct StalenessLimits {
    /// The age from which nothing is decided any more.
    pub max: Duration,
    /// How much longer it is decided all the same, loudly. Zero fails closed.
    pub grace: Duration,
}

/// When the change feed was last read with success.
#[derive(Debug)]
pub struct Freshness {
    limits: StalenessLimits,
    origin: Instant,
    /// Microseconds from `origin` to the start of the last successful read, plus one; 0 when there was none.
    read_at_us: AtomicU64,
}

/// Whether the state may be decided with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Age {
    /// It may.
    Fresh,
    /// It may, only because of the grace.
    Grace,
    /// It may not.
    Stale,
}

impl Freshness {
    /// Nothing was read yet.
    pub fn new(limits: StalenessLimits) -> Self {
        Self { limits, origin: Instant::now(), read_at_us: AtomicU64::new(0) }
    }

    /// Notes a successful read that began at `began`: the state is as old as the question, not as the answer.
    pub fn note_read(&self, began: Instant) {
        let micros = began.saturating_duration_since(self.origin).as_micros();
        self.read_at_us.fetch_max(u64::try_from(micros).unwrap_or(u64::MAX).saturating_add(1), Ordering::Release);
    }

    /// How old the state is; `None` before the first read.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        let read_at = self.read_at_us.load(Ordering::Acquire).checked_sub(1)?;
        Some(now.saturating_duration_since(self.origin).saturating_sub(Duration::from_micros(read_at)))
    }

    /// Whether the state may be decided with.
    pub fn judge(&self, now: Instant) -> Age {
        match self.age(now) {
            Some(age) if age <= self.limits.max => Age::Fresh,
            Some(age) if age <= self.limits.max.saturating_add(self.limits.grace) => Age::Grace,
            Some(_) | None => Age::Stale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(freshness: &Freshness, millis: u64) -> Instant {
        freshness.origin + Duration::from_millis(millis)
    }

    #[test]
    fn state_that_was_never_read_is_stale() {
        let freshness = Freshness::new(StalenessLimits { max: Duration::MAX, grace: Duration::MAX });
        assert_eq!(freshness.judge(Instant::now()), Age::Stale);
    }

    #[test]
    fn state_is_as_old_as_the_start_of_its_last_read() {
        let limits = StalenessLimits { max: Duration::from_millis(100), grace: Duration::from_millis(50) };
        let freshness = Freshness::new(limits);
        freshness.note_read(after(&freshness, 20));
        freshness.note_read(after(&freshness, 10)); // a late answer to an earlier question changes nothing
        assert_eq!(freshness.judge(after(&freshness, 120)), Age::Fresh);
        assert_eq!(freshness.judge(after(&freshness, 121)), Age::Grace);
        assert_eq!(freshness.judge(after(&freshness, 171)), Age::Stale);
    }
}
