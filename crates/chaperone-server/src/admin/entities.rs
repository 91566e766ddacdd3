//! Keeping entities beside those of the bundle.

use std::sync::Arc;

use chaperone_policy::{Entity, EntityRef};
use chaperone_store::Store;

use super::sessions::check_entity;
use super::{AdminError, CATCH_UP};
use crate::clock::Clock;
use crate::replica::{Policies, Replica, Snapshot};
use crate::trail::{TrailWriter, acts};

/// How many entities one call may carry.
const ENTITIES_MAX: usize = 1_000;
/// How many parents an entity may have.
const PARENTS_MAX: usize = 1_000;

/// The entity use cases.
#[derive(Clone, Debug)]
pub struct Entities {
    replica: Arc<Replica>,
    clock: Clock,
    trail: TrailWriter,
}

impl Entities {
    /// Over one replica's store. What is done is recorded in `trail`.
    pub fn new(replica: Arc<Replica>, clock: Clock, trail: TrailWriter) -> Self {
        Self { replica, clock, trail }
    }

    fn store(&self) -> &Arc<dyn Store> {
        self.replica.store()
    }

    /// Stores entities that the active bundle's schema allows. Says how many.
    ///
    /// # Errors
    /// When one of them is not allowed (then none is stored), no bundle is active, or the store or the trail fails.
    pub async fn put(&self, entities: &[Entity], by: &str) -> Result<u64, AdminError> {
        self.trail.require()?;
        check_count("entities", entities.len())?;
        for (index, entity) in entities.iter().enumerate() {
            check_entity(&format!("entities[{index}].uid"), &entity.uid)?;
            if entity.parents.len() > PARENTS_MAX {
                let message = format!("there may be at most {PARENTS_MAX}");
                return Err(AdminError::invalid(format!("entities[{index}].parents"), message));
            }
        }
        // What is checked is what is stored now, as far as this replica can know: changes that were made elsewhere count as well.
        if !self.replica.reach_end(CATCH_UP).await {
            tracing::warn!(
                "entities are checked against a state that may be old: the change feed was not read to its end"
            );
        }
        let snapshot = match &**self.replica.policies() {
            Policies::Active(snapshot) => Arc::clone(snapshot),
            Policies::None | Policies::Unusable(_) => {
                let message = "no bundle is active, so nothing says what entities are like";
                return Err(AdminError::Precondition { code: "no_bundle", message: message.into() });
            }
        };
        // What decides for a part of the sessions must be able to go on, too.
        let canary = self.replica.candidates().canary_beside(snapshot.number);
        let canary = canary.and_then(|trial| trial.policies.as_ref().ok().map(Arc::clone));
        for snapshot in std::iter::once(snapshot).chain(canary) {
            check_fit(snapshot, entities.to_vec()).await?;
        }
        self.store().put_entities(entities, self.clock.now()).await?;
        let uids = entities.iter().map(|entity| &entity.uid);
        self.trail.act(self.clock.now(), acts::on_entities(acts::ENTITIES_PUT, by, uids)).await?;
        self.replica.catch_up(CATCH_UP).await;
        Ok(entities.len() as u64)
    }

    /// Deletes entities. Says how many existed.
    ///
    /// # Errors
    /// When the store or the trail fails.
    pub async fn delete(&self, uids: &[EntityRef], by: &str) -> Result<u64, AdminError> {
        check_count("uids", uids.len())?;
        let count = self.store().delete_entities(uids, self.clock.now()).await?;
        self.trail.act(self.clock.now(), acts::on_entities(acts::ENTITIES_DELETED, by, uids.iter())).await?;
        self.replica.catch_up(CATCH_UP).await;
        Ok(count)
    }

    /// Entities by type and id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        &self,
        kind: Option<&str>,
        after: Option<&EntityRef>,
        limit: u32,
    ) -> Result<Vec<Entity>, AdminError> {
        Ok(self.store().entities(kind, after, limit).await?)
    }
}

/// Together with what is there: an entity can be right alone and yet close a circle of parents.
async fn check_fit(snapshot: Arc<Snapshot>, entities: Vec<Entity>) -> Result<(), AdminError> {
    let number = snapshot.number;
    let checked = tokio::task::spawn_blocking(move || {
        let mut changes = snapshot.entities.change();
        changes.put(&snapshot.bundle, &entities);
        changes.finish().map(drop)
    });
    let checked = checked.await.map_err(|_| AdminError::invalid("entities", "checking them failed; none is stored"))?;
    checked.map_err(|errors| {
        let texts: Vec<_> = errors.iter().take(20).map(ToString::to_string).collect();
        AdminError::invalid("entities", format!("bundle {number}: {}", texts.join("; ")))
    })
}

fn check_count(field: &str, count: usize) -> Result<(), AdminError> {
    if count == 0 || count > ENTITIES_MAX {
        return Err(AdminError::invalid(field, format!("must have 1 to {ENTITIES_MAX} elements, not {count}")));
    }
    Ok(())
}
