//! Records in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::filter::RecordFilter;
use crate::record::{ChainId, Record, Sealed};
use crate::source::{ChainExtent, Found, Order, Place, RecordSource, SourceError};

/// Records in memory, for tests and for what was read from elsewhere: every question looks at all of them.
#[derive(Debug, Default)]
pub struct MemorySource {
    chains: Mutex<BTreeMap<ChainId, BTreeMap<u64, Sealed>>>,
}

impl MemorySource {
    /// With none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record, as it is: whether it fits to the others is for a verifier to find. One at its place is replaced.
    pub fn push(&self, sealed: Sealed) {
        self.lock().entry(sealed.chain).or_default().insert(sealed.seq, sealed);
    }

    /// Takes a record away.
    pub fn remove(&self, chain: ChainId, seq: u64) {
        if let Some(records) = self.lock().get_mut(&chain) {
            records.remove(&seq);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChainId, BTreeMap<u64, Sealed>>> {
        // Each change is one call on a map: whoever panicked left it whole.
        self.chains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FromIterator<Sealed> for MemorySource {
    fn from_iter<I: IntoIterator<Item = Sealed>>(records: I) -> Self {
        let source = Self::new();
        records.into_iter().for_each(|sealed| source.push(sealed));
        source
    }
}

#[async_trait]
impl RecordSource for MemorySource {
    async fn find(
        &self,
        filter: &RecordFilter,
        order: Order,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<Found>, SourceError> {
        let records: Vec<Sealed> = self.lock().values().flat_map(BTreeMap::values).cloned().collect();
        let mut found = records.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        found.retain(|found| filter.matches(&found.record));
        found.sort_by_key(Found::place);
        if order == Order::Newest {
            found.reverse();
        }
        let is_behind = |found: &Found| match (after, order) {
            (None, _) => true,
            (Some(after), Order::Oldest) => found.place() > after,
            (Some(after), Order::Newest) => found.place() < after,
        };
        found.retain(is_behind);
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn chains(&self) -> Result<Vec<ChainExtent>, SourceError> {
        let chains = self.lock();
        let extents = chains.iter().filter_map(|(chain, records)| {
            let ((first, _), (last, sealed)) = (records.first_key_value()?, records.last_key_value()?);
            let last_at = Record::parse(&sealed.bytes).map(|record| record.at).unwrap_or_default();
            Some(ChainExtent { chain: *chain, first: *first, last: *last, last_at })
        });
        Ok(extents.collect())
    }

    async fn records(&self, chain: ChainId, from: u64, limit: u32) -> Result<Vec<Sealed>, SourceError> {
        let chains = self.lock();
        let records = chains.get(&chain).into_iter().flat_map(|records| records.range(from..));
        Ok(records.take(limit as usize).map(|(_, sealed)| sealed.clone()).collect())
    }
}

fn read(sealed: Sealed) -> Result<Found, SourceError> {
    match Record::parse(&sealed.bytes) {
        Ok(record) => Ok(Found { sealed, record }),
        Err(error) => Err(SourceError::Damaged { chain: sealed.chain, seq: sealed.seq, source: Box::new(error) }),
    }
}
