//! The trail: how many records there are of what, how long a disk takes, and how far behind the store is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chaperone_trail::EventKind;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

/// The kinds that have a row, with their names.
const KINDS: [(EventKind, &str); 4] = [
    (EventKind::Decision, "decision"),
    (EventKind::NoDecision, "no_decision"),
    (EventKind::Act, "act"),
    (EventKind::State, "state"),
];
/// The upper ends of the buckets of writing, in seconds.
const WRITE_ENDS_S: [f64; 11] = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5];
/// The upper ends of the buckets of batches, in records.
const BATCH_ENDS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0];
/// What may fail.
const OPERATIONS: [&str; 3] = ["write", "ship", "retain"];

/// The counts of the trail.
#[derive(Debug)]
pub struct TrailCounts {
    state: Arc<State>,
    batches: Histogram<f64>,
    writes: Histogram<f64>,
    syncs: Histogram<f64>,
    ships: Histogram<f64>,
    failures: Counter<u64>,
    unrecorded: Counter<u64>,
}

/// What is counted at every record, or read when metrics are.
#[derive(Debug, Default)]
struct State {
    records: [AtomicU64; KINDS.len()],
    /// Records that were appended and are not safe yet.
    queued: AtomicU64,
    shipped: AtomicU64,
    lag_us: AtomicU64,
    bytes: AtomicU64,
}

impl TrailCounts {
    pub(super) fn new(meter: &Meter) -> Self {
        let counter = |name: &'static str, what: &'static str| meter.u64_counter(name).with_description(what).build();
        let seconds = |name: &'static str, what: &'static str| {
            let ends = WRITE_ENDS_S.into();
            meter.f64_histogram(name).with_unit("s").with_description(what).with_boundaries(ends).build()
        };
        let failures = counter("chaperone.trail.failures", "Failures of the trail, by operation");
        // There from the start: an alarm on its increase must not miss the first.
        for operation in OPERATIONS {
            failures.add(0, &[KeyValue::new("operation", operation)]);
        }
        let unrecorded =
            counter("chaperone.trail.unrecorded", "Answers without a decision, and acts, of which there is no record");
        unrecorded.add(0, &[]);
        let state = Arc::default();
        observe(meter, &state);
        Self {
            state,
            batches: meter
                .f64_histogram("chaperone.trail.batch.records")
                .with_description("How many records were made durable at once")
                .with_boundaries(BATCH_ENDS.into())
                .build(),
            writes: seconds("chaperone.trail.write.duration", "How long it took to write a batch of records"),
            syncs: seconds(
                "chaperone.trail.sync.duration",
                "How long the disk took to make a batch of records durable",
            ),
            ships: seconds(
                "chaperone.trail.ship.duration",
                "How long it took to store a batch of records in PostgreSQL",
            ),
            failures,
            unrecorded,
        }
    }

    /// Counts a record that was appended.
    pub fn appended(&self, kind: EventKind) {
        let row = KINDS.iter().position(|(known, _)| *known == kind);
        if let Some(cell) = row.and_then(|row| self.state.records.get(row)) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes how many records wait to be written.
    pub fn queue_is(&self, records: u64) {
        self.state.queued.store(records, Ordering::Relaxed);
    }

    /// Counts a batch that became durable.
    pub fn committed(&self, records: u64, write: Duration, sync: Duration) {
        self.batches.record(f64::from(u32::try_from(records).unwrap_or(u32::MAX)), &[]);
        self.writes.record(write.as_secs_f64(), &[]);
        if !sync.is_zero() {
            self.syncs.record(sync.as_secs_f64(), &[]);
        }
    }

    /// Counts records that came to the store.
    pub fn shipped(&self, records: u64, elapsed: Duration) {
        self.state.shipped.fetch_add(records, Ordering::Relaxed);
        self.ships.record(elapsed.as_secs_f64(), &[]);
    }

    /// Notes how long ago the oldest record happened that is not in the store.
    pub fn lag_is(&self, lag: Duration) {
        self.state.lag_us.store(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Notes how large the journal is.
    pub fn journal_is(&self, bytes: u64) {
        self.state.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Counts a failure of `write`, `ship` or `retain`.
    pub fn failed(&self, operation: &'static str) {
        self.failures.add(1, &[KeyValue::new("operation", operation)]);
    }

    /// Counts what was done, or answered without a decision, and is not on record.
    pub fn unrecorded(&self) {
        self.unrecorded.add(1, &[]);
    }
}

fn observe(meter: &Meter, state: &Arc<State>) {
    let source = Arc::clone(state);
    meter
        .u64_observable_counter("chaperone.trail.records")
        .with_description("Records of this replica, by kind")
        .with_callback(move |counter| {
            for (cell, (_, kind)) in source.records.iter().zip(KINDS) {
                counter.observe(cell.load(Ordering::Relaxed), &[KeyValue::new("kind", kind)]);
            }
        })
        .build();
    let source = Arc::clone(state);
    meter
        .u64_observable_counter("chaperone.trail.shipped")
        .with_description("Records that were stored in PostgreSQL")
        .with_callback(move |counter| counter.observe(source.shipped.load(Ordering::Relaxed), &[]))
        .build();
    let source = Arc::clone(state);
    meter
        .u64_observable_gauge("chaperone.trail.queue")
        .with_description("Records that wait to be written")
        .with_callback(move |gauge| gauge.observe(source.queued.load(Ordering::Relaxed), &[]))
        .build();
    let source = Arc::clone(state);
    meter
        .f64_observable_gauge("chaperone.trail.lag")
        .with_description("How long ago the oldest record happened that is in the journal only, and not in PostgreSQL; 0 when there is none")
        .with_unit("s")
        .with_callback(move |gauge| {
            gauge.observe(Duration::from_micros(source.lag_us.load(Ordering::Relaxed)).as_secs_f64(), &[]);
        })
        .build();
    let source = Arc::clone(state);
    meter
        .u64_observable_gauge("chaperone.trail.journal.bytes")
        .with_description("Bytes that the journal takes on its disk")
        .with_callback(move |gauge| gauge.observe(source.bytes.load(Ordering::Relaxed), &[]))
        .build();
}
