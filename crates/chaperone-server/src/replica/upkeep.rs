//! What a replica writes for its own upkeep, beside following the feed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Replica;
use crate::causes::causes;
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// How many uses are stored at once.
const TOUCH_BATCH: usize = 500;
/// How long changes stay in the feed. A replica that was away for longer loads everything again.
const FEED_RETENTION: Duration = Duration::from_hours(1);
/// How often old changes are removed.
const PRUNE_INTERVAL: Duration = Duration::from_mins(5);

/// What a replica writes to the store now and then: when sessions were last used, and that old changes may go.
#[derive(Debug)]
pub(super) struct Upkeep {
    pub(super) replica: Arc<Replica>,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) touch_interval: Duration,
}

impl Upkeep {
    /// Writes until `stop`, then the last uses.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        let mut pruned_at: Option<Instant> = None;
        while stop.run_until_cancelled(tokio::time::sleep(self.touch_interval)).await.is_some() {
            self.store_uses().await;
            self.count_waiting().await;
            if pruned_at.is_none_or(|at| at.elapsed() >= PRUNE_INTERVAL) {
                pruned_at = Some(Instant::now());
                self.prune().await;
            }
        }
        self.store_uses().await;
    }

    /// For those who watch that people answer.
    async fn count_waiting(&self) {
        match self.replica.store.approvals_waiting(self.clock.now()).await {
            Ok(count) => self.metrics.approvals().waiting_are(count),
            Err(error) => {
                tracing::debug!(error = causes(&error), "how many approvals wait is not known");
            }
        }
    }

    async fn prune(&self) {
        let before = self.clock.now().minus(FEED_RETENTION);
        if let Err(error) = self.replica.store.prune_changes(before).await {
            tracing::debug!(error = causes(&error), "old changes stay in the feed for now");
        }
    }

    async fn store_uses(&self) {
        let mut uses = self.replica.sessions.take_uses();
        while !uses.is_empty() {
            let rest = uses.split_off(uses.len().min(TOUCH_BATCH));
            if let Err(error) = self.replica.store.touch_sessions(&uses).await {
                tracing::debug!(error = causes(&error), "uses of sessions are kept for later");
                self.replica.sessions.return_uses(uses);
                self.replica.sessions.return_uses(rest);
                return;
            }
            self.metrics.touched(uses.len() as u64);
            uses = rest;
        }
    }
}
