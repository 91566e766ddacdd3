//! `feed_shards` and `changes`.

use chaperone_policy::Timestamp;
use sqlx::SqliteConnection;

use super::EmbeddedStore;
use super::transaction::Announce;
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::failure::Failure;
use crate::feed::{Changed, Changes, Cursor, SHARDS};
use crate::feed_page::{self, ShardState};
use crate::rows::{ChangeRow, MEMORIES_MAX, corrupt};
use crate::stored_time::StoredTime;

/// How many changes one transaction removes, so that others get their turn.
const PRUNE_BATCH: i64 = 1_000;

/// Positions in one shard of the feed.
pub(super) struct Reserved {
    shard: i16,
    next: i64,
}

/// Takes `count` positions in a shard; those that stay unused leave a gap, which means nothing.
pub(super) async fn reserve(connection: &mut SqliteConnection, shard: i16, count: usize) -> Result<Reserved, Failure> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let position: Option<i64> = sqlx::query_scalar(
        "UPDATE feed_shards
        SET position = position + $2
        WHERE shard = $1
        RETURNING position",
    )
    .bind(shard)
    .bind(count)
    .fetch_optional(connection)
    .await?;
    let last = position.ok_or_else(|| corrupt("feed_shards", shard, "the shard is missing"))?;
    Ok(Reserved { shard, next: last - count + 1 })
}

impl Reserved {
    /// The first of the positions.
    pub(super) fn first(&self) -> i64 {
        self.next
    }

    /// Writes changes at the positions, from the first on.
    pub(super) async fn append(
        self,
        connection: &mut SqliteConnection,
        changed: &[Changed],
        at: Timestamp,
    ) -> Result<(), Failure> {
        for (position, changed) in (self.next..).zip(changed) {
            self.write(connection, ChangeRow::new(position, changed)?, at).await?;
        }
        Ok(())
    }

    /// Names memories, by the text of their keys, in as few rows as can be; [`rows_of_memories`] says how many positions that takes.
    pub(super) async fn append_memories(
        self,
        connection: &mut SqliteConnection,
        memories: &[(&str, u64)],
        at: Timestamp,
    ) -> Result<(), Failure> {
        for (position, memories) in (self.next..).zip(memories.chunks(MEMORIES_MAX)) {
            self.write(connection, ChangeRow::of_memories(position, memories)?, at).await?;
        }
        Ok(())
    }

    async fn write(&self, connection: &mut SqliteConnection, row: ChangeRow, at: Timestamp) -> Result<(), Failure> {
        sqlx::query(
            "INSERT INTO changes (shard, position, kind, key, changed_at)
                VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(self.shard)
        .bind(row.position)
        .bind(row.kind)
        .bind(row.key)
        .bind(StoredTime(at))
        .execute(&mut *connection)
        .await?;
        Ok(())
    }
}

/// How many rows so many memories take.
pub(super) fn rows_of_memories(count: usize) -> usize {
    count.div_ceil(MEMORIES_MAX)
}

async fn states(connection: &mut SqliteConnection) -> Result<Vec<ShardState>, Failure> {
    let rows: Vec<(i16, i64, i64)> = sqlx::query_as(
        "SELECT shard, position, pruned_through
        FROM feed_shards",
    )
    .fetch_all(connection)
    .await?;
    let state = |(shard, position, pruned_through)| ShardState { shard, position, pruned_through };
    Ok(rows.into_iter().map(state).collect())
}

pub(super) async fn end(store: &EmbeddedStore) -> Result<Cursor, StoreError> {
    let states = store.read(|Attempt { connection, .. }| Box::pin(async move { states(connection).await })).await?;
    feed_page::end_of(&states)
}

pub(super) async fn changes(store: &EmbeddedStore, cursor: &Cursor, limit: u32) -> Result<Changes, StoreError> {
    let limit = feed_page::batch(limit);
    store
        .read(move |Attempt { connection, .. }| {
            Box::pin(async move {
                let states = states(connection).await?;
                feed_page::require_readable(cursor, &states)?;
                let end = feed_page::end_of(&states)?;
                let mut unread: [Vec<ChangeRow>; SHARDS] = std::array::from_fn(|_| Vec::new());
                for (((shard, slot), read), end) in (0_i16..).zip(unread.iter_mut()).zip(cursor.0).zip(end.0) {
                    if read < end {
                        *slot = unread_of(connection, shard, read, limit).await?;
                    }
                }
                Ok(feed_page::page_of(cursor, &unread, limit)?)
            })
        })
        .await
}

async fn unread_of(
    connection: &mut SqliteConnection,
    shard: i16,
    read: i64,
    limit: usize,
) -> Result<Vec<ChangeRow>, Failure> {
    Ok(sqlx::query_as(
        "SELECT position, kind, key
        FROM changes
        WHERE shard = $1 AND position > $2
        ORDER BY position
        LIMIT $3",
    )
    .bind(shard)
    .bind(read)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1))
    .fetch_all(connection)
    .await?)
}

pub(super) async fn prune(store: &EmbeddedStore, before: Timestamp) -> Result<u64, StoreError> {
    let mut pruned = 0;
    for shard in (0_i16..).take(SHARDS) {
        loop {
            let count = store
                .transaction(Announce::Nothing, move |Attempt { connection, .. }| {
                    Box::pin(async move { prune_batch(connection, shard, before).await })
                })
                .await?;
            pruned += u64::try_from(count).unwrap_or(0);
            if count < usize::try_from(PRUNE_BATCH).unwrap_or(usize::MAX) {
                break;
            }
        }
    }
    Ok(pruned)
}

async fn prune_batch(connection: &mut SqliteConnection, shard: i16, before: Timestamp) -> Result<usize, Failure> {
    let positions: Vec<i64> = sqlx::query_scalar(
        "DELETE FROM changes
        WHERE shard = $1 AND position IN (
            SELECT position
            FROM changes
            WHERE shard = $1 AND changed_at < $2
            ORDER BY changed_at
            LIMIT $3
        )
        RETURNING position",
    )
    .bind(shard)
    .bind(StoredTime(before))
    .bind(PRUNE_BATCH)
    .fetch_all(&mut *connection)
    .await?;
    let Some(last) = positions.iter().max() else { return Ok(0) };
    sqlx::query(
        "UPDATE feed_shards
        SET pruned_through = MAX(pruned_through, $2)
        WHERE shard = $1",
    )
    .bind(shard)
    .bind(last)
    .execute(connection)
    .await?;
    Ok(positions.len())
}
