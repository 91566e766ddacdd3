//! What stands in a segment: a header, frames with records, and a footer when nothing more will come. Numbers are little-endian.

use std::io::Read;

use chaperone_policy::Timestamp;
use uuid::Uuid;

use crate::chain::Head;
use crate::digest::Digest;
use crate::options::RECORD_BYTES_MAX;
use crate::record::ChainId;

/// `magic (8) version (4) zero (4) chain (16) first (8) prev (32) crc (4)`.
pub(crate) const HEADER_BYTES: usize = 76;
/// `length (4) durable (4) crc (4)`, and then the record.
pub(crate) const FRAME_BYTES: usize = 12;
/// `marker (4) count (8) earliest (8) latest (8) digest (32) crc (4)`.
pub(crate) const FOOTER_BYTES: usize = 64;

const MAGIC: &[u8; 8] = b"CHPTRAIL";
const VERSION: u32 = 1;
/// In the place of a frame's length.
const FOOTER_MARKER: u32 = u32::MAX;
/// No chain gets that far, and no segment has as many records: places can be counted on from any that is less.
const PLACES_MAX: u64 = u64::MAX / 2;

/// What a segment begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub chain: ChainId,
    /// The record before its first.
    pub before: Head,
}

/// What a segment ends with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Footer {
    /// Its records.
    pub count: u64,
    /// The earliest and the latest time of a record.
    pub range: TimeRange,
    /// Of the last record.
    pub digest: Digest,
}

/// The earliest and the latest time of some records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TimeRange {
    pub earliest: Timestamp,
    pub latest: Timestamp,
}

impl TimeRange {
    /// Of no record.
    pub const EMPTY: Self =
        Self { earliest: Timestamp::from_micros(i64::MAX), latest: Timestamp::from_micros(i64::MIN) };

    pub fn add(&mut self, at: Timestamp) {
        self.earliest = self.earliest.min(at);
        self.latest = self.latest.max(at);
    }
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let crc = fill(
            &mut bytes,
            &[
                MAGIC,
                &VERSION.to_le_bytes(),
                &[0; 4],
                self.chain.as_uuid().as_bytes(),
                &(self.before.seq + 1).to_le_bytes(),
                self.before.digest.as_bytes(),
            ],
        );
        put_crc(&mut bytes, crc);
        bytes
    }

    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, &'static str> {
        let mut fields = Fields::new(bytes)?;
        if &fields.take::<8>()? != MAGIC {
            return Err("this is no segment of a journal");
        }
        if fields.u32()? != VERSION {
            return Err("the version of this segment is not known");
        }
        if fields.u32()? != 0 {
            return Err("the header is damaged");
        }
        let chain = ChainId::new(Uuid::from_bytes(fields.take()?));
        let first = fields.u64()?;
        let digest = Digest::from_bytes(fields.take()?);
        let seq = first.checked_sub(1).filter(|seq| *seq < PLACES_MAX).ok_or("the header is damaged")?;
        Ok(Self { chain, before: Head { seq, digest } })
    }
}

impl Footer {
    pub fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        let crc = fill(
            &mut bytes,
            &[
                &FOOTER_MARKER.to_le_bytes(),
                &self.count.to_le_bytes(),
                &self.range.earliest.as_micros().to_le_bytes(),
                &self.range.latest.as_micros().to_le_bytes(),
                self.digest.as_bytes(),
            ],
        );
        put_crc(&mut bytes, crc);
        bytes
    }

    pub fn decode(bytes: &[u8; FOOTER_BYTES]) -> Result<Self, &'static str> {
        let mut fields = Fields::new(bytes)?;
        if fields.u32()? != FOOTER_MARKER {
            return Err("this is no footer");
        }
        let count = Some(fields.u64()?).filter(|count| *count < PLACES_MAX).ok_or("the footer is damaged")?;
        let range = TimeRange { earliest: fields.time()?, latest: fields.time()? };
        Ok(Self { count, range, digest: Digest::from_bytes(fields.take()?) })
    }
}

/// What stands before a record. `durable` is how much of the segment was durable before the write that this frame is part of.
pub(crate) fn prefix(durable: u32, record: &[u8]) -> [u8; FRAME_BYTES] {
    // INVARIANT (record length): `Queue::push` refuses what is longer.
    let length = u32::try_from(record.len()).unwrap_or(FOOTER_MARKER);
    let mut prefix = [0; FRAME_BYTES];
    let fields = [length, durable, checksum(length, durable, record)];
    for (place, field) in prefix.as_chunks_mut().0.iter_mut().zip(fields) {
        *place = field.to_le_bytes();
    }
    prefix
}

fn checksum(length: u32, durable: u32, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(&durable.to_le_bytes());
    hasher.update(record);
    hasher.finalize()
}

/// Whether a whole frame begins with these bytes, of a write that began with more than `after` bytes durable, and how many bytes it
/// takes to say.
pub(crate) fn later_frame(bytes: &[u8], offset: u64, after: u64) -> (bool, usize) {
    let Ok((head, rest)) = FrameHead::split(bytes) else { return (false, 0) };
    let durable = u64::from(head.durable);
    if durable <= after || durable > offset {
        return (false, 0);
    }
    match usize::try_from(head.length).ok().filter(|length| (1..=RECORD_BYTES_MAX).contains(length)) {
        Some(length) => match rest.get(..length) {
            Some(record) => (checksum(head.length, head.durable, record) == head.crc, length),
            None => (false, 0),
        },
        None => (false, 0),
    }
}

#[derive(Clone, Copy)]
struct FrameHead {
    length: u32,
    durable: u32,
    crc: u32,
}

impl FrameHead {
    fn split(bytes: &[u8]) -> Result<(Self, &[u8]), &'static str> {
        let (head, rest) = bytes.split_at_checked(FRAME_BYTES).ok_or("the frame is cut off")?;
        let mut fields = Fields(head);
        Ok((Self { length: fields.u32()?, durable: fields.u32()?, crc: fields.u32()? }, rest))
    }
}

/// What stands next in a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Item {
    /// A record, now in [`FrameReader::record`].
    Record,
    /// The footer.
    Footer(Footer),
    /// Nothing more.
    End,
}

/// Why what stands next in a segment cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("{0}")]
    Damaged(&'static str),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Reads frames, one after the other.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    reader: R,
    offset: u64,
    record: Vec<u8>,
}

impl<R: Read> FrameReader<R> {
    /// From `offset` on, where `reader` stands.
    pub const fn new(reader: R, offset: u64) -> Self {
        Self { reader, offset, record: Vec::new() }
    }

    /// Where the next item begins.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// What it reads.
    pub const fn source_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// The record that was read last.
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// What stands next, before `end`.
    pub fn advance(&mut self, end: u64) -> Result<Item, FrameError> {
        let left = end.saturating_sub(self.offset);
        if left == 0 {
            return Ok(Item::End);
        }
        if left < FRAME_BYTES as u64 {
            return Err(FrameError::Damaged("the frame is cut off"));
        }
        let mut bytes = [0; FRAME_BYTES];
        self.reader.read_exact(&mut bytes)?;
        let head = FrameHead::split(&bytes).map_err(FrameError::Damaged)?.0;
        if head.length == FOOTER_MARKER {
            return self.footer(bytes, left);
        }
        let length = head.length as usize;
        if !(1..=RECORD_BYTES_MAX).contains(&length) {
            return Err(FrameError::Damaged("the length of the frame is not possible"));
        }
        if left - (FRAME_BYTES as u64) < length as u64 {
            return Err(FrameError::Damaged("the frame is cut off"));
        }
        self.record.resize(length, 0);
        self.reader.read_exact(&mut self.record)?;
        if checksum(head.length, head.durable, &self.record) != head.crc {
            return Err(FrameError::Damaged("the checksum does not match"));
        }
        self.offset += (FRAME_BYTES + length) as u64;
        Ok(Item::Record)
    }

    fn footer(&mut self, begin: [u8; FRAME_BYTES], left: u64) -> Result<Item, FrameError> {
        if left != FOOTER_BYTES as u64 {
            return Err(FrameError::Damaged("the footer is not at the end"));
        }
        let mut bytes = [0; FOOTER_BYTES];
        if let Some((head, rest)) = bytes.split_first_chunk_mut::<FRAME_BYTES>() {
            *head = begin;
            self.reader.read_exact(rest)?;
        }
        let footer = Footer::decode(&bytes).map_err(FrameError::Damaged)?;
        self.offset += FOOTER_BYTES as u64;
        Ok(Item::Footer(footer))
    }
}

/// Fields of a block whose last four bytes are its checksum.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn new(block: &'a [u8]) -> Result<Self, &'static str> {
        let (fields, crc) = block.split_last_chunk::<4>().ok_or("the block is cut off")?;
        if crc32fast::hash(fields) != u32::from_le_bytes(*crc) {
            return Err("the checksum does not match");
        }
        Ok(Self(fields))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or("the block is cut off")?;
        self.0 = rest;
        Ok(*field)
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, &'static str> {
        self.take().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Result<Timestamp, &'static str> {
        self.take().map(i64::from_le_bytes).map(Timestamp::from_micros)
    }
}

/// Writes `fields` one after the other, and gives the checksum of them.
fn fill(block: &mut [u8], fields: &[&[u8]]) -> u32 {
    let mut rest = block;
    let mut hasher = crc32fast::Hasher::new();
    for field in fields {
        hasher.update(field);
        let Some((place, after)) = rest.split_at_mut_checked(field.len()) else { break };
        place.copy_from_slice(field);
        rest = after;
    }
    hasher.finalize()
}

fn put_crc(block: &mut [u8], crc: u32) {
    if let Some(place) = block.last_chunk_mut::<4>() {
        *place = crc.to_le_bytes();
    }
}
