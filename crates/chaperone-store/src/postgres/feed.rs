//! `feed_shards` and `changes`.

use chaperone_policy::Timestamp;
use sqlx::{FromRow as _, PgConnection, Row as _};

use super::PostgresStore;
use super::transaction::Announce;
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::failure::Failure;
use crate::feed::{Changed, Changes, Cursor, SHARDS};
use crate::feed_page::{self, ShardState};
use crate::rows::{ChangeRow, corrupt};
use crate::stored_time::StoredTime;

/// How many changes one transaction removes.
const PRUNE_BATCH: i64 = 1_000;

/// Positions in one shard of the feed, which stays locked until the transaction ends.
pub(super) struct Reserved {
    shard: i16,
    next: i64,
}

/// Locks a shard and takes `count` positions in it; those that stay unused leave a gap, which means nothing.
///
/// INVARIANT (lock order): a transaction locks its shards first, in ascending order, and rows of other tables after them. Only rows of
/// `memories` come before: see `postgres/memories.rs`.
pub(super) async fn reserve(connection: &mut PgConnection, shard: i16, count: usize) -> Result<Reserved, Failure> {
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
        connection: &mut PgConnection,
        changed: &[Changed],
        at: Timestamp,
    ) -> Result<(), Failure> {
        let rows: Vec<ChangeRow> = (self.next..)
            .zip(changed)
            .map(|(position, changed)| ChangeRow::new(position, changed))
            .collect::<Result<_, _>>()?;
        let positions: Vec<i64> = rows.iter().map(|row| row.position).collect();
        let kinds: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        sqlx::query(
            "INSERT INTO changes (shard, position, kind, key, changed_at)
            SELECT $1, position, kind, key, $5
            FROM UNNEST($2::bigint[], $3::text[], $4::text[]) AS new (position, kind, key)",
        )
        .bind(self.shard)
        .bind(positions)
        .bind(kinds)
        .bind(keys)
        .bind(StoredTime(at))
        .execute(connection)
        .await?;
        Ok(())
    }
}

pub(super) async fn end(store: &PostgresStore) -> Result<Cursor, StoreError> {
    let rows: Vec<(i16, i64, i64)> = store
        .read("feed_end", |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_as(
                    "SELECT shard, position, pruned_through
                    FROM feed_shards",
                )
                .fetch_all(connection)
                .await?)
            })
        })
        .await?;
    let states: Vec<ShardState> = rows
        .into_iter()
        .map(|(shard, position, pruned_through)| ShardState { shard, position, pruned_through })
        .collect();
    feed_page::end_of(&states)
}

pub(super) async fn changes(store: &PostgresStore, cursor: &Cursor, limit: u32) -> Result<Changes, StoreError> {
    let limit = feed_page::batch(limit);
    let rows = store
        .read("changes", |Attempt { connection, .. }| {
            Box::pin(async move {
                // One statement, so one snapshot: how far the shards are pruned must not be older than what is read of them.
                let rows = sqlx::query(
                    "SELECT feed_shards.shard, feed_shards.position AS shard_position, feed_shards.pruned_through,
                        unread.position, unread.kind, unread.key
                    FROM feed_shards
                    JOIN UNNEST($1::smallint[], $2::bigint[]) AS cursor (shard, position)
                        ON cursor.shard = feed_shards.shard
                    LEFT JOIN LATERAL (
                        SELECT changes.position, changes.kind, changes.key
                        FROM changes
                        WHERE changes.shard = cursor.shard AND changes.position > cursor.position
                        ORDER BY changes.position
                        LIMIT $3
                    ) AS unread ON TRUE
                    ORDER BY feed_shards.shard, unread.position",
                )
                .bind((0_i16..).take(SHARDS).collect::<Vec<_>>())
                .bind(cursor.0.to_vec())
                .bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1))
                .fetch_all(connection)
                .await?;
                Ok(rows)
            })
        })
        .await?;
    page(cursor, &rows, limit).map_err(StoreError::from)
}

fn page(cursor: &Cursor, rows: &[sqlx::postgres::PgRow], limit: usize) -> Result<Changes, Failure> {
    let mut states: Vec<ShardState> = Vec::with_capacity(SHARDS);
    let mut unread: [Vec<ChangeRow>; SHARDS] = std::array::from_fn(|_| Vec::new());
    for row in rows {
        let state = ShardState {
            shard: row.try_get("shard")?,
            position: row.try_get("shard_position")?,
            pruned_through: row.try_get("pruned_through")?,
        };
        if states.last() != Some(&state) {
            states.push(state);
        }
        let slot = usize::try_from(state.shard).ok().and_then(|shard| unread.get_mut(shard));
        if let (Some(slot), Some(_)) = (slot, row.try_get::<Option<i64>, _>("position")?) {
            slot.push(ChangeRow::from_row(row)?);
        }
    }
    feed_page::require_readable(cursor, &states)?;
    Ok(feed_page::page_of(cursor, &unread, limit)?)
}

pub(super) async fn prune(store: &PostgresStore, before: Timestamp) -> Result<u64, StoreError> {
    let mut pruned = 0;
    for shard in (0_i16..).take(SHARDS) {
        loop {
            let count = prune_batch(store, shard, before).await?;
            pruned += u64::try_from(count).unwrap_or(0);
            if count < usize::try_from(PRUNE_BATCH).unwrap_or(usize::MAX) {
                break;
            }
        }
    }
    Ok(pruned)
}

async fn prune_batch(store: &PostgresStore, shard: i16, before: Timestamp) -> Result<usize, StoreError> {
    store
        .transaction("prune_changes", Announce::Nothing, move |Attempt { connection, .. }| {
            Box::pin(async move {
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
                // Last, so that writers wait for the shard only while this commits.
                sqlx::query(
                    "UPDATE feed_shards
                    SET pruned_through = GREATEST(pruned_through, $2)
                    WHERE shard = $1",
                )
                .bind(shard)
                .bind(last)
                .execute(connection)
                .await?;
                Ok(positions.len())
            })
        })
        .await
}
