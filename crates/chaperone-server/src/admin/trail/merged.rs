//! All chains as one, in the order of time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chaperone_policy::Timestamp;
use chaperone_trail::{ChainId, RecordSource, Sealed, SourceError};
use serde::Deserialize;

use super::{BATCH, Stretch};
use crate::admin::AdminError;

/// The records of all chains from a time on, by the times that they bear; those of each chain in their order, none left out.
///
/// What comes later is there when it is asked for again.
#[derive(Debug)]
pub struct Merged {
    source: Arc<dyn RecordSource>,
    stretch: Stretch,
    chains: BTreeMap<ChainId, Reading>,
}

/// How far a chain is read.
#[derive(Debug)]
struct Reading {
    /// The next place that was not read.
    next: u64,
    waiting: VecDeque<(Head, Sealed)>,
    /// Whether the end was reached when it was last looked for.
    is_at_end: bool,
}

/// What is read of a record to put it in its place.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Head {
    /// When it happened.
    pub at: Timestamp,
    /// Whether it is a decision.
    #[serde(rename = "kind", deserialize_with = "is_decision")]
    pub is_decision: bool,
}

fn is_decision<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    std::borrow::Cow::<'_, str>::deserialize(deserializer).map(|kind| kind == "decision")
}

impl Merged {
    /// From the first record at this time, or a little earlier.
    pub(super) fn since(source: Arc<dyn RecordSource>, from: Timestamp) -> Self {
        let stretch = Stretch { from: Some(from), ..Stretch::default() };
        Self { source, stretch, chains: BTreeMap::new() }
    }

    /// Looks for the chains, and reads on where they ended before.
    ///
    /// # Errors
    /// When the trail cannot be read.
    pub async fn look(&mut self) -> Result<(), AdminError> {
        for reading in self.chains.values_mut() {
            reading.is_at_end = false;
        }
        let known = self.chains.len();
        if self.source.chains().await?.len() == known {
            return Ok(());
        }
        for segment in self.stretch.segments(&*self.source).await? {
            let begun = Reading { next: segment.from, waiting: VecDeque::new(), is_at_end: false };
            self.chains.entry(segment.chain).or_insert(begun);
        }
        Ok(())
    }

    /// The next records; none at the ends of all chains.
    ///
    /// # Errors
    /// When the trail cannot be read.
    pub async fn next(&mut self) -> Result<Vec<(Head, Sealed)>, AdminError> {
        let mut ready = Vec::new();
        while ready.len() < BATCH as usize {
            for (chain, reading) in &mut self.chains {
                if reading.waiting.is_empty() && !reading.is_at_end {
                    reading.read(&*self.source, *chain).await?;
                }
            }
            let waiting = self.chains.values_mut().filter(|reading| !reading.waiting.is_empty());
            let Some(first) = waiting.min_by_key(|reading| reading.waiting.front().map(|(head, _)| head.at)) else {
                break;
            };
            ready.extend(first.waiting.pop_front());
        }
        Ok(ready)
    }
}

impl Reading {
    async fn read(&mut self, source: &dyn RecordSource, chain: ChainId) -> Result<(), SourceError> {
        let batch = source.records(chain, self.next, BATCH).await?;
        self.is_at_end = batch.is_empty();
        for sealed in batch {
            self.next = sealed.seq.saturating_add(1);
            let damaged = |error| SourceError::Damaged { chain, seq: sealed.seq, source: Box::new(error) };
            let head = serde_json::from_slice::<Head>(&sealed.bytes).map_err(damaged)?;
            self.waiting.push_back((head, sealed));
        }
        Ok(())
    }
}
