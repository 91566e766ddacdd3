//! `bundles` and `bundle_state`.

use chaperone_policy::BundleNumber;
use sqlx::PgConnection;

use super::PostgresStore;
use super::transaction::Announce;
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::failure::Failure;
use crate::rows::{BundleInfoRow, StoredBundleRow, bundle_columns, corrupt, page, stored_files, stored_number};
use crate::store::{BundleInfo, NewBundle, StoredBundle};
use crate::stored_time::StoredTime;

pub(super) async fn insert(store: &PostgresStore, bundle: &NewBundle) -> Result<(BundleInfo, bool), StoreError> {
    let digest = &bundle.source.digest();
    let files = &stored_files(&bundle.source)?;
    store
        .transaction("insert_bundle", Announce::Nothing, move |Attempt { connection, .. }| {
            Box::pin(async move {
                let (last, _) = lock_state(connection).await?;
                // Read under the lock, so that of two uploads of one bundle the second finds the first.
                if let Some(stored) = info_by_digest(connection, digest).await? {
                    return Ok((BundleInfo::try_from(stored)?, false));
                }
                let number = last + 1;
                sqlx::query(
                    "INSERT INTO bundles (number, digest, files, policy_count, message, uploaded_by, uploaded_at)
                    VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(number)
                .bind(digest)
                .bind(files)
                .bind(i64::from(bundle.policy_count))
                .bind(&bundle.message)
                .bind(&bundle.uploaded_by)
                .bind(StoredTime(bundle.uploaded_at))
                .execute(&mut *connection)
                .await?;
                sqlx::query(
                    "UPDATE bundle_state
                    SET last_number = $1
                    WHERE singleton = 1",
                )
                .bind(number)
                .execute(&mut *connection)
                .await?;
                let info = info_by_number(connection, number).await?;
                let info = info.ok_or_else(|| corrupt("bundles", number, "it is not there after its insertion"))?;
                Ok((BundleInfo::try_from(info)?, true))
            })
        })
        .await
}

pub(super) async fn active(store: &PostgresStore) -> Result<Option<StoredBundle>, StoreError> {
    let row: Option<StoredBundleRow> = store
        .read("active_bundle", |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_as(concat!(
                    "SELECT ",
                    bundle_columns!(),
                    ", files
                    FROM bundle_state
                    JOIN bundles ON bundles.number = bundle_state.active_number"
                ))
                .fetch_optional(connection)
                .await?)
            })
        })
        .await?;
    row.map(StoredBundle::try_from).transpose()
}

pub(super) async fn by_number(store: &PostgresStore, number: BundleNumber) -> Result<Option<StoredBundle>, StoreError> {
    let number = stored_number(number.get());
    let row: Option<StoredBundleRow> = store
        .read("bundle", move |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_as(concat!(
                    "SELECT ",
                    bundle_columns!(),
                    ", files
                    FROM bundles
                    CROSS JOIN bundle_state
                    WHERE number = $1"
                ))
                .bind(number)
                .fetch_optional(connection)
                .await?)
            })
        })
        .await?;
    row.map(StoredBundle::try_from).transpose()
}

pub(super) async fn list(
    store: &PostgresStore,
    before: Option<BundleNumber>,
    limit: u32,
) -> Result<Vec<BundleInfo>, StoreError> {
    let before = before.map_or(i64::MAX, |before| stored_number(before.get()));
    let rows: Vec<BundleInfoRow> = store
        .read("bundles", move |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_as(concat!(
                    "SELECT ",
                    bundle_columns!(),
                    "
                    FROM bundles
                    CROSS JOIN bundle_state
                    WHERE number < $1
                    ORDER BY number DESC
                    LIMIT $2"
                ))
                .bind(before)
                .bind(page(limit))
                .fetch_all(connection)
                .await?)
            })
        })
        .await?;
    rows.into_iter().map(BundleInfo::try_from).collect()
}

/// Locks the one row that whoever numbers or activates a bundle must hold: the last number, and the active one.
pub(super) async fn lock_state(connection: &mut PgConnection) -> Result<(i64, Option<i64>), Failure> {
    let state: Option<(i64, Option<i64>)> = sqlx::query_as(
        "SELECT last_number, active_number
        FROM bundle_state
        WHERE singleton = 1
        FOR UPDATE",
    )
    .fetch_optional(connection)
    .await?;
    Ok(state.ok_or_else(|| corrupt("bundle_state", 1, "the row is missing"))?)
}

async fn info_by_digest(connection: &mut PgConnection, digest: &str) -> Result<Option<BundleInfoRow>, Failure> {
    Ok(sqlx::query_as(concat!(
        "SELECT ",
        bundle_columns!(),
        "
        FROM bundles
        CROSS JOIN bundle_state
        WHERE digest = $1"
    ))
    .bind(digest)
    .fetch_optional(connection)
    .await?)
}

pub(super) async fn info_by_number(
    connection: &mut PgConnection,
    number: i64,
) -> Result<Option<BundleInfoRow>, Failure> {
    Ok(sqlx::query_as(concat!(
        "SELECT ",
        bundle_columns!(),
        "
        FROM bundles
        CROSS JOIN bundle_state
        WHERE number = $1"
    ))
    .bind(number)
    .fetch_optional(connection)
    .await?)
}
