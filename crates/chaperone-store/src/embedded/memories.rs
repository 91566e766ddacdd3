//! `memories`.

use std::collections::{BTreeMap, BTreeSet};

use chaperone_policy::{MemoryKey, Timestamp};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::EmbeddedStore;
use super::feed::{reserve, rows_of_memories};
use super::transaction::Announce;
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::failure::Failure;
use crate::rows::{MemoryRow, loaded_key};
use crate::store::{Committed, StoredMemory, Transition};
use crate::stored_time::StoredTime;
use crate::transitions::{Changed, Write, in_order_of, nothing_of, outcomes, writes_of};

/// How many rows one statement reads or writes. Each takes up to four of its 32,766 parameters.
const ROWS_MAX: usize = 1_000;

pub(super) async fn of(store: &EmbeddedStore, keys: &[MemoryKey]) -> Result<Vec<StoredMemory>, StoreError> {
    let texts = &keys.iter().map(MemoryKey::to_string).collect::<Vec<_>>();
    let rows = store
        .read(move |Attempt { connection, .. }| {
            Box::pin(async move { stored(connection, texts.iter().map(String::as_str)).await })
        })
        .await?;
    let stored = rows.into_iter().map(StoredMemory::try_from).collect::<Result<_, _>>()?;
    Ok(in_order_of(keys, stored))
}

pub(super) async fn commit(
    store: &EmbeddedStore,
    transitions: &[Transition],
    at: Timestamp,
) -> Result<Vec<Committed>, StoreError> {
    let writes = &writes_of(transitions)?;
    if writes.is_empty() {
        return Ok(outcomes(transitions, Vec::new()));
    }
    let changed = store
        .transaction(Announce::Here, move |Attempt { connection, .. }| {
            Box::pin(async move { write_all(connection, writes, at).await })
        })
        .await?;
    // Here a memory without a row can be written: it has none because nothing of it was stored yet.
    Ok(outcomes(transitions, changed.into_iter().map(Changed::Stored).collect()))
}

/// Writes one memory within a transaction. Returns the memory as it is stored where that is not the version that was read; nothing is
/// written then.
pub(super) async fn commit_one(
    connection: &mut SqliteConnection,
    memory: &StoredMemory,
    at: Timestamp,
) -> Result<Option<StoredMemory>, Failure> {
    let writes = writes_of(&[Transition { writes: vec![memory.clone()], reads: Vec::new() }])?;
    Ok(write_all(connection, &writes, at).await?.pop())
}

/// Writes all of each transition whose memories are all at the versions that were read, and names them in the feed. Returns the
/// memories of the others that are not.
async fn write_all(
    connection: &mut SqliteConnection,
    writes: &[Write],
    at: Timestamp,
) -> Result<Vec<StoredMemory>, Failure> {
    // Nothing runs beside this transaction, so what is read here stays true.
    let rows = stored(connection, writes.iter().map(|write| write.key.as_str())).await?;
    let stored: BTreeMap<String, MemoryRow> = rows.into_iter().map(|row| (row.memory_key.clone(), row)).collect();
    let (mut changed, mut refused) = (Vec::new(), BTreeSet::new());
    for write in writes {
        let row = stored.get(&write.key);
        if row.map_or(0, |row| row.version) != write.version {
            refused.insert(write.transition);
            changed.push(row.cloned().map_or_else(|| loaded_key(&write.key).map(nothing_of), StoredMemory::try_from)?);
        }
    }
    let is_written = |write: &&Write| write.memory.is_some() && !refused.contains(&write.transition);
    let writes: Vec<&Write> = writes.iter().filter(is_written).collect();
    store_all(connection, &writes, at).await?;
    name_all(connection, &writes, at).await?;
    Ok(changed)
}

async fn stored(
    connection: &mut SqliteConnection,
    keys: impl Iterator<Item = &str> + Send,
) -> Result<Vec<MemoryRow>, Failure> {
    let keys: Vec<&str> = keys.collect();
    let mut rows = Vec::new();
    for keys in keys.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT memory_key, version, memory
            FROM memories
            WHERE memory_key IN (",
        );
        let mut list = query.separated(", ");
        for key in keys {
            list.push_bind(*key);
        }
        query.push(")");
        // As many texts as there are lengths: not worth to be kept.
        rows.extend(query.build_query_as().persistent(false).fetch_all(&mut *connection).await?);
    }
    Ok(rows)
}

async fn store_all(connection: &mut SqliteConnection, writes: &[&Write], at: Timestamp) -> Result<(), Failure> {
    for writes in writes.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO memories (memory_key, version, memory, updated_at) ");
        query.push_values(writes, |mut row, write| {
            row.push_bind(write.key.as_str()).push_bind(write.version.saturating_add(1));
            row.push_bind(write.memory.as_deref()).push_bind(StoredTime(at));
        });
        query.push(
            " ON CONFLICT (memory_key) DO UPDATE
            SET version = EXCLUDED.version, memory = EXCLUDED.memory, updated_at = EXCLUDED.updated_at",
        );
        query.build().persistent(false).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn name_all(connection: &mut SqliteConnection, writes: &[&Write], at: Timestamp) -> Result<(), Failure> {
    let mut by_shard: BTreeMap<i16, Vec<(&str, u64)>> = BTreeMap::new();
    for write in writes {
        let version = u64::try_from(write.version).unwrap_or(0).saturating_add(1);
        by_shard.entry(write.shard).or_default().push((&write.key, version));
    }
    for (shard, memories) in by_shard {
        let reserved = reserve(connection, shard, rows_of_memories(memories.len())).await?;
        reserved.append_memories(connection, &memories, at).await?;
    }
    Ok(())
}
