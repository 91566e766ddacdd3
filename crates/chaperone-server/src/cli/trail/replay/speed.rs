//! How fast decisions are made again.

use std::time::{Duration, Instant};

use crate::count_text::count_text;
use crate::replay::RunProgress;

/// Since when, and in the end how fast.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    began: Instant,
    elapsed: Duration,
    decision_count: u64,
}

impl Speed {
    /// From now on.
    pub fn begin() -> Self {
        Self { began: Instant::now(), elapsed: Duration::ZERO, decision_count: 0 }
    }

    /// Until now, so many.
    pub fn end(&mut self, decision_count: u64) {
        (self.elapsed, self.decision_count) = (self.began.elapsed(), decision_count);
    }

    /// How long it took, in milliseconds.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    /// Decisions a second, with reading their records.
    pub fn decisions_per_s(&self) -> u64 {
        per_second(self.decision_count, self.elapsed)
    }

    /// How far it is, for who waits.
    pub fn so_far(&self, progress: RunProgress) -> String {
        let RunProgress { records, decisions, differences } = progress;
        let rate = per_second(decisions, self.began.elapsed());
        let records = count_text(records, "record", "records");
        let decisions = count_text(decisions, "decision", "decisions");
        let differences = count_text(differences, "difference", "differences");
        format!("{records}, {decisions} ({rate}/s), {differences}")
    }
}

fn per_second(count: u64, elapsed: Duration) -> u64 {
    let rate = u128::from(count) * 1_000_000 / elapsed.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_of_whole_seconds_and_of_no_time_at_all() {
        assert_eq!(per_second(10_000, Duration::from_secs(2)), 5_000);
        assert_eq!(per_second(1, Duration::from_micros(500)), 2_000);
        assert_eq!(per_second(7, Duration::ZERO), 7_000_000);
        assert_eq!(per_second(u64::MAX, Duration::ZERO), u64::MAX);
    }

    #[test]
    fn progress_tells_of_decisions_and_differences() {
        let progress = RunProgress { records: 9, decisions: 5, differences: 2 };
        let text = Speed::begin().so_far(progress);
        assert!(text.starts_with("9 records, 5 decisions (") && text.ends_with("/s), 2 differences"), "{text}");
    }
}
