//! Decisions by outcome, reason and door: a cell for each combination, so that counting is one addition.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chaperone_policy::{Outcome, Reason};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::sharded::Sharded;

/// The doors that have a row; the last stands for any other.
pub(super) const PROTOCOLS: [&str; 3] = ["ext_authz", "grpc", "other"];

/// Every reason, in the order of [`position`].
const REASONS: [Reason; 16] = [
    Reason::Permitted,
    Reason::NoPermit,
    Reason::Forbidden,
    Reason::PolicyError,
    Reason::SessionUnknown,
    Reason::SessionExpired,
    Reason::SessionIdle,
    Reason::SessionCompleted,
    Reason::SessionRevoked,
    Reason::PrincipalSuspended,
    Reason::BindingMismatch,
    Reason::OutOfScope,
    Reason::Unauthenticated,
    Reason::Undecodable,
    Reason::MemoryFull,
    Reason::StepUpRequired,
];

/// Exhaustive, so that a new reason must get a place.
const fn position(reason: Reason) -> usize {
    match reason {
        Reason::Permitted => 0,
        Reason::NoPermit => 1,
        Reason::Forbidden => 2,
        Reason::PolicyError => 3,
        Reason::SessionUnknown => 4,
        Reason::SessionExpired => 5,
        Reason::SessionIdle => 6,
        Reason::SessionCompleted => 7,
        Reason::SessionRevoked => 8,
        Reason::PrincipalSuspended => 9,
        Reason::BindingMismatch => 10,
        Reason::OutOfScope => 11,
        Reason::Unauthenticated => 12,
        Reason::Undecodable => 13,
        Reason::MemoryFull => 14,
        Reason::StepUpRequired => 15,
    }
}

/// One count for each door and reason.
type Cells = [[AtomicU64; REASONS.len()]; PROTOCOLS.len()];

/// What each thread counted.
#[derive(Debug, Default)]
pub(super) struct DecisionCounts(Sharded<Cells>);

impl DecisionCounts {
    /// Counts one. The reason determines the outcome: only what is permitted is allowed, and only what needs a step-up is a challenge.
    pub(super) fn add(&self, outcome: Outcome, reason: Reason, protocol: &str) {
        debug_assert_eq!(outcome, outcome_of(reason), "{reason}");
        let row = PROTOCOLS.iter().position(|name| *name == protocol).unwrap_or(PROTOCOLS.len() - 1);
        if let Some(cell) = self.0.own().get(row).and_then(|row| row.get(position(reason))) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All that was counted at this place.
    fn sum(&self, row: usize, column: usize) -> u64 {
        let cells = self.0.iter().filter_map(|cells| cells.get(row)?.get(column));
        cells.map(|cell| cell.load(Ordering::Relaxed)).sum()
    }
}

/// Makes the counter of these counts. Every combination is there from the start, so that the first of its kind is seen as a rise.
pub(super) fn observe(meter: &Meter, counts: &Arc<DecisionCounts>) {
    let counts = Arc::clone(counts);
    let attributes = PROTOCOLS.map(|protocol| REASONS.map(|reason| attributes(protocol, reason)));
    meter
        .u64_observable_counter("chaperone.decisions")
        .with_description("Decisions by outcome, reason and door")
        .with_callback(move |counter| {
            for (row, attributes) in attributes.iter().enumerate() {
                for (column, attributes) in attributes.iter().enumerate() {
                    counter.observe(counts.sum(row, column), attributes);
                }
            }
        })
        .build();
}

fn attributes(protocol: &'static str, reason: Reason) -> [KeyValue; 3] {
    [
        KeyValue::new("outcome", outcome_of(reason).as_str()),
        KeyValue::new("reason", reason.code()),
        KeyValue::new("protocol", protocol),
    ]
}

fn outcome_of(reason: Reason) -> Outcome {
    match reason {
        Reason::Permitted => Outcome::Allow,
        Reason::StepUpRequired => Outcome::Challenge,
        _ => Outcome::Deny,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_at_its_position() {
        for (place, reason) in REASONS.into_iter().enumerate() {
            assert_eq!(position(reason), place, "{reason}");
        }
    }
}
