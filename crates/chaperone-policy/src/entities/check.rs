//! Whether the schema allows an entity.

use std::collections::HashSet;

use cedar_policy_core::ast::{Entity as CoreEntity, PartialValue};
use cedar_policy_core::entities::conformance::EntitySchemaConformanceChecker;
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::validator::CoreSchema;

use super::{Entity, EntityError};
use crate::convert::{self, ConvertError};
use crate::diagnostics::message_of;
use crate::schema::CompiledSchema;
use crate::value::Attributes;

/// Checks an entity.
///
/// # Errors
/// When the schema does not allow it, or it is an action: those are the schema's.
pub(super) fn check(entity: &Entity, schema: &CompiledSchema) -> Result<(), EntityError> {
    let refuse = |message: String| EntityError { uid: entity.uid.clone(), message };
    let core = to_core(entity).map_err(|error| refuse(error.to_string()))?;
    if core.uid().is_action() {
        return Err(refuse("actions belong into the schema".into()));
    }
    let schema = CoreSchema::new(schema.validator().schema());
    let checker = EntitySchemaConformanceChecker::new(&schema, Extensions::all_available());
    checker.validate_entity(&core).map_err(|error| refuse(message_of(&error)))
}

fn to_core(entity: &Entity) -> Result<CoreEntity, ConvertError> {
    let uid = convert::uid(&entity.uid)?;
    let attributes = values(&entity.attributes)?;
    let tags = values(&entity.tags)?;
    let parents = entity.parents.iter().map(convert::uid).collect::<Result<HashSet<_>, _>>()?;
    Ok(CoreEntity::new_with_attr_partial_value(uid, attributes, HashSet::new(), parents, tags))
}

fn values(
    attributes: &Attributes,
) -> Result<impl Iterator<Item = (smol_str::SmolStr, PartialValue)> + use<>, ConvertError> {
    let values = convert::record(attributes)?;
    Ok(values.into_iter().map(|(name, value)| (name, PartialValue::Value(value))))
}
