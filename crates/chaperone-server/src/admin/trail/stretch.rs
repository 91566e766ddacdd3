//! Stretches of the trail, by places or by times.

use std::time::Duration;

use chaperone_policy::Timestamp;
use chaperone_trail::{ChainExtent, ChainId, Record, RecordSource, SourceError};

use crate::admin::AdminError;

/// How far a record's time may lie from those of its neighbours: a decision is dated when it is made and takes its place when it is
/// written, and no check takes that long.
const DISORDER_MAX: Duration = Duration::from_mins(1);

/// Which stretch is meant.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stretch {
    /// Of this chain; of every chain without.
    pub chain: Option<ChainId>,
    /// From this place on.
    pub from_seq: Option<u64>,
    /// To this place, which is in it.
    pub to_seq: Option<u64>,
    /// What happened from then on.
    pub from: Option<Timestamp>,
    /// What happened before then.
    pub before: Option<Timestamp>,
}

/// Places of one chain, without gaps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    /// The chain.
    pub chain: ChainId,
    /// The first place.
    pub from: u64,
    /// The last place, which is in it.
    pub to: u64,
}

impl Stretch {
    /// The places that there are now, chain after chain. By times it is a little wider than asked for, never narrower.
    ///
    /// # Errors
    /// When there is no such chain, or the trail cannot be read.
    pub async fn segments(&self, source: &dyn RecordSource) -> Result<Vec<Segment>, AdminError> {
        let extents = source.chains().await?;
        if let Some(chain) = self.chain
            && !extents.iter().any(|extent| extent.chain == chain)
        {
            return Err(AdminError::NotFound(format!("chain `{chain}`")));
        }
        let mut segments = Vec::new();
        for extent in extents.iter().filter(|extent| self.chain.is_none_or(|chain| extent.chain == chain)) {
            let mut from = self.from_seq.unwrap_or(extent.first).max(extent.first);
            let mut to = self.to_seq.unwrap_or(extent.last).min(extent.last);
            if let Some(time) = self.from {
                from = from.max(first_since(source, extent, time.minus(DISORDER_MAX)).await?.unwrap_or(extent.first));
            }
            if let Some(time) = self.before {
                let end = first_since(source, extent, time.plus(DISORDER_MAX)).await?;
                to = to.min(end.map_or(extent.last, |end| end.saturating_sub(1)));
            }
            if from <= to {
                segments.push(Segment { chain: extent.chain, from, to });
            }
        }
        Ok(segments)
    }
}

/// A place from which on, but for disorder, everything happened at `time` or later; one behind the last when nothing did. `None` where
/// that cannot be told, because a record cannot be read.
async fn first_since(
    source: &dyn RecordSource,
    extent: &ChainExtent,
    time: Timestamp,
) -> Result<Option<u64>, SourceError> {
    let (mut low, mut high) = (extent.first, extent.last.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        match source.records(extent.chain, middle, 1).await?.pop() {
            // A gap; the record behind it stands for what was there.
            Some(sealed) => match Record::parse(&sealed.bytes) {
                Ok(record) if record.at >= time => high = middle,
                Ok(_) => low = sealed.seq.max(middle).saturating_add(1),
                Err(_) => return Ok(None),
            },
            None => high = middle,
        }
    }
    Ok(Some(low))
}
