//! Revoking sessions, in batches; see [`crate::revocation`].

use chaperone_policy::{Ended, SessionId};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::PostgresStore;
use super::feed::reserve;
use super::transaction::Announce;
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::failure::Failure;
use crate::feed::Changed;
use crate::revocation::{BATCH, Batch, Candidate, Progress, by_shard};
use crate::rows::act_name;
use crate::store::RevokeTarget;
use crate::stored_time::StoredTime;

pub(super) async fn revoke(store: &PostgresStore, target: &RevokeTarget, ended: &Ended) -> Result<u64, StoreError> {
    require_exists(store, target).await?;
    let mut progress = Progress::default();
    loop {
        let after = progress.after;
        let batch = store
            .transaction("revoke_sessions", Announce::Everywhere, move |Attempt { connection, .. }| {
                Box::pin(async move { revoke_batch(connection, target, ended, after).await })
            })
            .await?;
        if !progress.advance(batch) {
            return Ok(progress.revoked);
        }
    }
}

async fn require_exists(store: &PostgresStore, target: &RevokeTarget) -> Result<(), StoreError> {
    let (id, what) = match target {
        RevokeTarget::Session(id) => (*id, format!("session `{id}`")),
        RevokeTarget::Tree(id) => (*id, format!("tree `{id}`")),
        RevokeTarget::Principal(_) | RevokeTarget::Owner(_) | RevokeTarget::Task(_) => return Ok(()),
    };
    let is_tree = matches!(target, RevokeTarget::Tree(_));
    let stored: Option<i32> = store
        .read("revoke_sessions", move |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_scalar(
                    "SELECT 1
                    FROM sessions
                    WHERE session_id = $1 AND (tree_id = $1 OR NOT $2)",
                )
                .bind(id.as_uuid())
                .bind(is_tree)
                .fetch_optional(connection)
                .await?)
            })
        })
        .await?;
    stored.map(|_| ()).ok_or(StoreError::NotFound { what })
}

async fn revoke_batch(
    connection: &mut PgConnection,
    target: &RevokeTarget,
    ended: &Ended,
    after: Option<SessionId>,
) -> Result<Batch, Failure> {
    let candidates = candidates(connection, target, after).await?;
    let mut batch =
        Batch { found: candidates.len(), revoked: 0, last: candidates.last().map(|candidate| candidate.id) };
    let shards = by_shard(&candidates);
    // Shards before rows, ascending: the lock order that all writers keep.
    let mut reserved = Vec::with_capacity(shards.len());
    for (shard, ids) in &shards {
        reserved.push(reserve(connection, *shard, ids.len()).await?);
    }
    for (reserved, ids) in reserved.into_iter().zip(shards.values()) {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
        let revoked: Vec<Uuid> = sqlx::query_scalar(
            "WITH live AS (
                SELECT session_id
                FROM sessions
                WHERE session_id = ANY($1) AND ended_at IS NULL
                ORDER BY session_id
                FOR UPDATE
            )
            UPDATE sessions
            SET ended_act = $2, ended_at = $3, ended_reason = $4, ended_by = $5, version = version + 1
            FROM live
            WHERE sessions.session_id = live.session_id AND sessions.ended_at IS NULL
            RETURNING sessions.session_id",
        )
        .bind(ids)
        .bind(act_name(ended.by_act))
        .bind(StoredTime(ended.at))
        .bind(&ended.reason)
        .bind(&ended.by)
        .fetch_all(&mut *connection)
        .await?;
        batch.revoked += u64::try_from(revoked.len()).unwrap_or(0);
        let changed: Vec<Changed> = revoked.into_iter().map(|id| Changed::Session(SessionId::new(id))).collect();
        reserved.append(connection, &changed, ended.at).await?;
    }
    Ok(batch)
}

async fn candidates(
    connection: &mut PgConnection,
    target: &RevokeTarget,
    after: Option<SessionId>,
) -> Result<Vec<Candidate>, Failure> {
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT session_id, tree_id
        FROM sessions
        WHERE ended_at IS NULL",
    );
    match target {
        RevokeTarget::Session(id) => query.push(" AND session_id = ").push_bind(id.as_uuid()),
        RevokeTarget::Tree(id) => query.push(" AND tree_id = ").push_bind(id.as_uuid()),
        RevokeTarget::Principal(uid) => query
            .push(" AND principal_type = ")
            .push_bind(uid.kind.to_string())
            .push(" AND principal_id = ")
            .push_bind(uid.id.to_string()),
        RevokeTarget::Owner(owner) => query.push(" AND owner = ").push_bind(owner.clone()),
        RevokeTarget::Task(id) => query.push(" AND task_id = ").push_bind(id.clone()),
    };
    if let Some(after) = after {
        query.push(" AND session_id > ").push_bind(after.as_uuid());
    }
    query.push(" ORDER BY session_id LIMIT ").push_bind(i64::try_from(BATCH).unwrap_or(i64::MAX));
    let rows: Vec<(Uuid, Uuid)> = query.build_query_as().fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(id, tree)| Candidate { id: SessionId::new(id), tree: SessionId::new(tree) }).collect())
}
