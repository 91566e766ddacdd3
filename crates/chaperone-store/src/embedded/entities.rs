//! `entities`.

use std::collections::BTreeSet;

use chaperone_policy::{Entity, EntityRef, Timestamp};
use sqlx::{QueryBuilder, Sqlite};

use super::EmbeddedStore;
use super::feed::reserve;
use super::transaction::Announce;
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::feed::{Changed, SHARD_OF_CONFIGURATION};
use crate::rows::{EntityRow, latest_by_identity, page};
use crate::stored_time::StoredTime;

pub(super) async fn put(store: &EmbeddedStore, entities: &[Entity], at: Timestamp) -> Result<(), StoreError> {
    if entities.is_empty() {
        return Ok(());
    }
    let latest = latest_by_identity(entities);
    let rows = &latest.iter().map(|entity| EntityRow::try_from(*entity)).collect::<Result<Vec<_>, _>>()?;
    let changed = &latest.iter().map(|entity| Changed::Entity(entity.uid.clone())).collect::<Vec<_>>();
    store
        .transaction(Announce::Here, move |Attempt { connection, .. }| {
            Box::pin(async move {
                let reserved = reserve(connection, SHARD_OF_CONFIGURATION, changed.len()).await?;
                for row in rows {
                    sqlx::query(
                        "INSERT INTO entities (entity_type, entity_id, attributes, tags, parents, updated_at)
                        VALUES ($1, $2, $3, $4, $5, $6)
                        ON CONFLICT (entity_type, entity_id) DO UPDATE
                        SET attributes = EXCLUDED.attributes, tags = EXCLUDED.tags, parents = EXCLUDED.parents,
                            updated_at = EXCLUDED.updated_at",
                    )
                    .bind(&row.entity_type)
                    .bind(&row.entity_id)
                    .bind(&row.attributes)
                    .bind(&row.tags)
                    .bind(&row.parents)
                    .bind(StoredTime(at))
                    .execute(&mut *connection)
                    .await?;
                }
                reserved.append(connection, changed, at).await
            })
        })
        .await
}

pub(super) async fn delete(store: &EmbeddedStore, uids: &[EntityRef], at: Timestamp) -> Result<u64, StoreError> {
    let uids = &uids.iter().collect::<BTreeSet<_>>();
    if uids.is_empty() {
        return Ok(0);
    }
    store
        .transaction(Announce::Here, move |Attempt { connection, .. }| {
            Box::pin(async move {
                let reserved = reserve(connection, SHARD_OF_CONFIGURATION, uids.len()).await?;
                let mut changed: Vec<Changed> = Vec::with_capacity(uids.len());
                for uid in uids {
                    let result = sqlx::query(
                        "DELETE FROM entities
                        WHERE entity_type = $1 AND entity_id = $2",
                    )
                    .bind(uid.kind.as_str())
                    .bind(uid.id.as_str())
                    .execute(&mut *connection)
                    .await?;
                    if result.rows_affected() > 0 {
                        changed.push(Changed::Entity((*uid).clone()));
                    }
                }
                reserved.append(connection, &changed, at).await?;
                Ok(u64::try_from(changed.len()).unwrap_or(u64::MAX))
            })
        })
        .await
}

pub(super) async fn list(
    store: &EmbeddedStore,
    kind: Option<&str>,
    after: Option<&EntityRef>,
    limit: u32,
) -> Result<Vec<Entity>, StoreError> {
    let rows: Vec<EntityRow> = store
        .read(move |Attempt { connection, .. }| {
            Box::pin(async move {
                let mut query = QueryBuilder::<Sqlite>::new(
                    "SELECT entity_type, entity_id, attributes, tags, parents
                    FROM entities
                    WHERE TRUE",
                );
                if let Some(kind) = kind {
                    query.push(" AND entity_type = ").push_bind(kind.to_owned());
                }
                if let Some(after) = after {
                    query.push(" AND (entity_type, entity_id) > (").push_bind(after.kind.to_string());
                    query.push(", ").push_bind(after.id.to_string()).push(")");
                }
                query.push(" ORDER BY entity_type, entity_id LIMIT ").push_bind(page(limit));
                Ok(query.build_query_as().fetch_all(connection).await?)
            })
        })
        .await?;
    rows.into_iter().map(Entity::try_from).collect()
}

pub(super) async fn named(store: &EmbeddedStore, uids: &[EntityRef]) -> Result<Vec<Entity>, StoreError> {
    let uids = &uids.iter().collect::<BTreeSet<_>>();
    if uids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<EntityRow> = store
        .read(move |Attempt { connection, .. }| {
            Box::pin(async move {
                let mut query = QueryBuilder::<Sqlite>::new(
                    "SELECT entity_type, entity_id, attributes, tags, parents
                    FROM entities
                    WHERE (entity_type, entity_id) IN ",
                );
                query.push_tuples(uids, |mut tuple, uid| {
                    tuple.push_bind(uid.kind.as_str()).push_bind(uid.id.as_str());
                });
                Ok(query.build_query_as().fetch_all(connection).await?)
            })
        })
        .await?;
    rows.into_iter().map(Entity::try_from).collect()
}
