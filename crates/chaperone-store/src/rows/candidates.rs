//! The rows of `candidates`.

use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::{corrupt, loaded_number};
use crate::candidate::{Candidate, CandidateRole, Share};
use crate::error::StoreError;
use crate::stored_time::StoredTime;

const TABLE: &str = "candidates";

/// A row of `candidates`.
#[derive(Debug)]
pub(crate) struct CandidateRow {
    role: String,
    number: i64,
    beside: i64,
    share_ppm: i64,
    label: Option<String>,
    message: String,
    started_by: String,
    started_at: StoredTime,
}

impl<'r, R> FromRow<'r, R> for CandidateRow
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: Decode<'r, R::Database> + Type<R::Database>,
    StoredTime: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            role: row.try_get("role")?,
            number: row.try_get("number")?,
            beside: row.try_get("beside")?,
            share_ppm: row.try_get("share_ppm")?,
            label: row.try_get("label")?,
            message: row.try_get("message")?,
            started_by: row.try_get("started_by")?,
            started_at: row.try_get("started_at")?,
        })
    }
}

impl TryFrom<CandidateRow> for Candidate {
    type Error = StoreError;

    fn try_from(row: CandidateRow) -> Result<Self, StoreError> {
        let role = match row.role.as_str() {
            "shadow" => CandidateRole::Shadow,
            "canary" => CandidateRole::Canary,
            other => return Err(corrupt(TABLE, other, "it is no role")),
        };
        let share = u32::try_from(row.share_ppm).ok().and_then(Share::of_millionths);
        Ok(Self {
            role,
            number: loaded_number(row.number)?,
            beside: loaded_number(row.beside)?,
            share: share
                .ok_or_else(|| corrupt(TABLE, &row.role, "its share is more than all, or less than nothing"))?,
            label: row.label,
            message: row.message,
            started_by: row.started_by,
            started_at: row.started_at.0,
        })
    }
}
