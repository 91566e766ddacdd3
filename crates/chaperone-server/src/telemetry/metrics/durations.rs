//! How long checks took, as a histogram in which counting is two additions.
//!
//! The SDK's histogram keeps its buckets under a lock, which every check of every thread would take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, Metric, MetricFamily, MetricType};

use super::sharded::Sharded;

/// The name of the metric, as Prometheus writes it.
const NAME: &str = "chaperone_check_duration_seconds";
/// What it tells.
const HELP: &str = "How long a check took, whatever came of it";

/// The upper ends of the buckets, in microseconds. What took longer is in a last one without an end.
const ENDS_US: [u32; 14] =
    [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];

/// How many checks took how long.
#[derive(Debug, Default)]
pub(super) struct CheckDurations(Sharded<Counts>);

/// What a thread counted.
#[derive(Debug, Default)]
struct Counts {
    /// Each check is in one: they are added up when they are read.
    buckets: [AtomicU64; ENDS_US.len() + 1],
    sum_ns: AtomicU64,
}

/// Puts the durations into a registry.
#[derive(Debug)]
pub(super) struct DurationsCollector {
    durations: Arc<CheckDurations>,
    desc: Desc,
}

impl CheckDurations {
    /// Counts one.
    pub(super) fn add(&self, elapsed: Duration) {
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        // From below: nearly every check is in the first.
        let place = ENDS_US.iter().position(|end| nanos <= u64::from(*end) * 1_000).unwrap_or(ENDS_US.len());
        let counts = self.0.own();
        if let Some(bucket) = counts.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        counts.sum_ns.fetch_add(nanos, Ordering::Relaxed);
    }

    /// As Prometheus has them: each bucket with all that are below it.
    fn histogram(&self) -> Histogram {
        let in_bucket = |place: usize| -> u64 {
            let cells = self.0.iter().filter_map(|counts| counts.buckets.get(place));
            cells.map(|cell| cell.load(Ordering::Relaxed)).sum()
        };
        let mut count = 0;
        let mut buckets = Vec::with_capacity(ENDS_US.len());
        for (place, end_us) in ENDS_US.into_iter().enumerate() {
            count += in_bucket(place);
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(f64::from(end_us) / 1e6);
            bucket.set_cumulative_count(count);
            buckets.push(bucket);
        }
        // Of the same reading as the buckets, so that none of them has more than all.
        count += in_bucket(ENDS_US.len());
        let sum_ns = self.0.iter().map(|counts| counts.sum_ns.load(Ordering::Relaxed)).sum();
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(count);
        histogram.set_sample_sum(Duration::from_nanos(sum_ns).as_secs_f64());
        histogram
    }
}

impl DurationsCollector {
    /// Of these durations.
    ///
    /// # Errors
    /// When the name is no metric's.
    pub(super) fn new(durations: Arc<CheckDurations>) -> prometheus::Result<Self> {
        let desc = Desc::new(NAME.to_owned(), HELP.to_owned(), Vec::new(), std::collections::HashMap::new())?;
        Ok(Self { durations, desc })
    }
}

impl Collector for DurationsCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut metric = Metric::default();
        metric.set_histogram(self.durations.histogram());
        let mut family = MetricFamily::default();
        family.set_name(NAME.to_owned());
        family.set_help(HELP.to_owned());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(vec![metric]);
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_counts_from_the_end_that_it_does_not_pass() {
        let durations = CheckDurations::default();
        for micros in [0, 50, 51, 999_999, 1_000_001, 60_000_000] {
            durations.add(Duration::from_micros(micros));
        }
        let histogram = durations.histogram();
        let counts: Vec<u64> = histogram.get_bucket().iter().map(Bucket::cumulative_count).collect();
        assert_eq!(counts, [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]);
        assert_eq!(histogram.get_sample_count(), 6);
        assert!((histogram.get_sample_sum() - 62.000_101).abs() < 1e-9, "{}", histogram.get_sample_sum());
    }
}
