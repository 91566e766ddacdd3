//! The rows of `bundle_activations`.

use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::{corrupt, loaded_number};
use crate::error::StoreError;
use crate::store::BundleActivation;
use crate::stored_time::StoredTime;

const TABLE: &str = "bundle_activations";

/// A row of `bundle_activations`.
#[derive(Debug)]
pub(crate) struct ActivationRow {
    position: i64,
    number: i64,
    previous_number: Option<i64>,
    is_rollback: bool,
    message: String,
    activated_by: String,
    activated_at: StoredTime,
}

impl<'r, R> FromRow<'r, R> for ActivationRow
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    StoredTime: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            position: row.try_get("position")?,
            number: row.try_get("number")?,
            previous_number: row.try_get("previous_number")?,
            is_rollback: row.try_get("is_rollback")?,
            message: row.try_get("message")?,
            activated_by: row.try_get("activated_by")?,
            activated_at: row.try_get("activated_at")?,
        })
    }
}

impl TryFrom<ActivationRow> for BundleActivation {
    type Error = StoreError;

    fn try_from(row: ActivationRow) -> Result<Self, StoreError> {
        Ok(Self {
            position: u64::try_from(row.position).map_err(|error| corrupt(TABLE, row.position, error))?,
            number: loaded_number(row.number)?,
            previous: row.previous_number.map(loaded_number).transpose()?,
            is_rollback: row.is_rollback,
            message: row.message,
            activated_by: row.activated_by,
            activated_at: row.activated_at.0,
        })
    }
}
