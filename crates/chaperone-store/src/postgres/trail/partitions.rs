//! Partitions of `trail_records`: a day each, made ahead and dropped when it is past its retention.
//!
//! INVARIANT (lock order): rows of `trail_chains`, in the order of their ids; then `trail_records` itself; then its default partition; then
//! others. Those who append lock their chain's row first as well, and take no more of the tables than the database does by itself.

use std::collections::BTreeSet;

use chaperone_policy::Timestamp;
use sqlx::{AssertSqlSafe, PgConnection};

use super::super::PostgresStore;
use super::super::transaction::settle;
use super::days::Day;
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::failure::Failure;
use crate::stored_time::StoredTime;
use crate::trail::{TrailMaintained, TrailRetention};

/// How many days are made at once at most, beside those ahead: clocks that went astray may have dated records in any year.
const STRAY_DAYS_MAX: usize = 64;
/// How many records that came too late one transaction removes.
const REMOVE_BATCH: i64 = 10_000;

pub(super) async fn maintain(
    store: &PostgresStore,
    wanted: &TrailRetention,
    now: Timestamp,
) -> Result<TrailMaintained, StoreError> {
    let today = Day::of(now).ok_or_else(|| StoreError::Unavailable("the clock is astray".into()))?;
    let after_last = today.plus(i32::from(wanted.days_ahead).saturating_add(1));
    let first_kept = wanted.days_kept.map(|days| today.plus(-i32::from(days)));
    let mut maintained = TrailMaintained::default();
    let known = days(store).await?;
    let mut missing = today;
    while missing < after_last {
        if !known.contains(&missing) {
            create(store, missing, &mut maintained).await?;
        }
        missing = missing.plus(1);
    }
    // Before what is misplaced is looked for, so that no day is made that would be dropped again.
    if let Some(first_kept) = first_kept {
        remove_late(store, first_kept, &mut maintained).await?;
        for day in known.into_iter().filter(|day| *day < first_kept) {
            drop_day(store, day, first_kept, &mut maintained).await?;
        }
    }
    for _ in 0..STRAY_DAYS_MAX {
        let Some(day) = misplaced(store, after_last).await? else { break };
        create(store, day, &mut maintained).await?;
    }
    Ok(maintained)
}

/// The days that have a partition.
async fn days(store: &PostgresStore) -> Result<BTreeSet<Day>, StoreError> {
    store.read("trail_days", |Attempt { connection, .. }| Box::pin(async move { days_in(connection).await })).await
}

async fn days_in(connection: &mut PgConnection) -> Result<BTreeSet<Day>, Failure> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT pg_class.relname::text
        FROM pg_inherits
        JOIN pg_class ON pg_class.oid = pg_inherits.inhrelid
        WHERE pg_inherits.inhparent = 'trail_records'::regclass",
    )
    .fetch_all(connection)
    .await?;
    Ok(names.iter().filter_map(|name| Day::of_partition(name)).collect())
}

/// The day of the oldest record that waits in the default partition and is not dated later than the days that are made.
async fn misplaced(store: &PostgresStore, after_last: Day) -> Result<Option<Day>, StoreError> {
    let at: Option<StoredTime> = store
        .read("misplaced_trail", move |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_scalar(
                    "SELECT MIN(at)
                    FROM trail_records_default
                    WHERE at >= $1 AND at < $2",
                )
                .bind(Day::FIRST.begin())
                .bind(after_last.begin())
                .fetch_one(connection)
                .await?)
            })
        })
        .await?;
    Ok(at.and_then(|at| Day::of(at.0)))
}

/// Makes a day, unless another did, and moves there what waits for it.
async fn create(store: &PostgresStore, day: Day, maintained: &mut TrailMaintained) -> Result<(), StoreError> {
    let moved = store
        .upkeep("create_trail_day", move |Attempt { connection, .. }| {
            Box::pin(async move { create_in(connection, day).await })
        })
        .await?;
    if let Some(moved) = moved {
        tracing::info!(trail.day = %day, trail.moved = moved, "a day of the trail was made");
        maintained.created.push(day.to_string());
        maintained.moved += moved;
    }
    Ok(())
}

async fn create_in(connection: &mut PgConnection, day: Day) -> Result<Option<u64>, Failure> {
    settle(connection).await?;
    // Others that make or drop days wait, and those that append to the default partition; those that append to other days do not.
    run(connection, "LOCK TABLE ONLY trail_records IN SHARE UPDATE EXCLUSIVE MODE").await?;
    run(connection, "LOCK TABLE trail_records_default IN ACCESS EXCLUSIVE MODE").await?;
    if days_in(connection).await?.contains(&day) {
        return Ok(None);
    }
    let (name, next) = (day.partition(), day.plus(1));
    // Attached later, and not made as a partition: that would make all others wait.
    run(connection, &format!("CREATE TABLE {name} (LIKE trail_records INCLUDING ALL EXCLUDING INDEXES)")).await?;
    let columns = "at, chain_id, seq, kind, session_id, tree_id, principal, owner, outcome, code, decision_id, actions, \
         resources, policies, record";
    let moving = format!(
        "WITH moved AS (
            DELETE FROM trail_records_default
            WHERE at >= $1 AND at < $2
            RETURNING {columns}
        )
        INSERT INTO {name} ({columns})
        SELECT {columns}
        FROM moved",
    );
    let moved = sqlx::query(AssertSqlSafe(moving))
        .persistent(false)
        .bind(day.begin())
        .bind(next.begin())
        .execute(&mut *connection)
        .await?
        .rows_affected();
    let bounds = format!("FROM ('{day} 00:00:00+00') TO ('{next} 00:00:00+00')");
    run(connection, &format!("ALTER TABLE trail_records ATTACH PARTITION {name} FOR VALUES {bounds}")).await?;
    Ok(Some(moved))
}

/// Drops a day, unless another did, and writes down where its chains begin now.
async fn drop_day(
    store: &PostgresStore,
    day: Day,
    first_kept: Day,
    maintained: &mut TrailMaintained,
) -> Result<(), StoreError> {
    let dropped = store
        .upkeep("drop_trail_day", move |Attempt { connection, .. }| {
            Box::pin(async move { drop_in(connection, day).await })
        })
        .await?;
    if dropped {
        tracing::info!(trail.day = %day, trail.kept_from = %first_kept, "a day of the trail was dropped");
        maintained.dropped.push(day.to_string());
    }
    Ok(())
}

async fn drop_in(connection: &mut PgConnection, day: Day) -> Result<bool, Failure> {
    settle(connection).await?;
    lock_chains(connection).await?;
    run(connection, "LOCK TABLE ONLY trail_records IN ACCESS EXCLUSIVE MODE").await?;
    if !days_in(connection).await?.contains(&day) {
        return Ok(false);
    }
    let name = day.partition();
    // Records are not in the order of their times: from behind the last that is dropped there is no gap.
    let kept = format!(
        "UPDATE trail_chains
        SET first_seq = GREATEST(trail_chains.first_seq, dropped.last_seq + 1)
        FROM (
            SELECT chain_id, (SELECT MAX(seq) FROM {name} WHERE {name}.chain_id = chains.chain_id) AS last_seq
            FROM trail_chains AS chains
        ) AS dropped
        WHERE trail_chains.chain_id = dropped.chain_id AND dropped.last_seq >= trail_chains.first_seq",
    );
    run(connection, &kept).await?;
    run(connection, &format!("DROP TABLE {name}")).await?;
    Ok(true)
}

/// Removes records that came when their day was dropped already.
async fn remove_late(
    store: &PostgresStore,
    first_kept: Day,
    maintained: &mut TrailMaintained,
) -> Result<(), StoreError> {
    loop {
        let removed = store
            .upkeep("remove_late_trail", move |Attempt { connection, .. }| {
                Box::pin(async move { remove_in(connection, first_kept).await })
            })
            .await?;
        if removed == 0 {
            return Ok(());
        }
        tracing::info!(trail.removed = removed, trail.kept_from = %first_kept, "records that came late were removed");
        maintained.removed += removed;
    }
}

async fn remove_in(connection: &mut PgConnection, first_kept: Day) -> Result<u64, Failure> {
    let some: Option<i32> = sqlx::query_scalar("SELECT 1 FROM trail_records_default WHERE at < $1 LIMIT 1")
        .bind(first_kept.begin())
        .fetch_optional(&mut *connection)
        .await?;
    if some.is_none() {
        return Ok(0);
    }
    settle(connection).await?;
    lock_chains(connection).await?;
    let removed: i64 = sqlx::query_scalar(
        "WITH removed AS (
            DELETE FROM trail_records_default
            WHERE (chain_id, seq, at) IN (
                SELECT chain_id, seq, at
                FROM trail_records_default
                WHERE at < $1
                ORDER BY at
                LIMIT $2
            )
            RETURNING chain_id, seq
        ),
        dropped AS (
            SELECT chain_id, MAX(seq) AS last_seq
            FROM removed
            GROUP BY chain_id
        ),
        kept AS (
            UPDATE trail_chains
            SET first_seq = GREATEST(trail_chains.first_seq, dropped.last_seq + 1)
            FROM dropped
            WHERE trail_chains.chain_id = dropped.chain_id
        )
        SELECT COUNT(*)
        FROM removed",
    )
    .bind(first_kept.begin())
    .bind(REMOVE_BATCH)
    .fetch_one(connection)
    .await?;
    Ok(u64::try_from(removed).unwrap_or(0))
}

/// Nothing is appended until the transaction ends: a chain's row is locked before its records.
async fn lock_chains(connection: &mut PgConnection) -> Result<(), Failure> {
    sqlx::query("SELECT chain_id FROM trail_chains ORDER BY chain_id FOR UPDATE").execute(connection).await?;
    Ok(())
}

async fn run(connection: &mut PgConnection, statement: &str) -> Result<(), Failure> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}
