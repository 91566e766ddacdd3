//! `entities`.

use std::collections::BTreeSet;

use chaperone_policy::{Entity, EntityRef, Timestamp};
use sqlx::{Postgres, QueryBuilder};

use super::PostgresStore;
use super::feed::reserve;
use super::transaction::Announce;
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::feed::{Changed, SHARD_OF_CONFIGURATION};
use crate::rows::{EntityRow, latest_by_identity, page};
use crate::stored_time::StoredTime;

pub(super) async fn put(store: &PostgresStore, entities: &[Entity], at: Timestamp) -> Result<(), StoreError> {
    if entities.is_empty() {
        return Ok(());
    }
    let latest = latest_by_identity(entities);
    let rows = &latest.iter().map(|entity| EntityRow::try_from(*entity)).collect::<Result<Vec<_>, _>>()?;
    let changed = &latest.iter().map(|entity| Changed::Entity(entity.uid.clone())).collect::<Vec<_>>();
    store
        .transaction("put_entities", Announce::Everywhere, move |Attempt { connection, .. }| {
            Box::pin(async move {
                let reserved = reserve(connection, SHARD_OF_CONFIGURATION, changed.len()).await?;
                sqlx::query(
                    "INSERT INTO entities (entity_type, entity_id, attributes, tags, parents, updated_at)
                    SELECT entity_type, entity_id, attributes, tags, parents, $6
                    FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
                        AS new (entity_type, entity_id, attributes, tags, parents)
                    ON CONFLICT (entity_type, entity_id) DO UPDATE
                    SET attributes = EXCLUDED.attributes, tags = EXCLUDED.tags, parents = EXCLUDED.parents,
                        updated_at = EXCLUDED.updated_at",
                )
                .bind(rows.iter().map(|row| row.entity_type.as_str()).collect::<Vec<_>>())
                .bind(rows.iter().map(|row| row.entity_id.as_str()).collect::<Vec<_>>())
                .bind(rows.iter().map(|row| row.attributes.as_str()).collect::<Vec<_>>())
                .bind(rows.iter().map(|row| row.tags.as_str()).collect::<Vec<_>>())
                .bind(rows.iter().map(|row| row.parents.as_str()).collect::<Vec<_>>())
                .bind(StoredTime(at))
                .execute(&mut *connection)
                .await?;
                reserved.append(connection, changed, at).await
            })
        })
        .await
}

pub(super) async fn delete(store: &PostgresStore, uids: &[EntityRef], at: Timestamp) -> Result<u64, StoreError> {
    let uids = &uids.iter().collect::<BTreeSet<_>>();
    if uids.is_empty() {
        return Ok(0);
    }
    store
        .transaction("delete_entities", Announce::Everywhere, move |Attempt { connection, .. }| {
            Box::pin(async move {
                let reserved = reserve(connection, SHARD_OF_CONFIGURATION, uids.len()).await?;
                let deleted: Vec<(String, String)> = sqlx::query_as(
                    "DELETE FROM entities
                    USING UNNEST($1::text[], $2::text[]) AS old (entity_type, entity_id)
                    WHERE entities.entity_type = old.entity_type AND entities.entity_id = old.entity_id
                    RETURNING entities.entity_type, entities.entity_id",
                )
                .bind(uids.iter().map(|uid| uid.kind.as_str()).collect::<Vec<_>>())
                .bind(uids.iter().map(|uid| uid.id.as_str()).collect::<Vec<_>>())
                .fetch_all(&mut *connection)
                .await?;
                let changed: Vec<Changed> =
                    deleted.into_iter().map(|(kind, id)| Changed::Entity(EntityRef::new(kind, id))).collect();
                reserved.append(connection, &changed, at).await?;
                Ok(u64::try_from(changed.len()).unwrap_or(u64::MAX))
            })
        })
        .await
}

pub(super) async fn list(
    store: &PostgresStore,
    kind: Option<&str>,
    after: Option<&EntityRef>,
    limit: u32,
) -> Result<Vec<Entity>, StoreError> {
    let rows: Vec<EntityRow> = store
        .read("entities", move |Attempt { connection, .. }| {
            Box::pin(async move {
                let mut query = QueryBuilder::<Postgres>::new(
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

pub(super) async fn named(store: &PostgresStore, uids: &[EntityRef]) -> Result<Vec<Entity>, StoreError> {
    let uids = &uids.iter().collect::<BTreeSet<_>>();
    let rows: Vec<EntityRow> = store
        .read("entities_named", move |Attempt { connection, .. }| {
            Box::pin(async move {
                let rows = sqlx::query_as(
                    "SELECT entities.entity_type, entities.entity_id, attributes, tags, parents
                    FROM entities
                    JOIN UNNEST($1::text[], $2::text[]) AS named (entity_type, entity_id)
                        ON entities.entity_type = named.entity_type AND entities.entity_id = named.entity_id",
                )
                .bind(uids.iter().map(|uid| uid.kind.as_str()).collect::<Vec<_>>())
                .bind(uids.iter().map(|uid| uid.id.as_str()).collect::<Vec<_>>())
                .fetch_all(connection)
                .await?;
                Ok(rows)
            })
        })
        .await?;
    rows.into_iter().map(Entity::try_from).collect()
}
