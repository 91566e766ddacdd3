//! Reading a journal in the order of the chain.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};

use crate::digest::Digest;
use crate::error::TrailError;
use crate::record::Sealed;

use super::frame::{Footer, FrameError, FrameReader, HEADER_BYTES, Item};
use super::segments::{Segment, Segments, damaged, io_error};

/// Where somebody reads a journal. What was removed meanwhile is passed over.
#[derive(Debug)]
pub struct Cursor {
    segments: Segments,
    /// The place that is read next, or the first one after it that is there.
    next: u64,
    open: Option<OpenSegment>,
}

/// A segment that is read.
#[derive(Debug)]
struct OpenSegment {
    segment: Segment,
    reader: FrameReader<BufReader<Durable>>,
    /// The place of the record that stands next in it.
    seq: u64,
}

impl Cursor {
    pub(crate) const fn new(segments: Segments, from: u64) -> Self {
        Self { segments, next: from, open: None }
    }

    /// The next record; nothing when no later one is durable yet. It may be asked again.
    ///
    /// # Errors
    /// [`TrailError::Io`]; [`TrailError::Damaged`] with the file and the place in it.
    pub fn read(&mut self) -> Result<Option<Sealed>, TrailError> {
        let read = self.advance();
        if read.is_err() {
            // Where the file stands is not known: the same error is told the next time, or none if it has gone.
            self.open = None;
        }
        read
    }

    fn advance(&mut self) -> Result<Option<Sealed>, TrailError> {
        let next = self.next;
        let Some(open) = self.current()? else { return Ok(None) };
        loop {
            let (seq, bytes) = open.advance()?;
            if seq >= next {
                let bytes = bytes.to_vec();
                self.next = seq + 1;
                return Ok(Some(Sealed { chain: self.segments.chain(), seq, bytes }));
            }
        }
    }

    /// The place that is read next.
    pub const fn place(&self) -> u64 {
        self.next
    }

    /// At most `limit` records, which together are at most one longer than `bytes_max`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn batch(&mut self, limit: usize, bytes_max: usize) -> Result<Vec<Sealed>, TrailError> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < limit && bytes < bytes_max {
            let Some(record) = self.read()? else { break };
            bytes += record.bytes.len();
            batch.push(record);
        }
        Ok(batch)
    }

    /// The segment that has the next record.
    fn current(&mut self) -> Result<Option<&mut OpenSegment>, TrailError> {
        while self.open.as_ref().is_none_or(|open| open.segment.last() < self.next) {
            let Some(segment) = self.segments.holding(self.next) else { return Ok(None) };
            match &mut self.open {
                Some(open) if open.segment.first() == segment.first() => open.grow(segment),
                _ => {
                    let path = segment.path.clone();
                    match OpenSegment::open(segment) {
                        Ok(open) => self.open = Some(open),
                        Err(source) => {
                            // It may have been removed since.
                            let still = self.segments.holding(self.next);
                            if still.is_some_and(|still| still.path == path) {
                                return Err(io_error("open", &path, source));
                            }
                        }
                    }
                }
            }
        }
        Ok(self.open.as_mut())
    }
}

impl OpenSegment {
    fn open(segment: Segment) -> std::io::Result<Self> {
        let mut file = File::open(&segment.path)?;
        file.seek(SeekFrom::Start(HEADER_BYTES as u64))?;
        let durable = Durable { file, left: segment.length.saturating_sub(HEADER_BYTES as u64) };
        let reader = FrameReader::new(BufReader::with_capacity(1 << 18, durable), HEADER_BYTES as u64);
        let seq = segment.first();
        Ok(Self { segment, reader, seq })
    }

    /// The same segment, with more in it.
    fn grow(&mut self, segment: Segment) {
        self.reader.source_mut().get_mut().left += segment.length.saturating_sub(self.segment.length);
        self.segment = segment;
    }

    /// The next record, which must be there. With the last one of a sealed segment the footer is read.
    fn advance(&mut self) -> Result<(u64, &[u8]), TrailError> {
        let offset = self.reader.offset();
        match self.reader.advance(self.segment.length) {
            Ok(Item::Record) => {}
            Ok(Item::Footer(_) | Item::End) => return Err(damaged(&self.segment.path, offset, "records are missing")),
            Err(error) => return Err(self.explain(offset, error)),
        }
        let seq = self.seq;
        self.seq += 1;
        if self.segment.sealed && seq == self.segment.last() {
            self.finish()?;
        }
        Ok((seq, self.reader.record()))
    }

    fn finish(&mut self) -> Result<(), TrailError> {
        let offset = self.reader.offset();
        let expected =
            Footer { count: self.segment.count, range: self.segment.range, digest: Digest::of(self.reader.record()) };
        match self.reader.advance(self.segment.length) {
            Ok(Item::Footer(footer)) if footer == expected => Ok(()),
            Ok(_) => Err(damaged(&self.segment.path, offset, "the footer is of other records")),
            Err(error) => Err(self.explain(offset, error)),
        }
    }

    fn explain(&self, offset: u64, error: FrameError) -> TrailError {
        match error {
            FrameError::Damaged(problem) => damaged(&self.segment.path, offset, problem),
            FrameError::Io(source) => io_error("read", &self.segment.path, source),
        }
    }
}

/// As much of a file as is durable. What stands behind that may still be taken back.
#[derive(Debug)]
struct Durable {
    file: File,
    left: u64,
}

impl Read for Durable {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = (&mut self.file).take(self.left).read(buffer)?;
        self.left -= read as u64;
        Ok(read)
    }
}
