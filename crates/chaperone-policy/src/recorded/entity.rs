//! Entities that are not as their bundle has them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{StateError, StateMark, json};
use crate::bundle::Bundle;
use crate::compiled::{Symbols, Uid};
use crate::entities::{EntityRecord, EntityStore, SUSPENDED};
use crate::mapping::{Mapping, Recorded};
use crate::step_up::value;
use crate::value::{Attributes, EntityRef};

/// What decisions read of an entity, as far as the mapping lets it into records.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EntityState {
    uid: EntityRef,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub(crate) attributes: Attributes,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub(crate) tags: Attributes,
    /// The groups that it is in, near and far.
    #[serde(default, rename = "in", skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) ancestors: BTreeSet<EntityRef>,
    /// Attributes and tags that are not here.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    dropped: BTreeSet<SmolStr>,
}

/// An entity that is not as its bundle has it, for whoever writes its state down.
#[derive(Clone, Copy, Debug)]
pub struct StatedEntity<'a> {
    record: &'a EntityRecord,
    bundle: &'a Bundle,
}

impl EntityState {
    fn of(record: &EntityRecord, symbols: &Symbols, mapping: &Mapping) -> Self {
        let mut state = Self {
            uid: record.uid().name().clone(),
            attributes: Attributes::new(),
            tags: Attributes::new(),
            ancestors: BTreeSet::new(),
            dropped: BTreeSet::new(),
        };
        for (name, datum) in record.attributes().iter().map(|(symbol, datum)| (symbols.name(symbol), datum)) {
            match mapping.recorded_anywhere(&name) {
                // The built-in rule reads it, whatever the mapping says.
                _ if name == SUSPENDED => drop(state.attributes.insert(name, value(datum, symbols))),
                Recorded::Kept => drop(state.attributes.insert(name, value(datum, symbols))),
                Recorded::Hashed | Recorded::Dropped => drop(state.dropped.insert(name)),
            }
        }
        for (name, datum) in record.tags() {
            match mapping.recorded_anywhere(name) {
                Recorded::Kept => drop(state.tags.insert(name.clone(), value(datum, symbols))),
                Recorded::Hashed | Recorded::Dropped => drop(state.dropped.insert(name.clone())),
            }
        }
        state.ancestors = record.ancestors().iter().map(|group| group.name().clone()).collect();
        state
    }

    /// The text.
    pub fn text(&self) -> String {
        json(self)
    }

    /// From a text.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, StateError> {
        serde_json::from_str(text).map_err(|error| StateError::new("entity", &error))
    }

    /// Its identity.
    pub const fn uid(&self) -> &EntityRef {
        &self.uid
    }

    /// Whether this attribute or tag is not here, though there was one.
    pub fn is_dropped(&self, name: &str) -> bool {
        self.dropped.contains(name)
    }
}

impl StatedEntity<'_> {
    /// The digest of its state, and when that was last written down.
    pub fn mark(&self) -> &StateMark {
        self.record.mark(|| self.text())
    }

    /// The text of its state.
    pub fn text(&self) -> String {
        EntityState::of(self.record, self.bundle.schema().symbols(), self.bundle.mapping()).text()
    }
}

impl EntityStore {
    /// Whether there is nothing but what `bundle` has itself.
    pub fn is_own_of(&self, bundle: &Bundle) -> bool {
        self.is_same_as(bundle.own_entities())
    }

    /// An entity that is not as `bundle` has it, of which these are the entities; `None` where it is.
    pub fn stated<'a>(&'a self, bundle: &'a Bundle, uid: &EntityRef) -> Option<StatedEntity<'a>> {
        let uid = Uid::new(uid.clone());
        let record = self.find(&uid)?;
        let is_own = bundle.own_entities().find(&uid).is_some_and(|own| std::ptr::eq(own, record));
        (!is_own).then_some(StatedEntity { record, bundle })
    }
}

impl Bundle {
    /// Its own entities with these before them, as they were read.
    ///
    /// # Errors
    /// When one of them has an attribute or value that its schema does not know.
    pub fn entities_as_read<'a>(
        &self,
        states: impl IntoIterator<Item = &'a EntityState>,
    ) -> Result<EntityStore, StateError> {
        let mut store = self.own_entities().clone();
        for state in states {
            let record = EntityRecord::as_read(state, self.schema().symbols());
            let record = record.map_err(|error| StateError::new("entity of this schema", &error))?;
            store.insert_as_read(Arc::new(record));
        }
        Ok(store)
    }
}
