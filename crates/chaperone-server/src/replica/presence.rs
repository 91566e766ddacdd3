//! What this replica tells the store of itself: that it lives, and which bundle it serves.

use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::BundleNumber;
use chaperone_store::ReplicaReport;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Policies, Replica};
use crate::causes::causes;
use crate::clock::Clock;

/// How often it tells that it lives.
const INTERVAL: Duration = Duration::from_secs(5);
/// From when on a replica that tells nothing is taken for gone. By the clocks of two machines, which may differ a little.
pub const GONE_AFTER: Duration = Duration::from_secs(15);
/// How long the row of one that did not leave in order is kept.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// A replica's presence among the others.
#[derive(Debug)]
pub struct Presence {
    replica: Arc<Replica>,
    clock: Clock,
    name: String,
}

/// A bundle that is served, and whether it cannot be used.
type Served = (Option<BundleNumber>, bool);

impl Presence {
    /// Of a replica of this name.
    pub fn new(replica: Arc<Replica>, clock: Clock, name: String) -> Self {
        Self { replica, clock, name }
    }

    /// Tells until `stop`, at once when another bundle is served; then, that it leaves.
    pub async fn run(self, stop: CancellationToken) {
        // Before that the store may not be asked for anything, and there is nothing to tell.
        if stop.run_until_cancelled(self.replica.loaded()).await.is_none() {
            return;
        }
        let mut applied = self.replica.applied.subscribe();
        let mut told: Option<(Served, Instant)> = None;
        loop {
            let served = self.served();
            let is_due = told.is_none_or(|(last, at)| last != served || at.elapsed() >= INTERVAL);
            if is_due && self.tell(served).await {
                told = Some((served, Instant::now()));
            }
            // The sender lives as long as the replica.
            let changed = tokio::time::timeout(INTERVAL, applied.changed());
            if stop.run_until_cancelled(changed).await.is_none() {
                break;
            }
        }
        self.leave().await;
    }

    fn served(&self) -> Served {
        match &**self.replica.policies() {
            Policies::None => (None, false),
            Policies::Active(snapshot) => (Some(snapshot.number), false),
            Policies::Unusable(number) => (Some(*number), true),
        }
    }

    async fn tell(&self, (bundle, is_unusable): Served) -> bool {
        let report = ReplicaReport {
            replica: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            bundle,
            is_unusable,
            seen_at: self.clock.now(),
        };
        let told = self.replica.store.report_replica(&report).await;
        told.inspect_err(|error| tracing::debug!(error = causes(error), "what is served here is not told")).is_ok()
    }

    async fn leave(&self) {
        let before = self.clock.now().minus(FORGOTTEN_AFTER);
        if let Err(error) = self.replica.store.forget_replicas(Some(&self.name), before).await {
            tracing::debug!(error = causes(&error), "that this replica leaves is not told");
        }
    }
}
