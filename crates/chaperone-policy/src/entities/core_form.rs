//! The same entities as Cedar's own, for the evaluator that reads those. Nothing else may use this, so that it can go with it.

use std::sync::{Arc, OnceLock};

use cedar_policy_core::ast::{Entity as CoreEntity, EntityUID};
use cedar_policy_core::entities::{Dereference, Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;

use super::record::EntityRecord;
use crate::compiled::{Uid, UidMap};
use crate::convert;

/// Cedar's entities, put together when they are first asked for after a change.
#[derive(Clone, Debug, Default)]
pub(super) struct CoreForm {
    sources: UidMap<Arc<CoreEntity>>,
    entities: Arc<OnceLock<Entities>>,
}

impl CoreForm {
    pub(super) fn put(&mut self, entity: &Arc<CoreEntity>) {
        self.sources.insert(Arc::new(Uid::new(convert::entity_ref(entity.uid()))), Arc::clone(entity));
        self.entities = Arc::default();
    }

    /// Takes what `base` has of this identity, which may be nothing.
    pub(super) fn restore(&mut self, uid: &Uid, base: &Self) {
        match base.sources.get(uid) {
            Some(entity) => self.put(&Arc::clone(entity)),
            None => drop(self.sources.remove(uid)),
        }
        self.entities = Arc::default();
    }

    pub(super) fn entities(&self, records: &UidMap<Arc<EntityRecord>>) -> &Entities {
        self.entities.get_or_init(|| {
            let closed = self.sources.iter().map(|(uid, entity)| {
                let mut entity = CoreEntity::clone(entity);
                let ancestors = records.get(&**uid).into_iter().flat_map(|record| record.ancestors().iter());
                for ancestor in ancestors.filter_map(|ancestor| convert::uid(ancestor.name()).ok()) {
                    if !entity.is_child_of(&ancestor) {
                        entity.add_indirect_ancestor(ancestor);
                    }
                }
                entity
            });
            let computation = TCComputation::AssumeAlreadyComputed;
            let extensions = Extensions::all_available();
            // Identities are distinct, so that this does not fail.
            Entities::from_entities(closed, None::<&NoEntitiesSchema>, computation, extensions).unwrap_or_default()
        })
    }

    pub(super) fn ancestors(&self, uid: &EntityUID, records: &UidMap<Arc<EntityRecord>>) -> Vec<&EntityUID> {
        match self.entities(records).entity(uid) {
            Dereference::Data(entity) => entity.ancestors().collect(),
            Dereference::NoSuchEntity | Dereference::Residual(_) => Vec::new(),
        }
    }
}
