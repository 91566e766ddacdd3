//! Reading the trail.

mod export;
mod merged;
mod stretch;
mod tail;
mod verify;

use std::sync::Arc;

use chaperone_policy::Timestamp;
use chaperone_trail::{
    ChainExtent, ChainId, Event, Found, Order, Place, Record, RecordFilter, RecordSource, Sealed, SourceError, Trust,
};

pub use self::export::{Export, Part, Selection};
pub use self::merged::{Head, Merged};
pub use self::stretch::{Segment, Stretch};
pub use self::tail::Tail;
pub use self::verify::{ChainProof, Fault, Proof, Step, Verification};
use super::AdminError;

/// How many records are read at once. Some are large, so a page is read in several goes.
const BATCH: u32 = 256;
/// How many bytes of records a page has at the most, unless its first record is larger: a message must stay well under 4 MiB.
const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The use cases of reading the trail.
#[derive(Clone, Debug)]
pub struct TrailReading {
    source: Option<Arc<dyn RecordSource>>,
}

/// A page of records.
#[derive(Debug, Default)]
pub struct Page {
    /// The records.
    pub found: Vec<Found>,
    /// Whether more match.
    pub has_more: bool,
}

/// A chain, and who began it.
#[derive(Debug)]
pub struct Chain {
    /// How much of it there is.
    pub extent: ChainExtent,
    /// The replica's name; empty where the record that says so is not kept.
    pub replica: String,
    /// The key that its checkpoints are signed with, in base64; empty as `replica`.
    pub key: String,
}

impl TrailReading {
    /// Over what this server reads the trail from; `None` where there is no trail.
    pub fn new(source: Option<Arc<dyn RecordSource>>) -> Self {
        Self { source }
    }

    fn source(&self) -> Result<&Arc<dyn RecordSource>, AdminError> {
        self.source.as_ref().ok_or_else(|| AdminError::Precondition {
            code: "no_trail",
            message: "this server keeps no trail; docs/trail.md says how to start it with one".into(),
        })
    }

    /// At most `limit` records after the place `after`; fewer where they are large.
    ///
    /// # Errors
    /// When there is no trail, or it cannot be read.
    pub async fn query(
        &self,
        filter: &RecordFilter,
        order: Order,
        mut after: Option<Place>,
        limit: u32,
    ) -> Result<Page, AdminError> {
        let source = self.source()?;
        let (mut page, mut bytes) = (Page::default(), 0);
        loop {
            let missing = limit.saturating_sub(u32::try_from(page.found.len()).unwrap_or(u32::MAX));
            // One more tells whether there is a page behind this one.
            let asked = missing.saturating_add(1).min(BATCH);
            let batch = source.find(filter, order, after, asked).await?;
            let is_last = batch.len() < asked as usize;
            for found in batch {
                bytes += found.sealed.bytes.len();
                if page.found.len() >= limit as usize || (bytes > PAGE_BYTES_MAX && !page.found.is_empty()) {
                    page.has_more = true;
                    return Ok(page);
                }
                after = Some(found.place());
                page.found.push(found);
            }
            if is_last {
                return Ok(page);
            }
        }
    }

    /// At most `limit` chains after `after`, in the order of their ids.
    ///
    /// # Errors
    /// When there is no trail, or it cannot be read.
    pub async fn chains(&self, after: Option<ChainId>, limit: u32) -> Result<Vec<Chain>, AdminError> {
        let source = self.source()?;
        let extents = source.chains().await?;
        let page = extents.into_iter().filter(|extent| after.is_none_or(|after| extent.chain > after));
        let mut chains = Vec::new();
        for extent in page.take(limit as usize) {
            let first = source.records(extent.chain, extent.first, 1).await?.pop();
            let (replica, key) = match first.and_then(|sealed| Record::parse(&sealed.bytes).ok()).map(|it| it.event) {
                Some(Event::Started { replica, key, .. }) => (replica.into_owned(), key.into_owned()),
                _ => (String::new(), String::new()),
            };
            chains.push(Chain { extent, replica, key });
        }
        Ok(chains)
    }

    /// What comes from now on.
    ///
    /// # Errors
    /// When there is no trail, or it cannot be read.
    pub async fn tail(&self, filter: RecordFilter) -> Result<Tail, AdminError> {
        Ok(Tail::begin(Arc::clone(self.source()?), filter).await?)
    }

    /// All chains as one, from this time on; `None` where there is no trail.
    pub fn merged_since(&self, from: Timestamp) -> Option<Merged> {
        self.source.as_ref().map(|source| Merged::since(Arc::clone(source), from))
    }

    /// Records in a format for other programs.
    ///
    /// # Errors
    /// When there is no trail or no such chain, or it cannot be read.
    pub async fn export(
        &self,
        selection: Selection,
        format: chaperone_trail::ExportFormat,
    ) -> Result<Export, AdminError> {
        Export::begin(Arc::clone(self.source()?), selection, format).await
    }

    /// The proof that in a stretch nothing was changed.
    ///
    /// # Errors
    /// When there is no trail or no such chain, or it cannot be read. A trail that is at fault is no error.
    pub async fn verify(&self, stretch: Stretch, trust: Trust) -> Result<Verification, AdminError> {
        Verification::begin(Arc::clone(self.source()?), stretch, trust).await
    }
}

/// A record that was read by its place.
fn parse(sealed: Sealed) -> Result<Found, SourceError> {
    match Record::parse(&sealed.bytes) {
        Ok(record) => Ok(Found { sealed, record }),
        Err(error) => Err(SourceError::Damaged { chain: sealed.chain, seq: sealed.seq, source: Box::new(error) }),
    }
}
