//! `trail_chains` and `trail_records`.

mod append;
mod copy;
mod days;
mod find;
mod partitions;

use async_trait::async_trait;
use chaperone_policy::Timestamp;
use chaperone_trail::{ChainExtent, ChainId, Found, Order, Place, RecordFilter, RecordSource, Sealed, SourceError};

use super::PostgresStore;
use crate::error::StoreError;
use crate::trail::{TrailError, TrailMaintained, TrailRetention, TrailStore};

#[async_trait]
impl TrailStore for PostgresStore {
    async fn append_trail(&self, chain: ChainId, replica: &str, batch: &[Sealed]) -> Result<u64, TrailError> {
        append::append(self, chain, replica, batch).await
    }

    async fn trail_position(&self, chain: ChainId) -> Result<Option<u64>, StoreError> {
        append::position(self, chain).await
    }

    async fn maintain_trail(&self, wanted: &TrailRetention, now: Timestamp) -> Result<TrailMaintained, StoreError> {
        partitions::maintain(self, wanted, now).await
    }
}

#[async_trait]
impl RecordSource for PostgresStore {
    async fn find(
        &self,
        filter: &RecordFilter,
        order: Order,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<Found>, SourceError> {
        find::find(self, filter, order, after, limit).await
    }

    async fn chains(&self) -> Result<Vec<ChainExtent>, SourceError> {
        find::chains(self).await
    }

    async fn records(&self, chain: ChainId, from: u64, limit: u32) -> Result<Vec<Sealed>, SourceError> {
        find::records(self, chain, from, limit).await
    }
}
