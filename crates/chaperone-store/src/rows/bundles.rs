//! The rows of `bundles`.

use chaperone_policy::{BundleNumber, BundleSource};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::{corrupt, from_json, to_json};
use crate::error::StoreError;
use crate::store::{BundleInfo, StoredBundle};
use crate::stored_time::StoredTime;

const TABLE: &str = "bundles";

/// The columns of a [`BundleInfoRow`], from `bundles` and `bundle_state` together.
macro_rules! bundle_columns {
    () => {
        "number, digest, policy_count, message, uploaded_by, uploaded_at, \
         COALESCE(number = active_number, FALSE) AS active"
    };
}
pub(crate) use bundle_columns;

/// A row of `bundles` without its files.
#[derive(Debug)]
pub(crate) struct BundleInfoRow {
    number: i64,
    digest: String,
    policy_count: i64,
    message: String,
    uploaded_by: String,
    uploaded_at: StoredTime,
    active: bool,
}

/// A row of `bundles` with its files.
#[derive(Debug)]
pub(crate) struct StoredBundleRow {
    info: BundleInfoRow,
    files: String,
}

impl<'r, R> FromRow<'r, R> for BundleInfoRow
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    StoredTime: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: row.try_get("number")?,
            digest: row.try_get("digest")?,
            policy_count: row.try_get("policy_count")?,
            message: row.try_get("message")?,
            uploaded_by: row.try_get("uploaded_by")?,
            uploaded_at: row.try_get("uploaded_at")?,
            active: row.try_get("active")?,
        })
    }
}

impl<'r, R> FromRow<'r, R> for StoredBundleRow
where
    R: Row,
    &'static str: ColumnIndex<R>,
    BundleInfoRow: FromRow<'r, R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self { info: BundleInfoRow::from_row(row)?, files: row.try_get("files")? })
    }
}

impl TryFrom<BundleInfoRow> for BundleInfo {
    type Error = StoreError;

    fn try_from(row: BundleInfoRow) -> Result<Self, StoreError> {
        let policy_count = u32::try_from(row.policy_count).map_err(|error| corrupt(TABLE, row.number, error))?;
        Ok(Self {
            number: loaded_number(row.number)?,
            digest: row.digest,
            message: row.message,
            uploaded_by: row.uploaded_by,
            uploaded_at: row.uploaded_at.0,
            policy_count,
            active: row.active,
        })
    }
}

impl TryFrom<StoredBundleRow> for StoredBundle {
    type Error = StoreError;

    /// Checks the digest as well: a bundle that is not the one that was validated must not decide.
    fn try_from(row: StoredBundleRow) -> Result<Self, StoreError> {
        let info = BundleInfo::try_from(row.info)?;
        let source = BundleSource { files: from_json(TABLE, &info.number.to_string(), &row.files)? };
        if source.digest() != info.digest {
            return Err(corrupt(TABLE, info.number, "its files do not have its digest"));
        }
        Ok(Self { info, source })
    }
}

/// A bundle's number as it is stored.
pub(crate) fn loaded_number(number: i64) -> Result<BundleNumber, StoreError> {
    u64::try_from(number).map(BundleNumber::new).map_err(|error| corrupt(TABLE, number, error))
}

/// A bundle's files as they are stored.
pub(crate) fn stored_files(source: &BundleSource) -> Result<String, StoreError> {
    to_json(TABLE, "files", &source.files)
}
