//! The third outcome: being unable to decide. It always fails closed.

/// Why no decision could be made. The codes are stable: callers and alerts rely on them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum NoDecision {
    /// The last successful read of the change feed is too long ago.
    #[error("the state in memory is too old to decide with")]
    Stale,
    /// The store was needed and did not answer.
    #[error("the store is unavailable")]
    StoreUnavailable,
    /// No bundle is active yet.
    #[error("no policies are active")]
    NoBundle,
    /// The active bundle cannot be used by this replica.
    #[error("the active policies cannot be used by this replica")]
    BundleUnusable,
    /// The caller's deadline was too near.
    #[error("the decision was not made before the deadline")]
    Deadline,
    /// More checks wait for the store than the configuration allows.
    #[error("too many checks are under way")]
    Overloaded,
    /// Other replicas changed what the decision depends on, again and again.
    #[error("too many replicas change the same state at once")]
    Contention,
    /// The request was no readable message, or larger than the configuration allows.
    #[error("the check request cannot be read")]
    Unreadable,
    /// What was decided cannot be recorded, or was not in time: what has no record must not happen.
    #[error("the decision cannot be recorded")]
    TrailUnavailable,
    /// A defect of this program, caught.
    #[error("an internal error was caught")]
    Internal,
}

impl NoDecision {
    /// Every one, for tables that must have a row for each.
    pub const ALL: [Self; 10] = [
        Self::Stale,
        Self::StoreUnavailable,
        Self::NoBundle,
        Self::BundleUnusable,
        Self::Deadline,
        Self::Overloaded,
        Self::Contention,
        Self::Unreadable,
        Self::TrailUnavailable,
        Self::Internal,
    ];

    /// Its stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::StoreUnavailable => "store_unavailable",
            Self::NoBundle => "no_bundle",
            Self::BundleUnusable => "bundle_unusable",
            Self::Deadline => "deadline",
            Self::Overloaded => "overloaded",
            Self::Contention => "contention",
            Self::Unreadable => "unreadable",
            Self::TrailUnavailable => "trail_unavailable",
            Self::Internal => "internal",
        }
    }
}
