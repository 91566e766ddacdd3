//! Approvals: what this replica did to them, and how many wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

/// What becomes of an approval.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ApprovalEvent {
    /// A challenge asked for it.
    Asked,
    /// The last yes that was needed.
    Approved,
    /// A no.
    Denied,
    /// It was cancelled before anything was granted.
    Cancelled,
    /// What was granted was taken back.
    Withdrawn,
}

impl ApprovalEvent {
    const ALL: [Self; 5] = [Self::Asked, Self::Approved, Self::Denied, Self::Cancelled, Self::Withdrawn];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// The counts of approvals.
#[derive(Debug)]
pub struct ApprovalCounts {
    events: Counter<u64>,
    /// Negative before it is known.
    waiting: Arc<AtomicI64>,
}

impl ApprovalCounts {
    pub(super) fn new(meter: &Meter) -> Self {
        let events = meter
            .u64_counter("chaperone.approvals")
            .with_description("What became of approvals on this replica, by event")
            .build();
        for event in ApprovalEvent::ALL {
            events.add(0, &[KeyValue::new("event", event.as_str())]);
        }
        let waiting = Arc::new(AtomicI64::new(-1));
        let source = Arc::clone(&waiting);
        meter
            .u64_observable_gauge("chaperone.approvals.waiting")
            .with_description(
                "Approvals that wait for answers, in the store that all replicas share; absent before it was asked",
            )
            .with_callback(move |gauge| {
                if let Ok(waiting) = u64::try_from(source.load(Ordering::Relaxed)) {
                    gauge.observe(waiting, &[]);
                }
            })
            .build();
        Self { events, waiting }
    }

    /// Counts what became of one.
    pub fn became(&self, event: ApprovalEvent) {
        self.events.add(1, &[KeyValue::new("event", event.as_str())]);
    }

    /// Notes how many wait.
    pub fn waiting_are(&self, count: u64) {
        self.waiting.store(i64::try_from(count).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}
