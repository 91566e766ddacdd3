//! A chain while it is written: who is next, and after whom.

use std::io::Write as _;

use crate::digest::Digest;
use crate::record::{ChainId, Sealed};

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

    /// The next record, from its body.
    pub(crate) fn seal(&mut self, body: &[u8]) -> &[u8] {
        self.bytes.clear();
        self.bytes.extend_from_slice(&self.prefix);
        let seq = self.head.seq + 1;
        // Writing to a vector does not fail.
        let _ = write!(self.bytes, "{seq}");
        self.bytes.extend_from_slice(b",\"prev\":\"");
        self.bytes.extend_from_slice(&self.head.digest.to_hex());
        self.bytes.extend_from_slice(b"\",");
        self.bytes.extend_from_slice(body);
        self.head = Head { seq, digest: Digest::of(&self.bytes) };
        &self.bytes
    }

    /// The last record that was given a place, as it is kept.
    pub(crate) fn sealed(&self) -> Sealed {
        Sealed { chain: self.chain, seq: self.head.seq, bytes: self.bytes.clone() }
    }
}
