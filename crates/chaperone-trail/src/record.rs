//! A record: an event at its place in a chain.

use std::fmt;
use std::str::FromStr;

use chaperone_policy::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::digest::Digest;
use crate::event::Event;

/// A chain of records, which one replica writes: a UUIDv7, made where its journal begins.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct ChainId(Uuid);

impl ChainId {
    /// From a UUID that the caller made.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ChainId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}

/// A record, read.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Record {
    /// The chain that it stands in.
    pub chain: ChainId,
    /// Its place there, from 1, without gaps.
    pub seq: u64,
    /// SHA-256 of the bytes of the record before; [`Digest::ZERO`] at 1.
    pub prev: Digest,
    /// When it happened. Not the order: a decision is dated when it was made, and takes its place when it was written.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event<'static>,
}

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The bytes are no record.
    #[error("this is no record of a trail")]
    Malformed(#[source] serde_json::Error),
}

impl Record {
    /// From its bytes.
    ///
    /// # Errors
    /// When they are no record.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        serde_json::from_slice(bytes).map_err(RecordError::Malformed)
    }
}

/// A record as it is kept: its bytes, with what is needed to find its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealed {
    /// The chain that it stands in.
    pub chain: ChainId,
    /// Its place there.
    pub seq: u64,
    /// The bytes: one JSON object, without a line end.
    pub bytes: Vec<u8>,
}

impl Sealed {
    /// What the next record has as `prev`.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}
