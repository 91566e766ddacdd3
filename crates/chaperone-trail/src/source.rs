//! Where records are read from.

use async_trait::async_trait;
use chaperone_policy::Timestamp;

use crate::filter::RecordFilter;
use crate::record::{ChainId, Record, Sealed};

/// Records that can be looked for.
///
/// What was written an instant ago may not be here yet: a replica ships its records in batches.
#[async_trait]
pub trait RecordSource: std::fmt::Debug + Send + Sync + 'static {
    /// Records that `filter` matches, at most `limit`, in `order`, after the place `after` in that order.
    ///
    /// # Errors
    /// [`SourceError`].
    async fn find(
        &self,
        filter: &RecordFilter,
        order: Order,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<Found>, SourceError>;

    /// The chains that have records here, in the order of their ids.
    ///
    /// # Errors
    /// [`SourceError`].
    async fn chains(&self) -> Result<Vec<ChainExtent>, SourceError>;

    /// Records of one chain from `from` on, in their order, at most `limit`. A gap is left as it is, for a verifier to find.
    ///
    /// # Errors
    /// [`SourceError`].
    async fn records(&self, chain: ChainId, from: u64, limit: u32) -> Result<Vec<Sealed>, SourceError>;
}

/// In which order records are found. Those of one time stand in the order of their chains and places.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Order {
    /// The oldest first.
    Oldest,
    /// The newest first.
    #[default]
    Newest,
}

/// A record's place among all: what a page goes on from.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// When it happened.
    pub at: Timestamp,
    /// The chain.
    pub chain: ChainId,
    /// The place there.
    pub seq: u64,
}

/// A record that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// As it is kept.
    pub sealed: Sealed,
    /// As it reads.
    pub record: Record,
}

impl Found {
    /// Its place among all.
    pub fn place(&self) -> Place {
        Place { at: self.record.at, chain: self.record.chain, seq: self.record.seq }
    }
}

/// How much of a chain there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChainExtent {
    /// The chain.
    pub chain: ChainId,
    /// The first place that is still kept: later than 1 where older records were dropped by retention.
    pub first: u64,
    /// The last place.
    pub last: u64,
    /// When the record at the last place happened.
    pub last_at: Timestamp,
}

/// Records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Where they are kept does not answer.
    #[error("the trail cannot be read now")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is kept there is no record.
    #[error("record {seq} of chain `{chain}` is damaged")]
    Damaged {
        /// The chain.
        chain: ChainId,
        /// The place, as far as it is known.
        seq: u64,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
