//! `bundle_activations`.

use super::PostgresStore;
use super::bundles::{info_by_number, lock_state};
use super::feed::reserve;
use super::transaction::Announce;
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::feed::{Changed, SHARD_OF_CONFIGURATION};
use crate::rows::{ActivationRow, corrupt, loaded_number, page, stored_number};
use crate::store::{BundleActivation, BundleInfo, NewActivation};
use crate::stored_time::StoredTime;

pub(super) async fn activate(store: &PostgresStore, activation: &NewActivation) -> Result<BundleInfo, StoreError> {
    let wanted = stored_number(activation.number.get());
    let at = activation.activated_at;
    store
        .transaction("activate_bundle", Announce::Everywhere, move |Attempt { connection, .. }| {
            Box::pin(async move {
                let reserved = reserve(connection, SHARD_OF_CONFIGURATION, 1).await?;
                let (_, previous) = lock_state(connection).await?;
                if info_by_number(connection, wanted).await?.is_none() {
                    return Err(StoreError::NotFound { what: format!("bundle {}", activation.number) }.into());
                }
                let active = loaded_number(previous.unwrap_or(0))?;
                if activation.expected.is_some_and(|expected| expected != active) {
                    return Err(StoreError::BundleConflict { active }.into());
                }
                sqlx::query(
                    "UPDATE bundle_state
                    SET active_number = $1
                    WHERE singleton = 1",
                )
                .bind(wanted)
                .execute(&mut *connection)
                .await?;
                sqlx::query(
                    "INSERT INTO bundle_activations (
                        position, number, previous_number, is_rollback, message, activated_by, activated_at
                    )
                    VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(reserved.first())
                .bind(wanted)
                .bind(previous)
                .bind(activation.is_rollback)
                .bind(&activation.message)
                .bind(&activation.activated_by)
                .bind(StoredTime(at))
                .execute(&mut *connection)
                .await?;
                reserved.append(connection, &[Changed::ActiveBundle], at).await?;
                let info = info_by_number(connection, wanted).await?;
                let info = info.ok_or_else(|| corrupt("bundles", wanted, "it went away while it was activated"))?;
                Ok(BundleInfo::try_from(info)?)
            })
        })
        .await
}

pub(super) async fn list(
    store: &PostgresStore,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<BundleActivation>, StoreError> {
    let before = before.map_or(i64::MAX, stored_number);
    let rows: Vec<ActivationRow> = store
        .read("bundle_activations", move |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_as(
                    "SELECT position, number, previous_number, is_rollback, message, activated_by, activated_at
                    FROM bundle_activations
                    WHERE position < $1
                    ORDER BY position DESC
                    LIMIT $2",
                )
                .bind(before)
                .bind(page(limit))
                .fetch_all(connection)
                .await?)
            })
        })
        .await?;
    rows.into_iter().map(BundleActivation::try_from).collect()
}
