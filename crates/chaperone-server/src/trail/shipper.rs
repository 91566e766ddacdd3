//! From this replica's journal to the store that all replicas share: each record once, in its order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::Timestamp;
use chaperone_store::{TrailError as StoreTrailError, TrailStore};
use chaperone_trail::{Cursor, Sealed, Segments, TrailError};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::causes::causes;
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// How many records one batch has at most, and about how many bytes.
const BATCH_RECORDS: usize = 2_000;
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// How long to wait for more when there is nothing to ship: records go in batches, not one by one.
const IDLE_PAUSE: Duration = Duration::from_millis(100);
/// How long to wait after a failure, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Ships a journal.
#[derive(Debug)]
pub struct Shipper {
    /// The journal.
    pub segments: Segments,
    /// Where its records go.
    pub store: Arc<dyn TrailStore>,
    /// Who writes it.
    pub replica: String,
    /// For how long ago things happened.
    pub clock: Clock,
    /// For what is counted.
    pub metrics: Arc<Metrics>,
}

/// Why shipping ended before it was told to.
#[derive(Debug, thiserror::Error)]
enum ShipError {
    /// The store does not answer: later it may.
    #[error("records cannot be stored now")]
    Store(#[source] StoreTrailError),
    /// The journal cannot be read: later it may.
    #[error("the journal cannot be read")]
    Journal(#[source] TrailError),
    /// What the store has is not what the journal has. A person must look.
    #[error("the store has another history of this chain than the journal")]
    Diverged(#[source] StoreTrailError),
    /// The store lacks records that the journal does not have any more. A person must look.
    #[error("the store lacks records from {missing} on, and the journal begins at {first}")]
    Missing {
        /// The first that the store lacks.
        missing: u64,
        /// The first that the journal has.
        first: u64,
    },
}

/// What of a record is read to tell when it happened.
#[derive(Deserialize)]
struct Dated {
    at: Timestamp,
}

/// How far shipping is.
#[derive(Debug)]
struct Progress {
    /// How long to wait after the next failure.
    pause: Duration,
    /// When the oldest record happened that is not in the store, where one is known.
    oldest: Option<Timestamp>,
}

impl Shipper {
    /// Ships what the journal has and gets, until `stop` is cancelled and nothing is left; forgets in the journal what is in the store.
    pub async fn run(self, stop: CancellationToken) {
        let mut progress = Progress { pause: RETRY.0, oldest: None };
        loop {
            let error = match self.ship(&stop, &mut progress).await {
                Ok(()) => return,
                Err(error) => error,
            };
            let pause = progress.pause;
            self.note_lag(&progress);
            self.metrics.trail().failed("ship");
            if self.is_final(&error, pause) {
                return;
            }
            tokio::select! {
                // At its end it is tried once more, for a connection that was lost. What is left then stays in the journal, for the next
                // start.
                () = stop.cancelled() => if pause > RETRY.0 { return },
                () = tokio::time::sleep(pause) => {}
            }
            progress.pause = (pause * 2).min(RETRY.1);
        }
    }

    /// Logs why shipping does not go on, and says whether that needs a person.
    fn is_final(&self, error: &ShipError, pause: Duration) -> bool {
        let chain = self.segments.chain();
        let cause = causes(error);
        match error {
            ShipError::Diverged(_) | ShipError::Missing { .. } => {
                tracing::error!(error = cause, trail.chain = %chain, "the journal is not shipped any more");
                true
            }
            ShipError::Store(_) | ShipError::Journal(_) => {
                let retry_in_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(error = cause, retry_in_ms, "records stay in the journal; shipping is tried again");
                false
            }
        }
    }

    async fn ship(&self, stop: &CancellationToken, progress: &mut Progress) -> Result<(), ShipError> {
        let chain = self.segments.chain();
        let stored = self.store.trail_position(chain).await;
        let stored = stored.map_err(|error| ShipError::Store(error.into()))?;
        let mut cursor = self.cursor(stored.unwrap_or(1))?;
        loop {
            // Before the journal is read: what was written when it was told to stop is read once more after that.
            let is_last = stop.is_cancelled();
            let batch;
            (cursor, batch) = read(cursor).await?;
            progress.oldest = batch.first().and_then(happened_at);
            self.note_lag(progress);
            if batch.is_empty() {
                if is_last {
                    return Ok(());
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(IDLE_PAUSE) => {}
                }
                continue;
            }
            let began = std::time::Instant::now();
            match self.store.append_trail(chain, &self.replica, &batch).await {
                Ok(next) => {
                    self.metrics.trail().shipped(batch.len() as u64, began.elapsed());
                    progress.pause = RETRY.0;
                    self.forget(next.saturating_sub(1)).await;
                }
                Err(StoreTrailError::Gap { next, .. }) => cursor = self.cursor(next)?,
                Err(error @ StoreTrailError::Store(_)) => return Err(ShipError::Store(error)),
                Err(error) => return Err(ShipError::Diverged(error)),
            }
        }
    }

    /// Where the journal is read from: where the store's part of the chain ends.
    fn cursor(&self, next: u64) -> Result<Cursor, ShipError> {
        match self.segments.extent() {
            Some(extent) if extent.first > next => Err(ShipError::Missing { missing: next, first: extent.first }),
            _ => Ok(self.segments.unshipped(next)),
        }
    }

    fn note_lag(&self, progress: &Progress) {
        let lag = progress.oldest.map_or(Duration::ZERO, |oldest| self.clock.now().since(oldest));
        self.metrics.trail().lag_is(lag);
    }

    /// Removes files whose records are all in the store.
    async fn forget(&self, through: u64) {
        let segments = self.segments.clone();
        let removed = tokio::task::spawn_blocking(move || segments.remove_through(through)).await;
        if let Ok(Err(error)) = removed {
            self.metrics.trail().failed("retain");
            let error = causes(&error);
            tracing::warn!(error, "a file of the journal whose records are in the store could not be removed");
        }
    }
}

fn happened_at(record: &Sealed) -> Option<Timestamp> {
    serde_json::from_slice(&record.bytes).ok().map(|Dated { at }| at)
}

/// The next records of the journal.
async fn read(mut cursor: Cursor) -> Result<(Cursor, Vec<Sealed>), ShipError> {
    let read = tokio::task::spawn_blocking(move || {
        let batch = cursor.batch(BATCH_RECORDS, BATCH_BYTES);
        batch.map(|batch| (cursor, batch))
    });
    match read.await {
        Ok(read) => read.map_err(ShipError::Journal),
        Err(panic) => Err(ShipError::Journal(TrailError::Io {
            action: "read",
            path: PathBuf::new(),
            source: std::io::Error::other(panic),
        })),
    }
}
