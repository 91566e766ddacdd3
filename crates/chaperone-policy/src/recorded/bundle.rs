//! With what a replica decides, beside what a decision reads.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{StateError, json};
use crate::memory::MemoryLimits;

/// The bundle that decides, and under which limits.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BundleState {
    /// SHA-256 of its files, in hexadecimal.
    digest: String,
    limits: LimitsState,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct LimitsState {
    labels: usize,
    counters: usize,
    sets: usize,
    values_per_set: usize,
    grants: usize,
    value_bytes: usize,
    reports: usize,
    report_wait_us: u64,
}

impl BundleState {
    /// Of a bundle with this digest, and of these limits.
    pub fn new(digest: &str, limits: &MemoryLimits) -> Self {
        let limits = LimitsState {
            labels: limits.labels,
            counters: limits.counters,
            sets: limits.sets,
            values_per_set: limits.values_per_set,
            grants: limits.grants,
            value_bytes: limits.value_bytes,
            reports: limits.reports,
            report_wait_us: u64::try_from(limits.report_wait.as_micros()).unwrap_or(u64::MAX),
        };
        Self { digest: digest.to_owned(), limits }
    }

    /// The text.
    pub fn text(&self) -> String {
        json(self)
    }

    /// From a text.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, StateError> {
        serde_json::from_str(text).map_err(|error| StateError::new("bundle", &error))
    }

    /// SHA-256 of the bundle's files, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How much is remembered at most.
    pub const fn limits(&self) -> MemoryLimits {
        let limits = &self.limits;
        MemoryLimits {
            labels: limits.labels,
            counters: limits.counters,
            sets: limits.sets,
            values_per_set: limits.values_per_set,
            grants: limits.grants,
            value_bytes: limits.value_bytes,
            reports: limits.reports,
            report_wait: Duration::from_micros(limits.report_wait_us),
        }
    }
}
