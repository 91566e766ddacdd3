//! `candidates`.

use chaperone_policy::Timestamp;

use super::EmbeddedStore;
use super::bundles::{info_by_number, state_of_bundles};
use super::feed::reserve;
use super::transaction::Announce;
use crate::attempt::Attempt;
use crate::candidate::{Candidate, CandidateRole};
use crate::error::StoreError;
use crate::feed::{Changed, SHARD_OF_CONFIGURATION};
use crate::rows::{CandidateRow, loaded_number, stored_number};
use crate::stored_time::StoredTime;

pub(super) async fn put(store: &EmbeddedStore, candidate: &Candidate) -> Result<(), StoreError> {
    let wanted = stored_number(candidate.number.get());
    store
        .transaction(Announce::Here, move |Attempt { connection, .. }| {
            Box::pin(async move {
                let reserved = reserve(connection, SHARD_OF_CONFIGURATION, 1).await?;
                let (_, active) = state_of_bundles(connection).await?;
                if info_by_number(connection, wanted).await?.is_none() {
                    return Err(StoreError::NotFound { what: format!("bundle {}", candidate.number) }.into());
                }
                let active = loaded_number(active.unwrap_or(0))?;
                if candidate.beside != active {
                    return Err(StoreError::BundleConflict { active }.into());
                }
                sqlx::query(
                    "INSERT INTO candidates (role, number, beside, share_ppm, label, message, started_by, started_at)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                    ON CONFLICT (role) DO UPDATE
                    SET number = excluded.number,
                        beside = excluded.beside,
                        share_ppm = excluded.share_ppm,
                        label = excluded.label,
                        message = excluded.message,
                        started_by = excluded.started_by,
                        started_at = excluded.started_at",
                )
                .bind(candidate.role.as_str())
                .bind(wanted)
                .bind(stored_number(candidate.beside.get()))
                .bind(i64::from(candidate.share.millionths()))
                .bind(&candidate.label)
                .bind(&candidate.message)
                .bind(&candidate.started_by)
                .bind(StoredTime(candidate.started_at))
                .execute(&mut *connection)
                .await?;
                reserved.append(connection, &[Changed::Candidates], candidate.started_at).await?;
                Ok(())
            })
        })
        .await
}

pub(super) async fn remove(store: &EmbeddedStore, role: CandidateRole, at: Timestamp) -> Result<bool, StoreError> {
    store
        .transaction(Announce::Here, move |Attempt { connection, .. }| {
            Box::pin(async move {
                let reserved = reserve(connection, SHARD_OF_CONFIGURATION, 1).await?;
                let removed = sqlx::query(
                    "DELETE FROM candidates
                    WHERE role = $1",
                )
                .bind(role.as_str())
                .execute(&mut *connection)
                .await?
                .rows_affected();
                reserved.append(connection, &[Changed::Candidates], at).await?;
                Ok(removed > 0)
            })
        })
        .await
}

pub(super) async fn list(store: &EmbeddedStore) -> Result<Vec<Candidate>, StoreError> {
    let rows: Vec<CandidateRow> = store
        .read(|Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_as(
                    "SELECT role, number, beside, share_ppm, label, message, started_by, started_at
                    FROM candidates
                    ORDER BY role",
                )
                .fetch_all(connection)
                .await?)
            })
        })
        .await?;
    rows.into_iter().map(Candidate::try_from).collect()
}
