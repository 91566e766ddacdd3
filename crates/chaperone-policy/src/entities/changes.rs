//! Changes of entities that take effect together.

use std::collections::HashSet;
use std::sync::Arc;

use super::record::EntityRecord;
use super::{Entity, EntityError, EntityStore, check};
use crate::bundle::Bundle;
use crate::compiled::{Symbols, Uid, UidHasher, UidSet};
use crate::hierarchy::{self, HierarchyError};
use crate::value::EntityRef;

/// Changes of entities that take effect together.
///
/// They cost in proportion to themselves, not to what else is there; a changed place in the hierarchy, to what is below it.
#[derive(Debug)]
pub struct EntityChanges {
    next: EntityStore,
    /// Those that are in other groups than before.
    moved: HashSet<Arc<Uid>, UidHasher>,
    errors: Vec<EntityError>,
}

impl EntityChanges {
    pub(super) fn new(store: EntityStore) -> Self {
        Self { next: store, moved: HashSet::default(), errors: Vec::new() }
    }

    /// Puts stored entities in the place of those with the same identity. `bundle` is the one whose entities are changed.
    pub fn put<'a>(&mut self, bundle: &Bundle, entities: impl IntoIterator<Item = &'a Entity>) {
        let schema = bundle.schema();
        for entity in entities {
            match check::check(entity, schema) {
                Ok(()) => self.insert(entity, schema.symbols()),
                Err(error) => self.errors.push(error),
            }
        }
    }

    /// Takes stored entities away: what is left is what the bundle has of the same identity, or nothing.
    pub fn remove<'a>(&mut self, bundle: &Bundle, uids: impl IntoIterator<Item = &'a EntityRef>) {
        for uid in uids {
            let uid = self.shared(Uid::new(uid.clone()));
            let own = bundle.own_entities();
            let record = own.find(&uid).cloned();
            self.set(uid, record);
        }
    }

    /// What is there after these changes.
    ///
    /// # Errors
    /// With every entity that the schema does not allow, or with one that is among its own ancestors or in too many groups.
    pub fn finish(mut self) -> Result<EntityStore, Vec<EntityError>> {
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        hierarchy::close(&mut self.next.groups, &mut self.next.records, self.moved).map_err(|error| {
            let (HierarchyError::Cycle(uid) | HierarchyError::TooManyAncestors(uid)) = &error;
            vec![EntityError { uid: uid.clone(), message: error.to_string() }]
        })?;
        Ok(self.next)
    }

    /// Puts an entity that the schema allows.
    pub(crate) fn insert(&mut self, entity: &Entity, symbols: &Symbols) {
        match EntityRecord::new(entity, symbols, |uid| self.shared(uid)) {
            Ok(record) => {
                self.set(Arc::clone(record.shared_uid()), Some(record));
            }
            Err(error) => self.errors.push(EntityError { uid: entity.uid.clone(), message: error.to_string() }),
        }
    }

    /// The one identity that is kept for all that name it.
    fn shared(&self, uid: Uid) -> Arc<Uid> {
        match self.next.records.get_key_value(&uid) {
            Some((known, _)) => Arc::clone(known),
            None => self.next.groups.shared(uid),
        }
    }

    fn set(&mut self, uid: Arc<Uid>, record: Option<EntityRecord>) {
        let old = self.next.records.get(&*uid).map(Arc::clone);
        let none = UidSet::default();
        let parents_before = old.as_ref().map_or(&none, |old| old.parents());
        let parents = record.as_ref().map_or(&none, EntityRecord::parents);
        let stays = parents_before == parents;
        if !stays {
            for parent in parents_before.iter().filter(|parent| !parents.contains(parent)) {
                self.next.groups.leave(parent, &uid);
            }
            for parent in parents.iter().filter(|parent| !parents_before.contains(parent)) {
                self.next.groups.join(parent, &uid, &self.next.records);
            }
            self.moved.insert(Arc::clone(&uid));
        }
        match record {
            Some(mut record) => {
                if let (true, Some(old)) = (stays, old) {
                    record.set_ancestors(Arc::clone(old.ancestors()));
                }
                self.next.records.insert(uid, Arc::new(record));
            }
            None => drop(self.next.records.remove(&*uid)),
        }
    }
}
