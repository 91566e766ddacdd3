//! The `TrailStore` trait: where the trails of all replicas come together.

use async_trait::async_trait;
use chaperone_policy::Timestamp;
use chaperone_trail::{ChainId, Digest, RecordSource, Sealed};

use crate::error::{BoxError, StoreError};

/// A store of the records of all replicas, to look for them there. Each chain is stored without gaps, and each record of it once.
///
/// Time limits and dropped futures are as [`Store`](crate::Store) has them. Whatever became of a call, it may be made again.
#[async_trait]
pub trait TrailStore: RecordSource {
    /// Stores records of one chain that follow each other, and returns the place of the next record that is not stored. They are
    /// durable when this returns. Those that are stored already are passed over, so that a batch whose answer was lost may come again,
    /// also cut in another way or at the same time.
    ///
    /// `replica` is who writes the chain now.
    ///
    /// # Errors
    /// [`TrailError::Gap`] when records before the batch are missing, [`TrailError::Forked`] when another record is stored before its
    /// first new one, [`TrailError::Damaged`] and [`TrailError::Disordered`] for a batch that is none. Nothing of it is stored then.
    async fn append_trail(&self, chain: ChainId, replica: &str, batch: &[Sealed]) -> Result<u64, TrailError>;

    /// The place of the next record of a chain that is not stored; `None` for a chain of which nothing was ever stored.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn trail_position(&self, chain: ChainId) -> Result<Option<u64>, StoreError>;

    /// Makes room for the days ahead and drops those past their retention. Any number of replicas may do so at any time.
    ///
    /// Makes the days ahead first. What it did before an error stays done, and was logged.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], also when long reads of the trail are in the way. Call it again.
    async fn maintain_trail(&self, wanted: &TrailRetention, now: Timestamp) -> Result<TrailMaintained, StoreError>;
}

/// Which days of the trail there are to be. Days are those of UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TrailRetention {
    /// How many days after today have a place of their own already.
    pub days_ahead: u16,
    /// How many whole days before today are kept; `None`: all of them.
    pub days_kept: Option<u16>,
}

/// What was done to keep a [`TrailRetention`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TrailMaintained {
    /// The days that were made, such as `2026-11-22`.
    pub created: Vec<String>,
    /// The days that were dropped, with all their records.
    pub dropped: Vec<String>,
    /// How many records were moved to the day that they belong to, which was not there when they came.
    pub moved: u64,
    /// How many records were removed that came when their day was dropped already.
    pub removed: u64,
}

/// Why records were not stored.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// Records before the batch are missing. Send those from `next` on.
    #[error("chain `{chain}` is stored up to before {next}, so that {first} would leave a gap")]
    Gap {
        /// The chain.
        chain: ChainId,
        /// The first that is missing.
        next: u64,
        /// The first of the batch.
        first: u64,
    },
    /// The first new record does not follow the one that is stored before it: two histories have the same chain, as when a journal
    /// was restored from a copy. It needs a person.
    #[error("record {seq} of chain `{chain}` follows `{prev}`, but `{stored}` is stored before it")]
    Forked {
        /// The chain.
        chain: ChainId,
        /// The place of the first new record.
        seq: u64,
        /// What it says that it follows.
        prev: Digest,
        /// What is stored.
        stored: Digest,
    },
    /// Bytes are no record, or one of another place than they were sent for. It needs a person.
    #[error("record {seq} of chain `{chain}` is damaged")]
    Damaged {
        /// The chain.
        chain: ChainId,
        /// The place.
        seq: u64,
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
    /// The records of the batch do not stand one after the other in one chain: a mistake of the caller.
    #[error("a batch of chain `{chain}` has record {seq} out of its order")]
    Disordered {
        /// The chain.
        chain: ChainId,
        /// The place of the record that does not follow the one before.
        seq: u64,
    },
    /// The store did not answer, or failed. The caller may retry.
    #[error(transparent)]
    Store(#[from] StoreError),
}
