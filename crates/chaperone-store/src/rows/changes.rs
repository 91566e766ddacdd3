//! The rows of `changes`.

use chaperone_policy::{EntityRef, MemoryKey};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::{corrupt, from_json, to_json};
use crate::error::StoreError;
use crate::feed::Changed;

const TABLE: &str = "changes";
/// The kind of a row that names memories.
const MEMORIES: &str = "memories";
/// How many memories one row names at most, so that a reader who asks for so many rows knows how large they can be.
pub(crate) const MEMORIES_MAX: usize = 100;

/// A row of `changes`, within its shard.
#[derive(Clone, Debug)]
pub(crate) struct ChangeRow {
    pub(crate) position: i64,
    pub(crate) kind: String,
    pub(crate) key: String,
}

impl<'r, R> FromRow<'r, R> for ChangeRow
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self { position: row.try_get("position")?, kind: row.try_get("kind")?, key: row.try_get("key")? })
    }
}

impl ChangeRow {
    /// The change at a position.
    pub(crate) fn new(position: i64, changed: &Changed) -> Result<Self, StoreError> {
        let (kind, key) = match changed {
            Changed::Session(id) => ("session", id.to_string()),
            Changed::ActiveBundle => ("active_bundle", String::new()),
            Changed::Candidates => ("candidates", String::new()),
            Changed::Entity(uid) => ("entity", to_json(TABLE, "entity", uid)?),
            Changed::Approval(id) => ("approval", id.to_string()),
            Changed::Memory(key, version) => return Self::of_memories(position, &[(&key.to_string(), *version)]),
        };
        Ok(Self { position, kind: kind.to_owned(), key })
    }

    /// Memories that were committed together, at most [`MEMORIES_MAX`], by the text of their keys, each with its version.
    ///
    /// They share a row, because thousands may change in a second.
    pub(crate) fn of_memories(position: i64, memories: &[(&str, u64)]) -> Result<Self, StoreError> {
        Ok(Self { position, kind: MEMORIES.to_owned(), key: to_json(TABLE, MEMORIES, memories)? })
    }

    /// What changed: one thing at least.
    pub(crate) fn changed(&self) -> Result<Vec<Changed>, StoreError> {
        let changed = match self.kind.as_str() {
            "session" => {
                self.key.parse().map(Changed::Session).map_err(|error| corrupt(TABLE, self.position, error))?
            }
            "approval" => {
                self.key.parse().map(Changed::Approval).map_err(|error| corrupt(TABLE, self.position, error))?
            }
            "active_bundle" => Changed::ActiveBundle,
            "candidates" => Changed::Candidates,
            "entity" => Changed::Entity(from_json::<EntityRef>(TABLE, &self.position.to_string(), &self.key)?),
            MEMORIES => return self.memories(),
            other => return Err(corrupt(TABLE, self.position, format!("`{other}` is no kind of change"))),
        };
        Ok(vec![changed])
    }

    fn memories(&self) -> Result<Vec<Changed>, StoreError> {
        let memories: Vec<(MemoryKey, u64)> = from_json(TABLE, &self.position.to_string(), &self.key)?;
        if memories.is_empty() {
            return Err(corrupt(TABLE, self.position, "it names no memory"));
        }
        Ok(memories.into_iter().map(|(key, version)| Changed::Memory(key, version)).collect())
    }
}
