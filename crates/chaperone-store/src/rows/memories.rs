//! The rows of `memories`.

use chaperone_policy::{Memory, MemoryKey};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::{corrupt, from_json, to_json};
use crate::error::StoreError;
use crate::store::StoredMemory;

const TABLE: &str = "memories";

/// A row of `memories`.
#[derive(Clone, Debug)]
pub(crate) struct MemoryRow {
    pub(crate) memory_key: String,
    pub(crate) version: i64,
    pub(crate) memory: String,
}

impl<'r, R> FromRow<'r, R> for MemoryRow
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            memory_key: row.try_get("memory_key")?,
            version: row.try_get("version")?,
            memory: row.try_get("memory")?,
        })
    }
}

impl TryFrom<MemoryRow> for StoredMemory {
    type Error = StoreError;

    fn try_from(row: MemoryRow) -> Result<Self, StoreError> {
        Ok(Self {
            key: loaded_key(&row.memory_key)?,
            version: u64::try_from(row.version).map_err(|error| corrupt(TABLE, &row.memory_key, error))?,
            memory: from_json::<Memory>(TABLE, &row.memory_key, &row.memory)?,
        })
    }
}

/// What a memory holds as it is stored.
pub(crate) fn stored_memory(key: &str, memory: &Memory) -> Result<String, StoreError> {
    to_json(TABLE, key, memory)
}

/// A memory's key from what is stored.
pub(crate) fn loaded_key(text: &str) -> Result<MemoryKey, StoreError> {
    MemoryKey::parse(text).map_err(|error| corrupt(TABLE, text, error))
}
