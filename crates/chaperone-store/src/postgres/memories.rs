//! `memories`.

use chaperone_policy::{MemoryKey, Timestamp};
use sqlx::PgConnection;

use super::PostgresStore;
use super::transaction::Announce;
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::failure::Failure;
use crate::rows::{MEMORIES_MAX, MemoryRow, loaded_key};
use crate::store::{Committed, StoredMemory, Transition};
use crate::stored_time::StoredTime;
use crate::transitions::{Changed, Write, in_order_of, outcomes, writes_of};

pub(super) async fn of(store: &PostgresStore, keys: &[MemoryKey]) -> Result<Vec<StoredMemory>, StoreError> {
    let texts = &keys.iter().map(MemoryKey::to_string).collect::<Vec<_>>();
    let rows: Vec<MemoryRow> = store
        .read("memories", move |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_as(
                    "SELECT memory_key, version, memory
                    FROM memories
                    WHERE memory_key = ANY($1) AND version > 0",
                )
                .bind(texts)
                .fetch_all(connection)
                .await?)
            })
        })
        .await?;
    let stored = rows.into_iter().map(StoredMemory::try_from).collect::<Result<_, _>>()?;
    Ok(in_order_of(keys, stored))
}

pub(super) async fn commit(
    store: &PostgresStore,
    transitions: &[Transition],
    at: Timestamp,
) -> Result<Vec<Committed>, StoreError> {
    let writes = &writes_of(transitions)?;
    if writes.is_empty() {
        return Ok(outcomes(transitions, Vec::new()));
    }
    let fresh = &writes.iter().filter(|write| write.version == 0).map(|write| write.key.as_str()).collect::<Vec<_>>();
    let notify = store.notifications;
    let changed = if store.pooler {
        // A pooler may prepare and run a statement on two servers, unless it is in a transaction.
        store
            .transaction("commit_memories", Announce::Here, move |Attempt { connection, .. }| {
                Box::pin(async move {
                    make_lockable(connection, fresh, at, false).await?;
                    write(connection, writes, at, notify).await
                })
            })
            .await?
    } else {
        // Two transactions, so that the first is not held open for the second: alone, it does nothing that anyone can see.
        if !fresh.is_empty() {
            store
                .statement("make_memories_lockable", Announce::Nothing, move |Attempt { connection, .. }| {
                    Box::pin(async move { make_lockable(connection, fresh, at, true).await })
                })
                .await?;
        }
        store
            .statement("commit_memories", Announce::Here, move |Attempt { connection, .. }| {
                Box::pin(async move { write(connection, writes, at, notify).await })
            })
            .await?
    };
    let changed = changed.into_iter().filter_map(stored_now).collect::<Result<_, _>>()?;
    Ok(outcomes(transitions, changed))
}

/// Writes one memory within a transaction whose locks come after: the row, then its shard of the feed. Returns the memory as it is
/// stored where that is not the version that was read; nothing is written then.
pub(super) async fn commit_one(
    connection: &mut PgConnection,
    memory: &StoredMemory,
    at: Timestamp,
) -> Result<Option<StoredMemory>, Failure> {
    let writes = writes_of(&[Transition { writes: vec![memory.clone()], reads: Vec::new() }])?;
    make_lockable(connection, &writes.iter().map(|write| write.key.as_str()).collect::<Vec<_>>(), at, false).await?;
    let changed = write(connection, &writes, at, false).await?;
    Ok(changed.into_iter().find_map(stored_now).transpose()?.map(StoredMemory::from))
}

/// A memory that is not as it was read: its key, and its version and text, if it has a row. Without a key: a notification was sent.
type ChangedRow = (Option<String>, Option<i64>, Option<String>);

fn stored_now((key, version, memory): ChangedRow) -> Option<Result<Changed, StoreError>> {
    let memory_key = key?;
    Some(match (version, memory) {
        (Some(version), Some(memory)) => MemoryRow { memory_key, version, memory }.try_into().map(Changed::Stored),
        _ => loaded_key(&memory_key).map(Changed::Missing),
    })
}

/// Gives each of these keys a row, if it has none: what is not there cannot be locked, and two could write it at once.
///
/// In the order of keys: two that insert the same ones wait for each other. As a transaction of its own it need not reach the disk
/// before it is answered (`relaxed`): what is committed after it takes it along, and nothing else is lost with it. A crash between the two
/// loses the row, and what is written then is a conflict ([`Changed::Missing`]).
async fn make_lockable(
    connection: &mut PgConnection,
    keys: &[&str],
    at: Timestamp,
    relaxed: bool,
) -> Result<(), Failure> {
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "WITH setting AS MATERIALIZED (
            SELECT SET_CONFIG('synchronous_commit', 'off', TRUE)
            WHERE $3
        )
        INSERT INTO memories (memory_key, version, memory, updated_at)
        SELECT fresh.memory_key, 0, '{}', $2
        FROM UNNEST($1::text[]) AS fresh (memory_key)
        LEFT JOIN setting ON TRUE
        ORDER BY fresh.memory_key COLLATE \"C\"
        ON CONFLICT (memory_key) DO NOTHING",
    )
    .bind(keys)
    .bind(StoredTime(at))
    .bind(relaxed)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes all of each transition whose memories are all at the versions that were read, and names them in the feed. Returns the
/// memories of the others that are not.
///
/// One statement, so one round trip, and the shards of the feed, which whoever else writes to it must wait for, are locked only while
/// it commits.
///
/// INVARIANT (lock order): rows of `memories` first, in the order of keys, then shards, ascending. Whoever locks shards first never
/// asks for rows of `memories`.
async fn write(
    connection: &mut PgConnection,
    writes: &[Write],
    at: Timestamp,
    notify: bool,
) -> Result<Vec<ChangedRow>, Failure> {
    Ok(sqlx::query_as(WRITE)
        .bind(writes.iter().map(|write| write.transition).collect::<Vec<_>>())
        .bind(writes.iter().map(|write| write.key.as_str()).collect::<Vec<_>>())
        .bind(writes.iter().map(|write| write.version).collect::<Vec<_>>())
        .bind(writes.iter().map(|write| write.memory.as_deref()).collect::<Vec<_>>())
        .bind(writes.iter().map(|write| write.shard).collect::<Vec<_>>())
        .bind(StoredTime(at))
        .bind(i64::try_from(MEMORIES_MAX).unwrap_or(i64::MAX))
        .bind(notify)
        .fetch_all(connection)
        .await?)
}

/// Why it is right where others commit meanwhile (READ COMMITTED): every part of a statement reads the snapshot from its beginning,
/// which may be older than what is locked. Three things see past it. `FOR UPDATE` waits, and returns the row as it was committed last,
/// so `stored` is the truth until this commits. `UPDATE` changes that same last row, however it is found: found by its key, which never
/// changes. Its condition must name nothing else of the row, since that would be looked up in the snapshot first: versions are compared
/// in `judged`, with `stored`. And `position + pages` is computed from the row as it was committed last.
const WRITE: &str = "
    WITH wanted AS MATERIALIZED (
        SELECT transition, memory_key, version, memory, shard
        FROM UNNEST($1::integer[], $2::text[], $3::bigint[], $4::text[], $5::smallint[])
            AS wanted (transition, memory_key, version, memory, shard)
    ),
    stored AS MATERIALIZED (
        SELECT memory_key, version, memory
        FROM memories
        WHERE memory_key = ANY($2)
        ORDER BY memory_key
        FOR UPDATE
    ),
    judged AS MATERIALIZED (
        SELECT wanted.transition, BOOL_AND(stored.version IS NOT DISTINCT FROM wanted.version) AS holds
        FROM wanted
        LEFT JOIN stored ON stored.memory_key = wanted.memory_key
        GROUP BY wanted.transition
    ),
    written AS (
        UPDATE memories
        SET version = wanted.version + 1, memory = wanted.memory, updated_at = $6
        FROM wanted
        JOIN judged ON judged.transition = wanted.transition
        WHERE memories.memory_key = wanted.memory_key AND wanted.memory IS NOT NULL AND judged.holds
        RETURNING wanted.shard, memories.memory_key, memories.version
    ),
    numbered AS (
        SELECT shard, memory_key, version,
            (ROW_NUMBER() OVER (PARTITION BY shard ORDER BY memory_key) - 1) / $7 AS place
        FROM written
    ),
    news AS MATERIALIZED (
        SELECT shard, place, JSON_AGG(JSON_BUILD_ARRAY(memory_key, version) ORDER BY memory_key)::text AS key
        FROM numbered
        GROUP BY shard, place
    ),
    needed AS MATERIALIZED (
        SELECT shard, COUNT(*) AS count
        FROM news
        GROUP BY shard
    ),
    locked AS MATERIALIZED (
        SELECT shard
        FROM feed_shards
        WHERE shard IN (SELECT shard FROM needed)
        ORDER BY shard
        FOR UPDATE
    ),
    reserved AS (
        UPDATE feed_shards
        SET position = feed_shards.position + needed.count
        FROM needed
        JOIN locked ON locked.shard = needed.shard
        WHERE feed_shards.shard = needed.shard
        RETURNING feed_shards.shard, feed_shards.position - needed.count AS before
    ),
    appended AS (
        INSERT INTO changes (shard, position, kind, key, changed_at)
        SELECT news.shard, reserved.before + news.place + 1, 'memories', news.key, $6
        FROM news
        LEFT JOIN reserved ON reserved.shard = news.shard -- a shard that is missing has no position: an error, and nothing is written
        RETURNING shard
    )
    SELECT wanted.memory_key, stored.version, stored.memory
    FROM wanted
    LEFT JOIN stored ON stored.memory_key = wanted.memory_key
    WHERE stored.version IS DISTINCT FROM wanted.version
    UNION ALL
    SELECT NULL, NULL, PG_NOTIFY('chaperone_changes', '')::text
    WHERE $8 AND EXISTS (SELECT FROM appended)";
