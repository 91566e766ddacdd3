//! Exporting the trail, a part at a time: no more than a batch of records is in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use chaperone_trail::{ExportFormat, Found, Order, Place, Record, RecordFilter, RecordSource, Sealed, SourceError};

use super::{BATCH, Segment, Stretch};
use crate::admin::AdminError;

/// How many bytes a part has, or a little more: it ends with a record.
const PART_BYTES: usize = 64 * 1024;

/// What is exported.
#[derive(Clone, Debug)]
pub enum Selection {
    /// What matches, the oldest first.
    Matching(Box<RecordFilter>),
    /// All of a stretch, chain after chain.
    Stretch(Stretch),
}

/// An export that goes on.
#[derive(Debug)]
pub struct Export {
    source: Arc<dyn RecordSource>,
    format: ExportFormat,
    rest: Rest,
    read: VecDeque<Sealed>,
    record_count: u64,
    has_begun: bool,
}

/// A part of an export.
#[derive(Debug, Eq, PartialEq)]
pub struct Part {
    /// The next bytes.
    pub bytes: Vec<u8>,
    /// How many records were exported up to here.
    pub record_count: u64,
}

/// What was not read yet.
#[derive(Debug)]
enum Rest {
    Matching { filter: Box<RecordFilter>, after: Option<Place> },
    Segments(VecDeque<Segment>),
    Nothing,
}

impl Export {
    pub(super) async fn begin(
        source: Arc<dyn RecordSource>,
        selection: Selection,
        format: ExportFormat,
    ) -> Result<Self, AdminError> {
        let rest = match selection {
            Selection::Matching(filter) => Rest::Matching { filter, after: None },
            Selection::Stretch(stretch) => Rest::Segments(stretch.segments(&*source).await?.into()),
        };
        Ok(Self { source, format, rest, read: VecDeque::new(), record_count: 0, has_begun: false })
    }

    /// The next part; `None` after the last.
    ///
    /// # Errors
    /// When the trail cannot be read.
    pub async fn next(&mut self) -> Result<Option<Part>, AdminError> {
        let mut bytes = Vec::new();
        if !self.has_begun {
            self.has_begun = true;
            self.format.write_header(&mut bytes);
        }
        while bytes.len() < PART_BYTES {
            if let Some(sealed) = self.read.pop_front() {
                let before = bytes.len();
                self.write(&sealed, &mut bytes)?;
                self.record_count += u64::from(bytes.len() > before);
            } else if !self.read().await? {
                break;
            }
        }
        Ok((!bytes.is_empty()).then_some(Part { bytes, record_count: self.record_count }))
    }

    fn write(&self, sealed: &Sealed, out: &mut Vec<u8>) -> Result<(), SourceError> {
        let damaged = |source| SourceError::Damaged { chain: sealed.chain, seq: sealed.seq, source };
        match Record::parse(&sealed.bytes) {
            Ok(record) => self.format.write(sealed, &record, out).map_err(|error| damaged(error.into())),
            // Whoever verifies the export finds the very bytes that are at fault.
            Err(_) if self.format == ExportFormat::JsonLines => {
                out.extend_from_slice(&sealed.bytes);
                out.push(b'\n');
                Ok(())
            }
            Err(error) => Err(damaged(error.into())),
        }
    }

    /// Reads a batch. Whether there may be more.
    async fn read(&mut self) -> Result<bool, SourceError> {
        match &mut self.rest {
            Rest::Nothing => return Ok(false),
            Rest::Matching { filter, after } => {
                let batch = self.source.find(filter, Order::Oldest, *after, BATCH).await?;
                *after = batch.last().map(Found::place);
                if batch.len() < BATCH as usize {
                    self.rest = Rest::Nothing;
                }
                self.read.extend(batch.into_iter().map(|found| found.sealed));
            }
            Rest::Segments(segments) => {
                let Some(segment) = segments.front_mut() else {
                    self.rest = Rest::Nothing;
                    return Ok(false);
                };
                let missing = segment.to.saturating_sub(segment.from).saturating_add(1);
                let limit = u32::try_from(missing).unwrap_or(u32::MAX).min(BATCH);
                let batch = self.source.records(segment.chain, segment.from, limit).await?;
                // A gap may lead out of the segment.
                let batch: Vec<_> = batch.into_iter().take_while(|sealed| sealed.seq <= segment.to).collect();
                match batch.last() {
                    Some(last) if last.seq < segment.to => segment.from = last.seq.saturating_add(1),
                    _ => drop(segments.pop_front()),
                }
                self.read.extend(batch);
            }
        }
        Ok(true)
    }
}
