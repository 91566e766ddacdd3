//! How long records are kept.

use std::sync::Arc;
use std::time::Duration;

use chaperone_store::{TrailRetention, TrailStore};
use chaperone_trail::Segments;
use tokio_util::sync::CancellationToken;

use crate::causes::causes;
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// How often what is old is looked for.
const INTERVAL: Duration = Duration::from_mins(10);
/// How soon after a failure.
const RETRY: Duration = Duration::from_secs(10);
/// How long before a decision what it read may have been written.
const STATES: Duration = Duration::from_hours(24);
/// How many days have a place of their own in the store before they come: the longest time that this may fail unseen.
const DAYS_AHEAD: u16 = 2;

/// Drops records that are older than they are to be kept.
#[derive(Debug)]
pub struct Retention {
    /// How long they are kept; `None`: for ever.
    pub keep: Option<Duration>,
    /// Where they are.
    pub records: Kept,
    /// What tells their age.
    pub clock: Clock,
    /// For what is counted.
    pub metrics: Arc<Metrics>,
}

/// Where records are kept.
#[derive(Debug)]
pub enum Kept {
    /// In this replica's journal.
    Journal(Segments),
    /// In the store.
    Store(Arc<dyn TrailStore>),
}

impl Retention {
    /// Looks now and then, until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let pause = match self.turn().await {
                Ok(()) => INTERVAL,
                Err(error) => {
                    self.metrics.trail().failed("retain");
                    tracing::warn!(error = causes(&*error), "old records could not be dropped");
                    RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn turn(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let now = self.clock.now();
        match &self.records {
            Kept::Journal(segments) => {
                let Some(keep) = self.keep else { return Ok(()) };
                let segments = segments.clone();
                // What the oldest decisions read was written within the day before them.
                let before = now.minus(keep).minus(STATES);
                let removed = tokio::task::spawn_blocking(move || segments.retain(before)).await??;
                if removed > 0 {
                    tracing::info!(files = removed, "old records were dropped");
                }
            }
            Kept::Store(store) => {
                let wanted = TrailRetention { days_ahead: DAYS_AHEAD, days_kept: self.keep.map(days) };
                let done = store.maintain_trail(&wanted, now).await?;
                for day in &done.dropped {
                    tracing::info!(day, "old records were dropped");
                }
            }
        }
        Ok(())
    }
}

/// Whole days, none of them too short.
fn days(keep: Duration) -> u16 {
    u16::try_from(keep.as_secs().div_ceil(24 * 60 * 60)).unwrap_or(u16::MAX)
}
