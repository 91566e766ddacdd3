//! The rows of `changes`.

use chaperone_policy::EntityRef;
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::{corrupt, from_json, to_json};
use crate::error::StoreError;
use crate::feed::Changed;

const TABLE: &str = "changes";

/// A row of `changes`, within its shard.
#[derive(Debug)]
pub(crate) struct ChangeRow {
    pub(crate) position: i64,
    pub(crate) kind: String,
    pub(crate) key: String,
}

impl<'r, R> FromRow<'r, R> for ChangeRow
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self { position: row.try_get("position")?, kind: row.try_get("kind")?, key: row.try_get("key")? })
    }
}

impl ChangeRow {
    /// The change at a position.
    pub(crate) fn new(position: i64, changed: &Changed) -> Result<Self, StoreError> {
        let (kind, key) = match changed {
            Changed::Session(id) => ("session", id.to_string()),
            Changed::ActiveBundle => ("active_bundle", String::new()),
            Changed::Entity(uid) => ("entity", to_json(TABLE, "entity", uid)?),
        };
        Ok(Self { position, kind: kind.to_owned(), key })
    }

    /// What changed.
    pub(crate) fn changed(&self) -> Result<Changed, StoreError> {
        match self.kind.as_str() {
            "session" => self.key.parse().map(Changed::Session).map_err(|error| corrupt(TABLE, self.position, error)),
            "active_bundle" => Ok(Changed::ActiveBundle),
            "entity" => from_json::<EntityRef>(TABLE, &self.position.to_string(), &self.key).map(Changed::Entity),
            other => Err(corrupt(TABLE, self.position, format!("`{other}` is no kind of change"))),
        }
    }
}
