//! Records of a journal, for who looks for them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chaperone_policy::Timestamp;

use crate::error::TrailError;
use crate::filter::RecordFilter;
use crate::record::{ChainId, Record, RecordError, Sealed};
use crate::source::{ChainExtent, Found, Order, Place, RecordSource, SourceError};

use super::segments::{Segment, Segments};

/// The records of one journal. Looking for some reads every segment whose times may have them.
#[derive(Clone, Debug)]
pub struct JournalSource(Segments);

impl JournalSource {
    /// Of these segments.
    pub const fn new(segments: Segments) -> Self {
        Self(segments)
    }
}

#[async_trait]
impl RecordSource for JournalSource {
    async fn find(
        &self,
        filter: &RecordFilter,
        order: Order,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<Found>, SourceError> {
        let search =
            Search { filter: filter.clone(), needles: Needles::of(filter), order, after, limit: limit as usize };
        let segments = self.0.clone();
        blocking(move || search.run(&segments)).await
    }

    async fn chains(&self) -> Result<Vec<ChainExtent>, SourceError> {
        Ok(self.0.extent().into_iter().collect())
    }

    async fn records(&self, chain: ChainId, from: u64, limit: u32) -> Result<Vec<Sealed>, SourceError> {
        if chain != self.0.chain() {
            return Ok(Vec::new());
        }
        let mut cursor = self.0.unshipped(from);
        blocking(move || cursor.batch(limit as usize, usize::MAX).map_err(|error| explain(chain, from, error))).await
    }
}

/// Runs what waits for a disk where it keeps nobody else waiting.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(SourceError::Unavailable(Box::new(error))),
    }
}

fn explain(chain: ChainId, seq: u64, error: TrailError) -> SourceError {
    match error {
        TrailError::Damaged { .. } => SourceError::Damaged { chain, seq, source: Box::new(error) },
        other => SourceError::Unavailable(Box::new(other)),
    }
}

/// One look for records.
struct Search {
    filter: RecordFilter,
    needles: Needles,
    order: Order,
    after: Option<Place>,
    limit: usize,
}

impl Search {
    fn run(&self, segments: &Segments) -> Result<Vec<Found>, SourceError> {
        let mut found = Page { order: self.order, limit: self.limit, places: BTreeMap::new() };
        if self.limit == 0 {
            return Ok(Vec::new());
        }
        let mut candidates: Vec<Segment> =
            segments.snapshot().into_iter().filter(|segment| self.may_have(segment)).collect();
        // Times and places do not have the same order: a segment is passed over only when all of it comes after the page.
        candidates.sort_by_key(|segment| segment.range.earliest);
        if self.order == Order::Newest {
            candidates.sort_by_key(|segment| std::cmp::Reverse(segment.range.latest));
        }
        for segment in candidates {
            if found.is_before(&segment) {
                break;
            }
            self.read(segments, &segment, &mut found)?;
        }
        Ok(found.into_vec())
    }

    fn may_have(&self, segment: &Segment) -> bool {
        let range = &segment.range;
        let after = self.after.is_none_or(|after| match self.order {
            Order::Oldest => range.latest >= after.at,
            Order::Newest => range.earliest <= after.at,
        });
        segment.count > 0
            && after
            && self.filter.from.is_none_or(|from| range.latest >= from)
            && self.filter.before.is_none_or(|before| range.earliest < before)
    }

    fn read(&self, segments: &Segments, segment: &Segment, found: &mut Page) -> Result<(), SourceError> {
        let chain = segments.chain();
        let mut cursor = segments.unshipped(segment.first());
        loop {
            let seq = cursor.place();
            let sealed = match cursor.read().map_err(|error| explain(chain, seq, error))? {
                Some(sealed) if sealed.seq <= segment.last() => sealed,
                _ => return Ok(()),
            };
            if !self.needles.are_in(&sealed.bytes) {
                continue;
            }
            let record = Record::parse(&sealed.bytes).map_err(|error: RecordError| SourceError::Damaged {
                chain,
                seq: sealed.seq,
                source: Box::new(error),
            })?;
            let place = Place { at: record.at, chain, seq: sealed.seq };
            let is_after = self.after.is_none_or(|after| match self.order {
                Order::Oldest => place > after,
                Order::Newest => place < after,
            });
            if is_after && self.filter.matches(&record) {
                found.add(place, Found { sealed, record });
            }
        }
    }
}

/// The best of what was found so far.
struct Page {
    order: Order,
    limit: usize,
    places: BTreeMap<Place, Found>,
}

impl Page {
    fn add(&mut self, place: Place, found: Found) {
        self.places.insert(place, found);
        if self.places.len() > self.limit {
            match self.order {
                Order::Oldest => self.places.pop_last(),
                Order::Newest => self.places.pop_first(),
            };
        }
    }

    /// Whether it is full, and everything in it stands before all that `segment` has.
    fn is_before(&self, segment: &Segment) -> bool {
        let at = |place: Option<&Place>| place.map_or(Timestamp::default(), |place| place.at);
        self.places.len() >= self.limit
            && match self.order {
                Order::Oldest => at(self.places.keys().next_back()) < segment.range.earliest,
                Order::Newest => at(self.places.keys().next()) > segment.range.latest,
            }
    }

    fn into_vec(self) -> Vec<Found> {
        match self.order {
            Order::Oldest => self.places.into_values().collect(),
            Order::Newest => self.places.into_values().rev().collect(),
        }
    }
}

/// Texts that stand in every record that a filter matches. Looking for them costs a small part of what reading JSON does.
struct Needles(Vec<Vec<u8>>);

impl Needles {
    fn of(filter: &RecordFilter) -> Self {
        let mut needles = Vec::new();
        // As the journal's own writer has them: all in one way, without spaces.
        let mut needle = |name: &str, value: Option<String>| {
            if let Some(value) = value.and_then(|value| serde_json::to_string(&value).ok()) {
                needles.push(format!("\"{name}\":{value}").into_bytes());
            }
        };
        needle("id", filter.session.map(|id| id.to_string()));
        needle("tree", filter.tree.map(|id| id.to_string()));
        needle("owner", filter.owner.clone());
        needle("id", filter.principal.as_ref().map(|entity| entity.id.to_string()));
        needle("id", filter.action.as_ref().map(|entity| entity.id.to_string()));
        needle("id", filter.resource.as_ref().map(|entity| entity.id.to_string()));
        needle("id", filter.policy.clone());
        needle("code", filter.code.clone());
        // As `id`, or as `decision` in what follows from it.
        needles.extend(filter.decision.map(|id| id.to_string().into_bytes()));
        Self(needles)
    }

    fn are_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().all(|needle| memchr::memmem::find(bytes, needle).is_some())
    }
}

/// Whether a record of these bytes would be read to see whether it matches.
#[cfg(test)]
pub(crate) fn needles_are_in(filter: &RecordFilter, bytes: &[u8]) -> bool {
    Needles::of(filter).are_in(bytes)
}
