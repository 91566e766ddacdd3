//! The change feed: how replicas learn of each other's writes.
//!
//! The feed has [`SHARDS`] shards. A shard's positions are handed out under a lock that the writing transaction holds until it
//! commits, so within a shard they become visible in order and a cursor never passes one that is still to come. A bare sequence
//! would not do: its values are handed out in one order and commit in another.
//!
//! Memories change by the thousand in a second, so those of one commit share a position in each shard, up to a limit.

use chaperone_policy::{ApprovalId, EntityRef, MemoryKey, SessionId};
use sha2::{Digest as _, Sha256};

/// How many shards the feed has. A constant of the schema: changing it needs a migration.
pub const SHARDS: usize = 16;

/// How far a reader has read: the last position seen, by shard.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cursor(pub [i64; SHARDS]);

/// What changed. It names the thing; its present state is loaded from the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Changed {
    /// A session was opened, renewed, completed or revoked.
    Session(SessionId),
    /// Another bundle was activated.
    ActiveBundle,
    /// A candidate began, was changed or ended.
    Candidates,
    /// Entities were put or deleted.
    Entity(EntityRef),
    /// A memory was committed with this version.
    Memory(MemoryKey, u64),
    /// An approval was asked for or answered.
    Approval(ApprovalId),
}

/// Changes after a cursor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Changes {
    /// What changed, in each shard's order. A thing that changed twice may be named twice. More than the limit when memories that
    /// were committed together, and so stand at one position, are the last.
    pub changed: Vec<Changed>,
    /// Where to read on from.
    pub cursor: Cursor,
    /// Whether the limit cut this batch, so that more is waiting.
    pub more: bool,
}

/// The shard of a tree's sessions.
pub(crate) fn shard_of_tree(tree: SessionId) -> i16 {
    // The last byte of a UUIDv7 is random. Shard 0 is for bundles and entities.
    let [.., last] = *tree.as_uuid().as_bytes();
    i16::from(last % 15) + 1
}

/// The shard of a memory whose key is written as `text`: the same in every program that writes to the feed.
///
/// By the key alone: a session's key does not tell its tree, so the two may be in different shards. Order among shards means nothing.
pub(crate) fn shard_of_memory(key: &MemoryKey, text: &str) -> i16 {
    match key {
        MemoryKey::Session(id) | MemoryKey::Tree(id) => shard_of_tree(*id),
        MemoryKey::Principal(_) => {
            let [first, ..] = <[u8; 32]>::from(Sha256::digest(text));
            i16::from(first % 15) + 1
        }
    }
}

/// The shard of bundles and entities.
pub(crate) const SHARD_OF_CONFIGURATION: i16 = 0;
