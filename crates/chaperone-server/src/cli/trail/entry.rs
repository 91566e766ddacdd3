//! Records as they come from the server.

use chaperone_api::chaperone::v1::{TrailFilter, TrailOrder, TrailRecord, TrailServiceQueryRequest};
use chaperone_trail::Record;
use serde::Serialize;

use crate::cli::connect::Link;
use crate::cli::failure::Failure;
use crate::cli::paging;

/// A record.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it came.
    pub wire: TrailRecord,
    /// As it reads; `None` when this program cannot read it, as when the server is newer.
    pub record: Option<Record>,
}

/// A record in JSON output.
#[derive(Debug, Serialize)]
pub struct EntryJson<'a> {
    chain_id: &'a str,
    seq: u64,
    digest: &'a str,
    /// As it is kept. Its digest is of its very bytes, which `trail export` writes.
    record: serde_json::Value,
}

impl From<TrailRecord> for Entry {
    fn from(wire: TrailRecord) -> Self {
        Self { record: Record::parse(&wire.json).ok(), wire }
    }
}

impl<'a> From<&'a Entry> for EntryJson<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            chain_id: &entry.wire.chain_id,
            seq: entry.wire.seq,
            digest: &entry.wire.digest,
            record: serde_json::from_slice(&entry.wire.json).unwrap_or_default(),
        }
    }
}

impl Entry {
    /// Records that match, at most `limit`, page after page.
    ///
    /// # Errors
    /// As they come.
    pub async fn find(link: &Link, filter: &TrailFilter, order: TrailOrder, limit: u32) -> Result<Vec<Self>, Failure> {
        paging::collect(limit, async |page_size, page_token| {
            let filter = Some(filter.clone());
            let request = TrailServiceQueryRequest { filter, page_size, page_token, order: order.into() };
            let page = link.answer(link.trail().query(request)).await?;
            Ok((page.records.into_iter().map(Self::from).collect(), page.next_page_token))
        })
        .await
    }
}
