//! What the shadow decides on this replica.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

use crate::differences::Kind;
use crate::shadow::Untold;

/// The counts of the shadow.
#[derive(Debug)]
pub struct ShadowCounts {
    compared: Counter<u64>,
    differences: Counter<u64>,
    untold: Counter<u64>,
    dropped: Counter<u64>,
}

impl ShadowCounts {
    pub(super) fn new(meter: &Meter) -> Self {
        let counter = |name: &'static str, what: &'static str| meter.u64_counter(name).with_description(what).build();
        let counts = Self {
            compared: counter("chaperone.shadow.compared", "Decisions that the shadow made again"),
            differences: counter(
                "chaperone.shadow.differences",
                "Of them, those that it would have made otherwise, by kind",
            ),
            untold: counter(
                "chaperone.shadow.untold",
                "Decisions of which it cannot be told what the shadow decides, by code",
            ),
            dropped: counter("chaperone.shadow.dropped", "Decisions that the shadow had no time to make again"),
        };
        counts.compared.add(0, &[]);
        counts.dropped.add(0, &[]);
        for kind in Kind::ALL {
            counts.differences.add(0, &[KeyValue::new("kind", kind.as_str())]);
        }
        for why in Untold::ALL {
            counts.untold.add(0, &[KeyValue::new("code", why.code())]);
        }
        counts
    }

    /// Counts a decision that was made again, and how it differs.
    pub fn compared(&self, difference: Option<Kind>) {
        self.compared.add(1, &[]);
        if let Some(kind) = difference {
            self.differences.add(1, &[KeyValue::new("kind", kind.as_str())]);
        }
    }

    /// Counts a decision that could not be made again.
    pub(crate) fn untold(&self, why: Untold) {
        self.untold.add(1, &[KeyValue::new("code", why.code())]);
    }

    /// Counts a decision for which there was no time.
    pub fn dropped(&self) {
        self.dropped.add(1, &[]);
    }
}
