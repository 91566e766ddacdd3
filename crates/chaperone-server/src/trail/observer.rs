//! What the writer of the trail tells of itself, as metrics and logs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chaperone_trail::{Commit, Observer, TrailError};

use crate::causes::causes;
use crate::telemetry::Metrics;

/// Counts and logs what the writer does, and knows whether it can.
#[derive(Clone, Debug)]
pub struct WriterState {
    metrics: Arc<Metrics>,
    has_failed: Arc<AtomicBool>,
}

impl WriterState {
    /// Nothing has failed yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, has_failed: Arc::default() }
    }

    /// Whether records cannot be written now.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }
}

impl Observer for WriterState {
    fn committed(&self, commit: &Commit) {
        self.metrics.trail().committed(commit.records, commit.write, commit.sync);
    }

    fn failed(&self, error: &TrailError) {
        self.metrics.trail().failed("write");
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            let error = causes(error);
            tracing::error!(error, "the trail cannot be written; nothing is decided until it can");
        }
    }

    fn recovered(&self) {
        if self.has_failed.swap(false, Ordering::Relaxed) {
            tracing::info!("the trail can be written again");
        }
    }

    fn repaired(&self, bytes: u64) {
        tracing::warn!(
            bytes,
            "the journal ended within a write, as after a crash; what nobody was answered by was cut off"
        );
    }
}
