//! `approvals`.

use chaperone_policy::{Approval, ApprovalId, ApprovalState, Timestamp};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::EmbeddedStore;
use super::feed::reserve;
use super::memories::commit_one;
use super::transaction::Announce;
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::failure::Failure;
use crate::feed::{Changed, shard_of_memory, shard_of_tree};
use crate::rows::{
    EXPIRED, PENDING, PENDING_MAX, challenge_of, loaded_approval, page, state_of, stored_approval, stored_number,
};
use crate::store::{ApprovalFilter, OpenedApproval, SavedApproval, StoredMemory};
use crate::stored_time::StoredTime;

pub(super) async fn open(store: &EmbeddedStore, approval: &Approval) -> Result<OpenedApproval, StoreError> {
    let challenge = &challenge_of(approval)?;
    let at = approval.requested_at;
    // Whoever asks again need not wait for the lock.
    let waiting = store
        .read(move |Attempt { connection, .. }| Box::pin(async move { pending(connection, challenge, at).await }))
        .await?;
    if let Some(text) = waiting {
        return Ok(OpenedApproval::Waiting(Box::new(loaded_approval(&text)?)));
    }
    let text = &stored_approval(approval)?;
    let opened = store
        .transaction(Announce::Here, move |Attempt { connection, .. }| {
            Box::pin(async move {
                // Nothing runs beside this transaction.
                let reserved = reserve(connection, shard_of_tree(approval.session), 1).await?;
                if let Some(text) = pending(connection, challenge, at).await? {
                    return Ok(OpenedApproval::Waiting(Box::new(loaded_approval(&text)?)));
                }
                if count_pending(connection, approval, at).await? >= PENDING_MAX {
                    return Ok(OpenedApproval::TooMany);
                }
                sqlx::query(
                    "UPDATE approvals
                    SET state = $3
                    WHERE challenge = $1 AND state = $2",
                )
                .bind(challenge)
                .bind(PENDING)
                .bind(EXPIRED)
                .execute(&mut *connection)
                .await?;
                sqlx::query(
                    "INSERT INTO approvals (
                        approval_id, session_id, principal_type, principal_id, challenge, state, expires_at, version, approval
                    )
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                )
                .bind(approval.id.as_uuid())
                .bind(approval.session.as_uuid())
                .bind(approval.principal.kind.as_str())
                .bind(approval.principal.id.as_str())
                .bind(challenge)
                .bind(PENDING)
                .bind(StoredTime(approval.expires_at))
                .bind(stored_number(approval.version))
                .bind(text)
                .execute(&mut *connection)
                .await?;
                reserved.append(connection, &[Changed::Approval(approval.id)], at).await?;
                Ok(OpenedApproval::New)
            })
        })
        .await?;
    Ok(opened)
}

async fn pending(
    connection: &mut SqliteConnection,
    challenge: &[u8],
    at: Timestamp,
) -> Result<Option<String>, Failure> {
    Ok(sqlx::query_scalar(
        "SELECT approval
        FROM approvals
        WHERE challenge = $1 AND state = $2 AND expires_at > $3",
    )
    .bind(challenge)
    .bind(PENDING)
    .bind(StoredTime(at))
    .fetch_optional(connection)
    .await?)
}

async fn count_pending(connection: &mut SqliteConnection, approval: &Approval, at: Timestamp) -> Result<i64, Failure> {
    Ok(sqlx::query_scalar(
        "SELECT COUNT(*)
        FROM approvals
        WHERE session_id = $1 AND state = $2 AND expires_at > $3",
    )
    .bind(approval.session.as_uuid())
    .bind(PENDING)
    .bind(StoredTime(at))
    .fetch_one(connection)
    .await?)
}

pub(super) async fn by_id(store: &EmbeddedStore, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
    let text: Option<String> = store
        .read(move |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_scalar(
                    "SELECT approval
                    FROM approvals
                    WHERE approval_id = $1",
                )
                .bind(id.as_uuid())
                .fetch_optional(connection)
                .await?)
            })
        })
        .await?;
    text.map(|text| loaded_approval(&text)).transpose()
}

pub(super) async fn count_waiting(store: &EmbeddedStore, at: Timestamp) -> Result<u64, StoreError> {
    let count: i64 = store
        .read(move |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_scalar(
                    "SELECT COUNT(*)
                    FROM approvals
                    WHERE state = 'pending' AND expires_at > $1",
                )
                .bind(StoredTime(at))
                .fetch_one(connection)
                .await?)
            })
        })
        .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

pub(super) async fn list(
    store: &EmbeddedStore,
    filter: &ApprovalFilter,
    before: Option<ApprovalId>,
    limit: u32,
) -> Result<Vec<Approval>, StoreError> {
    let texts: Vec<String> = store
        .read(move |Attempt { connection, .. }| {
            Box::pin(async move {
                let mut query = QueryBuilder::<Sqlite>::new(
                    "SELECT approval
                    FROM approvals
                    WHERE 1",
                );
                restrict(&mut query, filter);
                if let Some(before) = before {
                    query.push(" AND approval_id < ").push_bind(before.as_uuid());
                }
                query.push(" ORDER BY approval_id DESC LIMIT ").push_bind(page(limit));
                Ok(query.build_query_scalar().fetch_all(connection).await?)
            })
        })
        .await?;
    texts.iter().map(|text| loaded_approval(text)).collect()
}

fn restrict(query: &mut QueryBuilder<Sqlite>, filter: &ApprovalFilter) {
    if let Some(session) = filter.session {
        query.push(" AND session_id = ").push_bind(session.as_uuid());
    }
    if let Some(principal) = &filter.principal {
        query.push(" AND principal_type = ").push_bind(principal.kind.to_string());
        query.push(" AND principal_id = ").push_bind(principal.id.to_string());
    }
    let Some((state, at)) = filter.state else { return };
    match state {
        ApprovalState::Pending => {
            query.push(" AND state = 'pending' AND expires_at > ").push_bind(StoredTime(at));
        }
        ApprovalState::Expired => {
            query.push(" AND (state = 'expired' OR state = 'pending' AND expires_at <= ");
            query.push_bind(StoredTime(at)).push(")");
        }
        ApprovalState::Approved | ApprovalState::Denied | ApprovalState::Cancelled => {
            query.push(" AND state = ").push_bind(state.as_str());
        }
    }
}

/// Nothing runs beside it.
pub(super) async fn save(
    store: &EmbeddedStore,
    approval: &Approval,
    granted: Option<&StoredMemory>,
    at: Timestamp,
) -> Result<SavedApproval, StoreError> {
    let saved = &Approval { version: approval.version.saturating_add(1), ..approval.clone() };
    let text = &stored_approval(saved)?;
    // What is granted is in the same shard, so that no other is locked after it.
    let shard = granted.map_or_else(
        || shard_of_tree(approval.session),
        |granted| shard_of_memory(&granted.key, &granted.key.to_string()),
    );
    store
        .transaction(Announce::Here, move |Attempt { connection, .. }| {
            Box::pin(async move {
                if let Some(granted) = granted
                    && let Some(changed) = commit_one(connection, granted, at).await?
                {
                    return Ok(SavedApproval::MemoryConflict(Box::new(changed)));
                }
                let reserved = reserve(connection, shard, 1).await?;
                let written = sqlx::query(
                    "UPDATE approvals
                    SET state = $3, version = $4, approval = $5
                    WHERE approval_id = $1 AND version = $2
                        AND (state = 'pending' OR state = 'approved' AND $3 = 'cancelled')",
                )
                .bind(approval.id.as_uuid())
                .bind(stored_number(approval.version))
                .bind(state_of(approval))
                .bind(stored_number(saved.version))
                .bind(text)
                .execute(&mut *connection)
                .await?;
                if written.rows_affected() == 0 {
                    return Err(StoreError::ApprovalConflict { id: approval.id }.into());
                }
                reserved.append(connection, &[Changed::Approval(approval.id)], at).await?;
                Ok(SavedApproval::Done(Box::new(saved.clone())))
            })
        })
        .await
}
