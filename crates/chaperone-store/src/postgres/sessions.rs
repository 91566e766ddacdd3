//! `sessions`.

use std::collections::BTreeMap;

use chaperone_policy::{HandleHash, Life, Session, SessionId, Timestamp};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::PostgresStore;
use super::feed::reserve;
use super::transaction::Announce;
use crate::attempt::Attempt;
use crate::error::{StoreError, TreeLimit};
use crate::failure::Failure;
use crate::feed::{Changed, shard_of_tree};
use crate::rows::{SessionRow, bind_session, page, session_columns, stored_hash, whole_chain};
use crate::store::{SessionFilter, TreeLimits};
use crate::stored_time::StoredTime;

/// How many uses one transaction writes.
const TOUCH_BATCH: usize = 1_000;

pub(super) async fn insert(
    store: &PostgresStore,
    session: &Session,
    handle: &HandleHash,
    limits: &TreeLimits,
) -> Result<(), StoreError> {
    // Not announced: a replica that meets the new handle looks it up, and needs no hint for that.
    store
        .transaction("insert_session", Announce::Here, move |Attempt { connection, .. }| {
            Box::pin(async move {
                let row = SessionRow::try_from(session)?;
                let reserved = reserve(connection, shard_of_tree(session.tree), 1).await?;
                if let Some(parent) = session.parent {
                    let stored: Option<i32> = sqlx::query_scalar(
                        "SELECT 1
                        FROM sessions
                        WHERE session_id = $1 AND tree_id = $2",
                    )
                    .bind(parent.as_uuid())
                    .bind(row.tree_id)
                    .fetch_optional(&mut *connection)
                    .await?;
                    if stored.is_none() {
                        return Err(StoreError::NotFound { what: format!("parent session `{parent}`") }.into());
                    }
                    require_room(connection, session, parent, limits).await?;
                }
                let query = sqlx::query(
                    "INSERT INTO sessions (
                        session_id, tree_id, parent_id, depth, handle_hash, last_used_at, version,
                        principal_type, principal_id, owner, task_id, task_purpose, labels, scope,
                        binding_spiffe_id, binding_certificate_sha256, opened_at, expires_at, idle_timeout_us,
                        ended_act, ended_at, ended_reason, ended_by, binding_zones
                    )
                    VALUES (
                        $1, $2, $3, $4, $5, $6, $7,
                        $8, $9, $10, $11, $12, $13, $14,
                        $15, $16, $17, $18, $19,
                        $20, $21, $22, $23, $24
                    )
                    ON CONFLICT DO NOTHING",
                )
                .bind(row.session_id)
                .bind(row.tree_id)
                .bind(row.parent_id)
                .bind(row.depth)
                .bind(stored_hash(handle))
                .bind(row.last_used_at)
                .bind(row.version);
                let inserted = bind_session!(query, row).execute(&mut *connection).await?.rows_affected();
                if inserted == 0 {
                    return Err(StoreError::SessionConflict { id: session.id }.into());
                }
                reserved.append(connection, &[Changed::Session(session.id)], session.opened_at).await
            })
        })
        .await
}

/// Refuses a session for which its tree has no room. The tree's shard of the feed is locked by now, so that no other is opened in it
/// meanwhile, and those that were are seen.
async fn require_room(
    connection: &mut PgConnection,
    session: &Session,
    parent: SessionId,
    limits: &TreeLimits,
) -> Result<(), Failure> {
    let now = StoredTime(session.opened_at);
    if limits.children_max != u32::MAX {
        let children: i64 = sqlx::query_scalar(COUNT_CHILDREN)
            .bind(session.tree.as_uuid())
            .bind(parent.as_uuid())
            .bind(now)
            .bind(i64::from(limits.children_max))
            .fetch_one(&mut *connection)
            .await?;
        if children >= i64::from(limits.children_max) {
            let limit = TreeLimit::Children { parent, max: limits.children_max };
            return Err(StoreError::TreeFull { limit }.into());
        }
    }
    if limits.sessions_max != u32::MAX {
        let sessions: i64 = sqlx::query_scalar(COUNT_TREE)
            .bind(session.tree.as_uuid())
            .bind(now)
            .bind(i64::from(limits.sessions_max))
            .fetch_one(&mut *connection)
            .await?;
        if sessions >= i64::from(limits.sessions_max) {
            let limit = TreeLimit::Sessions { tree: session.tree, max: limits.sessions_max };
            return Err(StoreError::TreeFull { limit }.into());
        }
    }
    Ok(())
}

/// How many live children a session has, counted up to a limit.
const COUNT_CHILDREN: &str = "
    SELECT COUNT(*)
    FROM (
        SELECT 1
        FROM sessions
        WHERE tree_id = $1 AND parent_id = $2 AND ended_at IS NULL AND expires_at > $3
        LIMIT $4
    ) AS live";

/// How many live sessions a tree has, counted up to a limit: from its root, through those that are live.
const COUNT_TREE: &str = "
    WITH RECURSIVE live (link_id) AS (
        SELECT session_id
        FROM sessions
        WHERE session_id = $1 AND ended_at IS NULL AND expires_at > $2
        UNION ALL
        SELECT child.session_id
        FROM live
        JOIN sessions AS child ON child.tree_id = $1 AND child.parent_id = live.link_id
        WHERE child.ended_at IS NULL AND child.expires_at > $2
    )
    SELECT COUNT(*)
    FROM (
        SELECT 1
        FROM live
        LIMIT $3
    ) AS counted";

pub(super) async fn by_id(store: &PostgresStore, id: SessionId) -> Result<Option<Session>, StoreError> {
    let row: Option<SessionRow> = store
        .read("session", move |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_as(concat!(
                    "SELECT ",
                    session_columns!(),
                    "
                    FROM sessions
                    WHERE session_id = $1"
                ))
                .bind(id.as_uuid())
                .fetch_optional(connection)
                .await?)
            })
        })
        .await?;
    row.map(Session::try_from).transpose()
}

pub(super) async fn chain(store: &PostgresStore, handle: &HandleHash) -> Result<Vec<Session>, StoreError> {
    let rows: Vec<SessionRow> = store
        .read("session_chain", move |Attempt { connection, .. }| {
            Box::pin(async move {
                // 32: above any depth that is let in, so that a loop in broken rows ends.
                Ok(sqlx::query_as(concat!(
                    "WITH RECURSIVE chain (link_id, next_id, link_tree, place) AS (
                        SELECT session_id, parent_id, tree_id, 0
                        FROM sessions
                        WHERE handle_hash = $1
                        UNION ALL
                        SELECT parent.session_id, parent.parent_id, parent.tree_id, chain.place + 1
                        FROM chain
                        JOIN sessions AS parent
                            ON parent.session_id = chain.next_id AND parent.tree_id = chain.link_tree
                        WHERE chain.place < 32
                    )
                    SELECT ",
                    session_columns!(),
                    "
                    FROM chain
                    JOIN sessions ON sessions.session_id = chain.link_id
                    ORDER BY place"
                ))
                .bind(stored_hash(handle))
                .fetch_all(connection)
                .await?)
            })
        })
        .await?;
    whole_chain(rows)
}

pub(super) async fn save(store: &PostgresStore, session: &Session) -> Result<Session, StoreError> {
    let row = store
        .transaction("save_session", Announce::Everywhere, move |Attempt { connection, .. }| {
            Box::pin(async move {
                let row = SessionRow::try_from(session)?;
                let (session_id, tree_id, version) = (row.session_id, row.tree_id, row.version);
                let reserved = reserve(connection, shard_of_tree(session.tree), 1).await?;
                let query = sqlx::query_as(concat!(
                    "UPDATE sessions
                    SET version = version + 1, principal_type = $4, principal_id = $5, owner = $6, task_id = $7,
                        task_purpose = $8, labels = $9, scope = $10, binding_spiffe_id = $11,
                        binding_certificate_sha256 = $12, opened_at = $13, expires_at = $14, idle_timeout_us = $15,
                        ended_act = $16, ended_at = $17, ended_reason = $18, ended_by = $19,
                        binding_zones = $20
                    WHERE session_id = $1 AND tree_id = $2 AND version = $3
                    RETURNING ",
                    session_columns!()
                ))
                .bind(session_id)
                .bind(tree_id)
                .bind(version);
                let saved: Option<SessionRow> = bind_session!(query, row).fetch_optional(&mut *connection).await?;
                let Some(saved) = saved else {
                    let stored: Option<i32> = sqlx::query_scalar(
                        "SELECT 1
                        FROM sessions
                        WHERE session_id = $1",
                    )
                    .bind(session_id)
                    .fetch_optional(connection)
                    .await?;
                    return Err(match stored {
                        Some(_) => StoreError::SessionConflict { id: session.id },
                        None => StoreError::NotFound { what: format!("session `{}`", session.id) },
                    }
                    .into());
                };
                reserved.append(connection, &[Changed::Session(session.id)], saved_at(session)).await?;
                Ok(saved)
            })
        })
        .await?;
    Session::try_from(row)
}

/// When a session was saved, as far as its own record tells. Only pruning reads it.
pub(super) fn saved_at(session: &Session) -> Timestamp {
    session.ended.as_ref().map_or(session.last_used_at.max(session.opened_at), |ended| ended.at)
}

pub(super) async fn touch(store: &PostgresStore, uses: &[(SessionId, Timestamp)]) -> Result<(), StoreError> {
    let mut latest: BTreeMap<Uuid, Timestamp> = BTreeMap::new();
    for (id, at) in uses {
        let known = latest.entry(id.as_uuid()).or_insert(*at);
        *known = (*known).max(*at);
    }
    let (ids, times): (Vec<Uuid>, Vec<StoredTime>) = latest.into_iter().map(|(id, at)| (id, StoredTime(at))).unzip();
    for (ids, times) in ids.chunks(TOUCH_BATCH).zip(times.chunks(TOUCH_BATCH)) {
        store
            .transaction("touch_sessions", Announce::Nothing, move |Attempt { connection, .. }| {
                Box::pin(async move {
                    // Rows are locked in the order of their ids, so that two replicas do not wait for each other.
                    sqlx::query(
                        "WITH uses AS (
                            SELECT session_id, used_at
                            FROM UNNEST($1::uuid[], $2::timestamptz[]) AS uses (session_id, used_at)
                        ),
                        moved AS (
                            SELECT sessions.session_id, uses.used_at
                            FROM sessions
                            JOIN uses ON uses.session_id = sessions.session_id
                            WHERE sessions.last_used_at < uses.used_at
                            ORDER BY sessions.session_id
                            FOR UPDATE OF sessions
                        )
                        UPDATE sessions
                        SET last_used_at = moved.used_at
                        FROM moved
                        WHERE sessions.session_id = moved.session_id AND sessions.last_used_at < moved.used_at",
                    )
                    .bind(ids)
                    .bind(times)
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            })
            .await?;
    }
    Ok(())
}

pub(super) async fn list(
    store: &PostgresStore,
    filter: &SessionFilter,
    before: Option<SessionId>,
    limit: u32,
) -> Result<Vec<Session>, StoreError> {
    let rows: Vec<SessionRow> = store
        .read("sessions", move |Attempt { connection, .. }| {
            Box::pin(async move {
                let mut query = QueryBuilder::<Postgres>::new(concat!(
                    "SELECT ",
                    session_columns!(),
                    "
                    FROM sessions
                    WHERE TRUE"
                ));
                restrict(&mut query, filter);
                if let Some(before) = before {
                    query.push(" AND session_id < ").push_bind(before.as_uuid());
                }
                query.push(" ORDER BY session_id DESC LIMIT ").push_bind(page(limit));
                Ok(query.build_query_as().fetch_all(connection).await?)
            })
        })
        .await?;
    rows.into_iter().map(Session::try_from).collect()
}

fn restrict(query: &mut QueryBuilder<Postgres>, filter: &SessionFilter) {
    if let Some(principal) = &filter.principal {
        query.push(" AND principal_type = ").push_bind(principal.kind.to_string());
        query.push(" AND principal_id = ").push_bind(principal.id.to_string());
    }
    if let Some(owner) = &filter.owner {
        query.push(" AND owner = ").push_bind(owner.clone());
    }
    if let Some(task_id) = &filter.task_id {
        query.push(" AND task_id = ").push_bind(task_id.clone());
    }
    if let Some(tree) = &filter.tree {
        query.push(" AND tree_id = ").push_bind(tree.as_uuid());
    }
    let Some((life, at)) = &filter.life else { return };
    let now = StoredTime(*at);
    match life {
        Life::Revoked => {
            query.push(" AND ended_act = 'revoked'");
        }
        Life::Completed => {
            query.push(" AND ended_act = 'completed'");
        }
        Life::Expired => {
            query.push(" AND ended_at IS NULL AND expires_at <= ").push_bind(now);
        }
        Life::Idle => {
            query.push(" AND ended_at IS NULL AND expires_at > ").push_bind(now);
            // In whole microseconds, and numeric: intervals overflow, and floats round.
            query
                .push(" AND EXTRACT(EPOCH FROM (")
                .push_bind(now)
                .push(" - last_used_at)) * 1000000 > idle_timeout_us");
        }
        Life::Active => {
            query.push(" AND ended_at IS NULL AND expires_at > ").push_bind(now);
            query.push(" AND (idle_timeout_us IS NULL OR EXTRACT(EPOCH FROM (").push_bind(now);
            query.push(" - last_used_at)) * 1000000 <= idle_timeout_us)");
        }
    }
}
