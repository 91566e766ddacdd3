//! What the scopes of policies let through, as the schema tells it: actions, and types of principals and resources.

use cedar_policy_core::ast::{ActionConstraint, EntityReference, PrincipalOrResourceConstraint as Constraint};
use smol_str::{SmolStr, ToSmolStr as _};

use crate::compiled::Uid;
use crate::convert;
use crate::schema::Action;

/// Whether a constraint lets an action through.
pub(crate) fn covers(constraint: &ActionConstraint, action: &Action) -> bool {
    match constraint {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => **uid == action.uid,
        ActionConstraint::In(groups) => groups
            .iter()
            .any(|group| **group == action.uid || action.groups.contains(&Uid::new(convert::entity_ref(group)))),
        #[allow(unreachable_patterns, reason = "Cedar has another constraint with a feature that others may turn on")]
        _ => false,
    }
}

/// Those of the types that a constraint lets through. Which types can be in a group is not asked.
pub(crate) fn kinds(constraint: &Constraint, declared: &[SmolStr]) -> Vec<SmolStr> {
    let only = match constraint {
        Constraint::Is(kind) | Constraint::IsIn(kind, _) => Some(kind.to_smolstr()),
        Constraint::Eq(EntityReference::EUID(uid)) => Some(uid.entity_type().to_smolstr()),
        Constraint::Any | Constraint::Eq(EntityReference::Slot(_)) | Constraint::In(_) => None,
    };
    declared.iter().filter(|kind| only.as_ref().is_none_or(|only| only == *kind)).cloned().collect()
}
