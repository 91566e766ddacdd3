//! Cedar's types as plain data.

use std::sync::Arc;

use cedar_policy_core::validator::ValidatorActionId;
use cedar_policy_core::validator::types::{EntityKind, Type as CedarType};
use smol_str::ToSmolStr as _;

use crate::shape::{ActionShape, Field, Fields, Type};

/// The shape of an action whose `context.request` has these fields. Its number is not known yet.
pub(super) fn action(id: &ValidatorActionId, attributes: Fields) -> ActionShape {
    let mut principals: Vec<_> = id.applies_to_principals().map(ToString::to_string).map(Into::into).collect();
    let mut resources: Vec<_> = id.applies_to_resources().map(ToString::to_string).map(Into::into).collect();
    principals.sort_unstable();
    resources.sort_unstable();
    ActionShape { number: 0, principals, resources, attributes: Arc::new(attributes) }
}

/// The fields of a record type, or what cannot be said in plain data.
pub(super) fn fields(record: &CedarType) -> Result<Fields, String> {
    let CedarType::Record { attrs, .. } = record else {
        return Err("`request` must be a record".into());
    };
    attrs
        .iter()
        .map(|(name, attribute)| {
            let field = Field { ty: ty(&attribute.attr_type)?, required: attribute.is_required() };
            Ok((name.clone(), field))
        })
        .collect()
}

fn ty(cedar: &CedarType) -> Result<Type, String> {
    Ok(match cedar {
        CedarType::Bool(_) => Type::Bool,
        CedarType::Long => Type::Long,
        CedarType::String => Type::String,
        CedarType::Entity(EntityKind::Entity(kinds)) => match kinds.get_single_entity() {
            Some(kind) => Type::Entity(kind.to_smolstr()),
            None => return Err("an attribute must be of one entity type".into()),
        },
        CedarType::Set { element_type: Some(element) } => Type::Set(Box::new(ty(element)?)),
        CedarType::Record { .. } => Type::Record(fields(cedar)?),
        CedarType::ExtensionType { name } => match name.to_string().as_str() {
            "ipaddr" => Type::Ip,
            "decimal" => Type::Decimal,
            "datetime" => Type::Datetime,
            "duration" => Type::Duration,
            other => return Err(format!("attributes of type `{other}` are not supported")),
        },
        CedarType::Never | CedarType::Entity(EntityKind::AnyEntity) | CedarType::Set { element_type: None } => {
            return Err("an attribute has no definite type".into());
        }
    })
}
