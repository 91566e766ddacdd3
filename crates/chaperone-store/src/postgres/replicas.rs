//! `replicas`.

use chaperone_policy::{BundleNumber, Timestamp};

use super::PostgresStore;
use super::transaction::Announce;
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::rows::{ReplicaRow, stored_number};
use crate::store::ReplicaReport;
use crate::stored_time::StoredTime;

/// How many replicas are listed at most: there are far fewer.
const LISTED_MAX: i64 = 10_000;

pub(super) async fn report(store: &PostgresStore, report: &ReplicaReport) -> Result<(), StoreError> {
    store
        .transaction("report_replica", Announce::Nothing, move |Attempt { connection, .. }| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO replicas (replica, version, bundle_number, is_unusable, seen_at)
                    VALUES ($1, $2, $3, $4, $5)
                    ON CONFLICT (replica) DO UPDATE
                    SET version = EXCLUDED.version,
                        bundle_number = EXCLUDED.bundle_number,
                        is_unusable = EXCLUDED.is_unusable,
                        seen_at = EXCLUDED.seen_at",
                )
                .bind(&report.replica)
                .bind(&report.version)
                .bind(report.bundle.map(BundleNumber::get).map(stored_number))
                .bind(report.is_unusable)
                .bind(StoredTime(report.seen_at))
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
}

pub(super) async fn list(store: &PostgresStore, since: Timestamp) -> Result<Vec<ReplicaReport>, StoreError> {
    let rows: Vec<ReplicaRow> = store
        .read("replicas", move |Attempt { connection, .. }| {
            Box::pin(async move {
                Ok(sqlx::query_as(
                    "SELECT replica, version, bundle_number, is_unusable, seen_at
                    FROM replicas
                    WHERE seen_at >= $1
                    ORDER BY replica
                    LIMIT $2",
                )
                .bind(StoredTime(since))
                .bind(LISTED_MAX)
                .fetch_all(connection)
                .await?)
            })
        })
        .await?;
    rows.into_iter().map(ReplicaReport::try_from).collect()
}

pub(super) async fn forget(store: &PostgresStore, replica: Option<&str>, before: Timestamp) -> Result<(), StoreError> {
    store
        .transaction("forget_replicas", Announce::Nothing, move |Attempt { connection, .. }| {
            Box::pin(async move {
                sqlx::query(
                    "DELETE FROM replicas
                    WHERE replica = $1 OR seen_at < $2",
                )
                .bind(replica)
                .bind(StoredTime(before))
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
}
