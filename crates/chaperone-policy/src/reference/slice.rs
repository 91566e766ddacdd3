//! The few entities that a request can reach, in Cedar's own form.

use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::{Entity, EntityUID, PartialValue};
use cedar_policy_core::entities::err::EntitiesError;
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;

use crate::compiled::Uid;
use crate::convert;
use crate::entities::EntityStore;
use crate::schema::CompiledSchema;

/// Entities that do not go together. Those of one store do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SliceError {
    /// Cedar refuses them.
    #[error("{0}")]
    Refused(Box<EntitiesError>),
}

/// What can be reached from `roots` when a condition looks into at most `depth` entities one after the other.
///
/// An entity carries its ancestors' identities with it, so that the ancestors themselves are not needed.
pub(super) fn of(
    schema: &CompiledSchema,
    store: &EntityStore,
    roots: Vec<EntityUID>,
    depth: usize,
) -> Result<Entities, SliceError> {
    let mut seen: HashSet<EntityUID> = HashSet::new();
    let mut slice: Vec<Arc<Entity>> = Vec::new();
    let mut level = roots;
    for _ in 0..depth {
        let mut next = Vec::new();
        for uid in level {
            if seen.contains(&uid) {
                continue;
            }
            if let Some(entity) = find(schema, store, &uid) {
                next.extend(entity.attrs().chain(entity.tags()).flat_map(|(_, value)| entities_in(value)));
                slice.push(entity);
            }
            seen.insert(uid);
        }
        level = next;
    }
    let closed = TCComputation::AssumeAlreadyComputed;
    Entities::new()
        .add_entities(slice, None::<&NoEntitiesSchema>, closed, Extensions::all_available())
        .map_err(|error| SliceError::Refused(Box::new(error)))
}

fn find(schema: &CompiledSchema, store: &EntityStore, uid: &EntityUID) -> Option<Arc<Entity>> {
    if uid.is_action() {
        return schema.action_entity(uid);
    }
    let record = store.find(&Uid::new(convert::entity_ref(uid)))?;
    // What the schema allows can be converted.
    super::convert::entity(record, schema.symbols()).ok().map(Arc::new)
}

fn entities_in(value: &PartialValue) -> HashSet<EntityUID> {
    match value {
        PartialValue::Value(value) => value.all_literal_uids(),
        PartialValue::Residual(_) => HashSet::new(),
    }
}
