//! A segment read from its first byte to its last: what it holds, and whether it may be trusted.

use crate::chain::{Follower, Head};

use super::frame::{self, FOOTER_BYTES, Footer, FrameError, FrameReader, HEADER_BYTES, Header, Item, TimeRange};

/// What a segment holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Scan {
    pub header: Header,
    /// The last record, or the one before the segment.
    pub head: Head,
    pub count: u64,
    pub range: TimeRange,
    /// How much of it is whole, in bytes.
    pub length: u64,
    /// Whether it has its footer.
    pub sealed: bool,
    /// What follows, in bytes: the rest of a write that nobody was told was durable.
    pub torn: u64,
    /// What follows that, in bytes: zeros, which were there before anything was written.
    pub room: u64,
}

/// A segment that cannot be trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Damage {
    /// Where in it.
    pub offset: u64,
    pub problem: &'static str,
}

/// Reads a whole segment.
///
/// What is broken at the end is `torn`. That is not the same as broken in the middle: each frame says how much was durable before the
/// write that it is part of. Where a whole frame says that what is broken had been durable, something was changed.
///
/// # Errors
/// Where it is broken.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scan, Damage> {
    let total = bytes.len() as u64;
    let (header, frames) =
        bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Damage { offset: 0, problem: "the header is cut off" })?;
    let header = Header::decode(header).map_err(|problem| Damage { offset: 0, problem })?;
    let mut reader = FrameReader::new(frames, HEADER_BYTES as u64);
    let mut follower = Follower::new(header.chain, header.before);
    let mut scan = Scan {
        header,
        head: header.before,
        count: 0,
        range: TimeRange::EMPTY,
        length: HEADER_BYTES as u64,
        sealed: false,
        torn: 0,
        room: 0,
    };
    loop {
        let offset = reader.offset();
        match reader.advance(total) {
            Ok(Item::Record) => {
                let at = follower
                    .follow(reader.record())
                    .ok_or(Damage { offset, problem: "the record does not follow the one before it" })?;
                scan.head = follower.head();
                scan.count += 1;
                scan.range.add(at);
                scan.length = reader.offset();
            }
            Ok(Item::Footer(footer)) => {
                let expected = Footer { count: scan.count, range: scan.range, digest: scan.head.digest };
                if footer != expected {
                    return Err(Damage { offset, problem: "the footer is of other records" });
                }
                scan.length = reader.offset();
                scan.sealed = true;
                return Ok(scan);
            }
            Ok(Item::End) => return Ok(scan),
            Err(FrameError::Damaged(problem)) => {
                let written = without_room(bytes);
                if has_footer(bytes) || was_durable(written, offset) {
                    return Err(Damage { offset, problem });
                }
                scan.torn = (written.len() as u64).saturating_sub(scan.length);
                scan.room = total - scan.length - scan.torn;
                return Ok(scan);
            }
            // Bytes in memory do not fail but by ending, which `advance` knows.
            Err(FrameError::Io(_)) => return Err(Damage { offset, problem: "the frame is cut off" }),
        }
    }
}

/// What was written of a segment. No record ends with a zero.
fn without_room(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or_default()
}

fn has_footer(bytes: &[u8]) -> bool {
    bytes.last_chunk::<FOOTER_BYTES>().is_some_and(|footer| Footer::decode(footer).is_ok())
}

/// Whether something behind `offset` says that it had been durable.
fn was_durable(bytes: &[u8], offset: u64) -> bool {
    let begin = usize::try_from(offset).unwrap_or(usize::MAX);
    // A record cannot look like this by chance: JSON has no zero bytes. Whoever made it look like this must not keep us busy.
    let mut patience = bytes.len().saturating_mul(4);
    for (at, place) in (begin + 1..bytes.len()).zip(offset + 1..) {
        let (found, cost) = frame::later_frame(bytes.get(at..).unwrap_or_default(), place, offset);
        if found || cost > patience {
            return true;
        }
        patience -= cost;
    }
    false
}
