//! Entities: what policies can know of principals and resources.

mod changes;
mod check;
mod record;

use std::sync::Arc;

pub use self::changes::EntityChanges;
pub(crate) use self::record::{EntityRecord, SUSPENDED};
use crate::compiled::{Uid, UidMap};
use crate::hierarchy::Groups;
use crate::schema::CompiledSchema;
use crate::value::{Attributes, EntityRef};

/// An entity as plain data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entity {
    /// Its identity.
    pub uid: EntityRef,
    /// Its attributes, as the schema declares them.
    pub attributes: Attributes,
    /// Its tags: names of any kind, with values of the one type that the schema declares for them.
    pub tags: Attributes,
    /// The groups that it is directly in.
    pub parents: Vec<EntityRef>,
}

/// An entity that the schema does not allow.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("entity `{uid}`: {message}")]
pub struct EntityError {
    /// Which.
    pub uid: EntityRef,
    /// What is wrong with it.
    pub message: String,
}

/// Every entity that one decision can see: the schema's actions, the bundle's own, and before those the ones stored at run time.
///
/// A persistent structure: a clone shares everything with its origin, and a changed one all but what changed.
#[derive(Clone, Debug, Default)]
pub struct EntityStore {
    records: UidMap<Arc<EntityRecord>>,
    groups: Groups,
}

impl EntityStore {
    /// The schema's actions alone.
    pub(crate) fn of_schema(schema: &CompiledSchema) -> Self {
        let mut store = Self::default();
        for action in schema.action_entities() {
            let record = EntityRecord::action(&action);
            store.records.insert(Arc::clone(record.shared_uid()), Arc::new(record));
        }
        store
    }

    /// To change some of its entities together.
    pub fn change(&self) -> EntityChanges {
        EntityChanges::new(self.clone())
    }

    /// How many entities there are, with the schema's actions.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether an entity is known and in this group, near or far.
    pub fn is_in(&self, uid: &EntityRef, group: &EntityRef) -> bool {
        self.find(&Uid::new(uid.clone())).is_some_and(|record| record.is_in(&Uid::new(group.clone())))
    }

    /// Whether it is `other`, unchanged: what differs may be equal all the same.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.records.ptr_eq(&other.records)
    }

    /// Puts an entity whose groups are known, near and far. Those that are in it stay where they are.
    pub(crate) fn insert_as_read(&mut self, record: Arc<EntityRecord>) {
        self.records.insert(Arc::clone(record.shared_uid()), record);
    }

    /// The groups that an entity is in, near and far, in order; none where it is not known.
    pub fn groups_of(&self, uid: &EntityRef) -> Vec<EntityRef> {
        let ancestors = self.find(&Uid::new(uid.clone())).map(EntityRecord::ancestors);
        let mut groups: Vec<_> =
            ancestors.into_iter().flat_map(|above| above.iter()).map(|group| group.name().clone()).collect();
        groups.sort();
        groups
    }

    /// An entity by its identity.
    pub(crate) fn find(&self, uid: &Uid) -> Option<&EntityRecord> {
        self.records.get(uid).map(Arc::as_ref)
    }

    /// Every entity, in no meaningful order.
    #[cfg(test)]
    pub(crate) fn records(&self) -> impl Iterator<Item = &EntityRecord> {
        self.records.values().map(Arc::as_ref)
    }
}

#[cfg(test)]
mod tests;
