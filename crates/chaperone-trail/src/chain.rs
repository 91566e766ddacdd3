//! A chain while it is written: who is next, and after whom.

use std::io::Write as _;

use chaperone_policy::Timestamp;

use crate::digest::Digest;
use crate::record::ChainId;

/// Where a chain has got to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Head {
    /// The place of the last record; 0 before the first.
    pub seq: u64,
    /// Its digest; [`Digest::ZERO`] before the first.
    pub digest: Digest,
}

/// Gives bodies of records their places in one chain.
#[derive(Debug)]
pub struct Chainer {
    chain: ChainId,
    head: Head,
    /// `{"chain":"…","seq":`
    prefix: Vec<u8>,
    /// The last record.
    bytes: Vec<u8>,
}

impl Chainer {
    /// Goes on after `head`.
    pub fn new(chain: ChainId, head: Head) -> Self {
        Self { chain, head, prefix: format!("{{\"chain\":\"{chain}\",\"seq\":").into_bytes(), bytes: Vec::new() }
    }

    /// The chain.
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// The last record that was given a place.
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Goes back to `head`, because what came after it is not kept.
    pub(crate) const fn rewind(&mut self, head: Head) {
        self.head = head;
    }

    /// The next record, from its [body](crate::encode_body).
    pub fn seal(&mut self, body: &[u8]) -> &[u8] {
        self.begin();
        self.bytes.extend_from_slice(body);
        self.head = Head { seq: self.head.seq + 1, digest: Digest::of(&self.bytes) };
        &self.bytes
    }

    /// The bytes of the last record that was given a place.
    pub(crate) fn last(&self) -> &[u8] {
        &self.bytes
    }

    /// What the next record has before its body.
    fn begin(&mut self) -> &[u8] {
        self.bytes.clear();
        self.bytes.extend_from_slice(&self.prefix);
        // Writing to a vector does not fail.
        let _ = write!(self.bytes, "{}", self.head.seq + 1);
        self.bytes.extend_from_slice(b",\"prev\":\"");
        self.bytes.extend_from_slice(&self.head.digest.to_hex());
        self.bytes.extend_from_slice(b"\",");
        &self.bytes
    }
}

/// Follows a chain that was written, record by record.
#[derive(Debug)]
pub(crate) struct Follower {
    chainer: Chainer,
}

impl Follower {
    /// After `head`.
    pub fn new(chain: ChainId, head: Head) -> Self {
        Self { chainer: Chainer::new(chain, head) }
    }

    /// The last record.
    pub fn head(&self) -> Head {
        self.chainer.head
    }

    /// Whether `record` begins as the next one does that [`Chainer`] writes, and when it happened.
    pub fn follow(&mut self, record: &[u8]) -> Option<Timestamp> {
        let expected = self.chainer.begin();
        let body = record.strip_prefix(expected)?.strip_prefix(b"\"at\":")?;
        let digits = body.split(|byte| *byte == b',').next()?;
        let at = std::str::from_utf8(digits).ok()?.parse().ok()?;
        self.chainer.head = Head { seq: self.chainer.head.seq + 1, digest: Digest::of(record) };
        Some(Timestamp::from_micros(at))
    }
}
