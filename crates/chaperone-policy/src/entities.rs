//! Entities: what policies can know of principals and resources.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cedar_policy_core::ast::{Entity as CoreEntity, EntityUID, Literal, PartialValue, ValueKind};
use cedar_policy_core::entities::conformance::EntitySchemaConformanceChecker;
use cedar_policy_core::entities::{Dereference, Entities, NoEntitiesSchema, Schema as _, TCComputation};
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::validator::CoreSchema;

use crate::convert;
use crate::diagnostics::message_of;
use crate::hierarchy::{self, HierarchyError};
use crate::schema::CompiledSchema;
use crate::value::{Attributes, EntityRef};

/// The attribute that suspends a principal when it is true.
const SUSPENDED: &str = "suspended";

/// An entity as plain data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entity {
    /// Its identity.
    pub uid: EntityRef,
    /// Its attributes, as the schema declares them.
    pub attributes: Attributes,
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

/// Every entity that one decision can see: the bundle's, and before them those stored at run time. Immutable and cheap to clone.
#[derive(Clone, Debug)]
pub struct EntityStore {
    entities: Arc<Entities>,
}

impl EntityStore {
    /// The schema's actions, `base`, and before those of the same identity `stored`.
    ///
    /// # Errors
    /// With every stored entity that the schema does not allow, or with one that is among its own ancestors.
    pub(crate) fn new<'a>(
        schema: &CompiledSchema,
        base: &[CoreEntity],
        stored: impl IntoIterator<Item = &'a Entity>,
    ) -> Result<Self, Vec<EntityError>> {
        let core = CoreSchema::new(schema.validator().schema());
        let checker = EntitySchemaConformanceChecker::new(&core, Extensions::all_available());
        let mut overlay = HashMap::new();
        let mut errors = Vec::new();
        for entity in stored {
            let refuse = |message: String| EntityError { uid: entity.uid.clone(), message };
            let valid = to_core(entity)
                .map_err(|error| refuse(error.to_string()))
                .and_then(|core| {
                    if core.uid().is_action() { Err(refuse("actions belong into the schema".into())) } else { Ok(core) }
                })
                .and_then(|core| match checker.validate_entity(&core) {
                    Ok(()) => Ok(core),
                    Err(error) => Err(refuse(message_of(&error))),
                });
            match valid {
                Ok(core) => drop(overlay.insert(core.uid().clone(), core)),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let kept = base.iter().filter(|entity| !overlay.contains_key(entity.uid())).cloned();
        let actions = core.action_entities().map(Arc::unwrap_or_clone);
        let own: Vec<CoreEntity> =
            kept.filter(|entity| !entity.uid().is_action()).chain(overlay.values().cloned()).collect();
        let closed = hierarchy::close(own).map_err(|error| vec![in_hierarchy(&error)])?;
        let computed = Entities::from_entities(
            closed.into_iter().chain(actions),
            None::<&NoEntitiesSchema>,
            TCComputation::AssumeAlreadyComputed,
            Extensions::all_available(),
        );
        match computed {
            Ok(entities) => Ok(Self { entities: Arc::new(entities) }),
            // Identities are distinct, so that this does not happen; if it did, nothing may be decided.
            Err(error) => Err(vec![EntityError { uid: EntityRef::new("", ""), message: message_of(&error) }]),
        }
    }

    /// Cedar's own entities.
    pub(crate) fn as_core(&self) -> &Entities {
        &self.entities
    }

    /// The groups that an entity is in, near and far; none for one that is not known.
    pub(crate) fn ancestors(&self, uid: &EntityUID) -> Vec<&EntityUID> {
        self.find(uid).map(|entity| entity.ancestors().collect()).unwrap_or_default()
    }

    /// Whether an entity is known and says `suspended`.
    pub(crate) fn is_suspended(&self, uid: &EntityUID) -> bool {
        let attribute = self.find(uid).and_then(|entity| entity.get(SUSPENDED));
        matches!(attribute, Some(PartialValue::Value(value)) if *value.value_kind() == ValueKind::Lit(Literal::Bool(true)))
    }

    /// An entity that is known.
    pub(crate) fn find(&self, uid: &EntityUID) -> Option<&CoreEntity> {
        match self.entities.entity(uid) {
            Dereference::Data(entity) => Some(entity),
            Dereference::NoSuchEntity | Dereference::Residual(_) => None,
        }
    }
}

fn in_hierarchy(error: &HierarchyError) -> EntityError {
    EntityError { uid: convert::entity_ref(error.uid()), message: error.to_string() }
}

pub(crate) fn to_core(entity: &Entity) -> Result<CoreEntity, convert::ConvertError> {
    let uid = convert::uid(&entity.uid)?;
    let attributes = convert::record(&entity.attributes)?;
    let parents = entity.parents.iter().map(convert::uid).collect::<Result<HashSet<_>, _>>()?;
    let attributes = attributes.into_iter().map(|(name, value)| (name, PartialValue::Value(value)));
    Ok(CoreEntity::new_with_attr_partial_value(uid, attributes, HashSet::new(), parents, []))
}
