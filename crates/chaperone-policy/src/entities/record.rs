//! One entity, in compiled form.

use std::sync::Arc;

use cedar_policy_core::ast::Entity as CoreEntity;
use smol_str::SmolStr;

use super::Entity;
use crate::compiled::{Datum, Record, Symbol, Symbols, Uid, UidSet, record};
use crate::convert::{self, ConvertError};
use crate::recorded::{EntityState, MarkCell, StateMark};

/// The attribute that suspends a principal when it is true.
pub(crate) const SUSPENDED: &str = "suspended";

/// One entity, in compiled form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EntityRecord {
    uid: Arc<Uid>,
    attributes: Record,
    /// In the order of their names.
    tags: Box<[(SmolStr, Datum)]>,
    parents: UidSet,
    /// Shared by those with the same single parent.
    ancestors: Arc<UidSet>,
    suspended: bool,
    /// Of its state, where that was ever recorded.
    mark: MarkCell,
}

impl EntityRecord {
    /// From an entity that the schema allows. Its ancestors are not known yet.
    ///
    /// # Errors
    /// When a value cannot be held.
    pub(super) fn new(
        entity: &Entity,
        symbols: &Symbols,
        mut uid: impl FnMut(Uid) -> Arc<Uid>,
    ) -> Result<Self, ConvertError> {
        let attributes = record(&entity.attributes, symbols)?;
        let tags = entity.tags.iter().map(|(name, value)| Ok((name.clone(), Datum::new(value, symbols)?)));
        let suspended = symbols.find(SUSPENDED).and_then(|symbol| attributes.find(symbol));
        Ok(Self {
            suspended: matches!(suspended, Some(Datum::Bool(true))),
            attributes,
            tags: tags.collect::<Result<_, ConvertError>>()?,
            parents: entity.parents.iter().map(|parent| uid(Uid::new(parent.clone()))).collect(),
            uid: uid(Uid::new(entity.uid.clone())),
            ancestors: Arc::default(),
            mark: MarkCell::default(),
        })
    }

    /// From what a decision read of an entity.
    ///
    /// # Errors
    /// When a value cannot be held.
    pub(crate) fn as_read(state: &EntityState, symbols: &Symbols) -> Result<Self, ConvertError> {
        let attributes = record(&state.attributes, symbols)?;
        let tags = state.tags.iter().map(|(name, value)| Ok((name.clone(), Datum::new(value, symbols)?)));
        let suspended = symbols.find(SUSPENDED).and_then(|symbol| attributes.find(symbol));
        let ancestors: UidSet = state.ancestors.iter().map(|group| Arc::new(Uid::new(group.clone()))).collect();
        Ok(Self {
            suspended: matches!(suspended, Some(Datum::Bool(true))),
            attributes,
            tags: tags.collect::<Result<_, ConvertError>>()?,
            parents: UidSet::default(),
            uid: Arc::new(Uid::new(state.uid().clone())),
            ancestors: Arc::new(ancestors),
            mark: MarkCell::default(),
        })
    }

    /// The mark of its state, of which `state` makes the text.
    pub(crate) fn mark(&self, state: impl FnOnce() -> String) -> &StateMark {
        self.mark.get(state)
    }

    /// An action of the schema, which has no attributes.
    pub(super) fn action(action: &CoreEntity) -> Self {
        let uid = |uid| Arc::new(Uid::new(convert::entity_ref(uid)));
        let ancestors: UidSet = action.ancestors().map(uid).collect();
        Self {
            uid: uid(action.uid()),
            attributes: Record::default(),
            tags: Box::default(),
            parents: ancestors.clone(),
            ancestors: Arc::new(ancestors),
            suspended: false,
            mark: MarkCell::default(),
        }
    }

    /// Its identity.
    pub(crate) fn uid(&self) -> &Uid {
        &self.uid
    }

    /// Its identity, to be kept.
    pub(crate) fn shared_uid(&self) -> &Arc<Uid> {
        &self.uid
    }

    /// An attribute's value.
    pub(crate) fn attribute(&self, symbol: Symbol) -> Option<&Datum> {
        self.attributes.find(symbol)
    }

    /// Every attribute.
    pub(crate) fn attributes(&self) -> &Record {
        &self.attributes
    }

    /// A tag's value.
    pub(crate) fn tag(&self, name: &str) -> Option<&Datum> {
        let place = self.tags.binary_search_by(|(own, _)| own.as_str().cmp(name)).ok()?;
        self.tags.get(place).map(|(_, value)| value)
    }

    /// Every tag, in the order of their names.
    pub(crate) fn tags(&self) -> impl Iterator<Item = (&SmolStr, &Datum)> {
        self.tags.iter().map(|(name, value)| (name, value))
    }

    /// Whether it is in this group, near or far. It is not in itself.
    pub(crate) fn is_in(&self, group: &Uid) -> bool {
        self.ancestors.contains(group)
    }

    /// The groups that it is directly in.
    pub(crate) fn parents(&self) -> &UidSet {
        &self.parents
    }

    /// The groups that it is in, near and far.
    pub(crate) fn ancestors(&self) -> &Arc<UidSet> {
        &self.ancestors
    }

    /// Takes the groups that it is in from those who know the hierarchy.
    pub(crate) fn set_ancestors(&mut self, ancestors: Arc<UidSet>) {
        self.ancestors = ancestors;
        self.mark = MarkCell::default();
    }

    /// Whether it says `suspended`.
    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended
    }
}
