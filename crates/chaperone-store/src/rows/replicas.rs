//! The rows of `replicas`.

use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::loaded_number;
use crate::error::StoreError;
use crate::store::ReplicaReport;
use crate::stored_time::StoredTime;

/// A row of `replicas`.
#[derive(Debug)]
pub(crate) struct ReplicaRow {
    replica: String,
    version: String,
    bundle_number: Option<i64>,
    is_unusable: bool,
    seen_at: StoredTime,
}

impl<'r, R> FromRow<'r, R> for ReplicaRow
where
    R: Row,
    &'static str: ColumnIndex<R>,
    Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    StoredTime: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            replica: row.try_get("replica")?,
            version: row.try_get("version")?,
            bundle_number: row.try_get("bundle_number")?,
            is_unusable: row.try_get("is_unusable")?,
            seen_at: row.try_get("seen_at")?,
        })
    }
}

impl TryFrom<ReplicaRow> for ReplicaReport {
    type Error = StoreError;

    fn try_from(row: ReplicaRow) -> Result<Self, StoreError> {
        Ok(Self {
            replica: row.replica,
            version: row.version,
            bundle: row.bundle_number.map(loaded_number).transpose()?,
            is_unusable: row.is_unusable,
            seen_at: row.seen_at.0,
        })
    }
}
