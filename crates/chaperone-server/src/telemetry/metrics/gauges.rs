//! The last known state, read when metrics are.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chaperone_policy::BundleNumber;
use opentelemetry::metrics::Meter;

/// The last known state.
#[derive(Debug)]
pub(super) struct Gauges {
    started: Instant,
    /// Microseconds from `started` to the last successful read of the feed; negative before the first.
    feed_read_at: AtomicI64,
    bundle: AtomicU64,
    cached_sessions: AtomicU64,
}

impl Gauges {
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            feed_read_at: AtomicI64::new(-1),
            bundle: AtomicU64::new(0),
            cached_sessions: AtomicU64::new(0),
        }
    }

    pub fn feed_was_read(&self) {
        let age = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.feed_read_at.fetch_max(age, Ordering::Relaxed);
    }

    pub fn bundle_is(&self, bundle: Option<BundleNumber>) {
        self.bundle.store(bundle.map_or(0, BundleNumber::get), Ordering::Relaxed);
    }

    pub fn cached_sessions_are(&self, sessions: usize) {
        self.cached_sessions.store(u64::try_from(sessions).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long ago the feed was read, if it ever was.
    fn feed_age(&self) -> Option<Duration> {
        let read_at = u64::try_from(self.feed_read_at.load(Ordering::Relaxed)).ok()?;
        Some(self.started.elapsed().saturating_sub(Duration::from_micros(read_at)))
    }
}

/// Shows them.
pub(super) fn observe(meter: &Meter, gauges: &Arc<Gauges>) {
    let source = Arc::clone(gauges);
    meter
        .f64_observable_gauge("chaperone.feed.age")
        .with_description("Time since the change feed was last read successfully; absent before the first read")
        .with_unit("s")
        .with_callback(move |gauge| {
            if let Some(age) = source.feed_age() {
                gauge.observe(age.as_secs_f64(), &[]);
            }
        })
        .build();
    let source = Arc::clone(gauges);
    meter
        .u64_observable_gauge("chaperone.bundle.active")
        .with_description("Number of the bundle that decides; 0 for none")
        .with_callback(move |gauge| gauge.observe(source.bundle.load(Ordering::Relaxed), &[]))
        .build();
    let source = Arc::clone(gauges);
    meter
        .u64_observable_gauge("chaperone.sessions.cached")
        .with_description("Sessions in memory")
        .with_callback(move |gauge| gauge.observe(source.cached_sessions.load(Ordering::Relaxed), &[]))
        .build();
}
