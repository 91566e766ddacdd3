//! How much one memory holds.

use std::time::Duration;

/// How far apart the clocks of replicas may be.
///
/// What fell out of a window is kept for this much longer, so that a replica whose clock is behind still finds what is in its own
/// window. Clocks further apart than this can shorten a window by their difference.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5);

/// How much one memory holds at most.
///
/// At a limit a change is an error, and the caller denies: nothing that counts is forgotten to make room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemoryLimits {
    /// How many labels.
    pub labels: usize,
    /// How many counters, each name one.
    pub counters: usize,
    /// How many sets, each name one.
    pub sets: usize,
    /// How many values in each set.
    pub values_per_set: usize,
    /// How many approvals that are neither used up nor over.
    pub grants: usize,
    /// How long one value of a set is, in bytes of its JSON, in the form in which it is remembered. Not above 512: longer ones could
    /// nest deeper than a JSON reader goes, and what cannot be read back denies for ever.
    pub value_bytes: usize,
    /// How many decisions of a session wait for a report of their outcome.
    pub reports: usize,
    /// For how long a report is waited for after the decision.
    pub report_wait: Duration,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self {
            labels: 64,
            counters: 64,
            sets: 16,
            values_per_set: 1024,
            grants: 64,
            value_bytes: 256,
            reports: 256,
            report_wait: Duration::from_mins(15),
        }
    }
}
