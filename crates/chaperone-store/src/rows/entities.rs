//! The rows of `entities`.

use std::collections::BTreeMap;

use chaperone_policy::{Entity, EntityRef};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::{from_json, to_json};
use crate::error::StoreError;

const TABLE: &str = "entities";

/// A row of `entities`.
#[derive(Debug)]
pub(crate) struct EntityRow {
    pub(crate) entity_type: String,
    pub(crate) entity_id: String,
    pub(crate) attributes: String,
    pub(crate) tags: String,
    pub(crate) parents: String,
}

impl<'r, R> FromRow<'r, R> for EntityRow
where
    R: Row,
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            entity_type: row.try_get("entity_type")?,
            entity_id: row.try_get("entity_id")?,
            attributes: row.try_get("attributes")?,
            tags: row.try_get("tags")?,
            parents: row.try_get("parents")?,
        })
    }
}

impl TryFrom<&Entity> for EntityRow {
    type Error = StoreError;

    fn try_from(entity: &Entity) -> Result<Self, StoreError> {
        let key = entity.uid.to_string();
        Ok(Self {
            entity_type: entity.uid.kind.to_string(),
            entity_id: entity.uid.id.to_string(),
            attributes: to_json(TABLE, &key, &entity.attributes)?,
            tags: to_json(TABLE, &key, &entity.tags)?,
            parents: to_json(TABLE, &key, &entity.parents)?,
        })
    }
}

impl TryFrom<EntityRow> for Entity {
    type Error = StoreError;

    fn try_from(row: EntityRow) -> Result<Self, StoreError> {
        let uid = EntityRef::new(row.entity_type, row.entity_id);
        let key = uid.to_string();
        Ok(Self {
            uid,
            attributes: from_json(TABLE, &key, &row.attributes)?,
            tags: from_json(TABLE, &key, &row.tags)?,
            parents: from_json(TABLE, &key, &row.parents)?,
        })
    }
}

/// The last of those with the same identity, in the order of identities: one statement cannot write a row twice.
pub(crate) fn latest_by_identity(entities: &[Entity]) -> Vec<&Entity> {
    entities.iter().map(|entity| (&entity.uid, entity)).collect::<BTreeMap<_, _>>().into_values().collect()
}
