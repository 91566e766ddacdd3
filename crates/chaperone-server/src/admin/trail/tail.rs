//! Following the trail.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chaperone_trail::{ChainId, Found, RecordFilter, RecordSource, SourceError};

use super::parse;

/// How often is looked for new records where there were none.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How many records of a chain are taken in one go, so that a busy one does not hold up the others.
const CHAIN_BATCH: u32 = 64;

/// Records as they come: each chain's in its order, none left out.
///
/// The source is asked again and again, because the records of other replicas come by way of it and announce themselves to nobody.
#[derive(Debug)]
pub struct Tail {
    source: Arc<dyn RecordSource>,
    filter: RecordFilter,
    /// The next place of each chain that is known.
    next: BTreeMap<ChainId, u64>,
    ready: VecDeque<Found>,
}

impl Tail {
    /// Follows from the ends of the chains as they are now.
    pub(super) async fn begin(source: Arc<dyn RecordSource>, filter: RecordFilter) -> Result<Self, SourceError> {
        let extents = source.chains().await?;
        let next = extents.iter().map(|extent| (extent.chain, extent.last.saturating_add(1))).collect();
        Ok(Self { source, filter, next, ready: VecDeque::new() })
    }

    /// The next record, however long it takes until there is one.
    ///
    /// # Errors
    /// When the trail cannot be read.
    pub async fn next(&mut self) -> Result<Found, SourceError> {
        loop {
            if let Some(found) = self.ready.pop_front() {
                return Ok(found);
            }
            if !self.poll().await? {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
    }

    /// Whether anything was new.
    async fn poll(&mut self) -> Result<bool, SourceError> {
        let mut is_new = false;
        for extent in self.source.chains().await? {
            // A chain that was not there before is followed from its beginning.
            let next = self.next.entry(extent.chain).or_insert(extent.first);
            if extent.last < *next {
                continue;
            }
            for sealed in self.source.records(extent.chain, *next, CHAIN_BATCH).await? {
                *next = sealed.seq.saturating_add(1);
                is_new = true;
                let found = parse(sealed)?;
                if self.filter.matches(&found.record) {
                    self.ready.push_back(found);
                }
            }
        }
        Ok(is_new)
    }
}
