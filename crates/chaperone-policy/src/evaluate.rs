//! One request in Cedar's terms, ready to evaluate conditions.

use std::collections::HashMap;
use std::sync::LazyLock;

use cedar_policy_core::ast::{
    Context, EntityUID, EntityUIDEntry, Expr, Literal, Request as CoreRequest, SlotEnv, ValueKind,
};
use cedar_policy_core::entities::Entities;
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;

use crate::decision::Failure;
use crate::entities::EntityStore;
use crate::index::Member;
use crate::reference;
use crate::schema::Action;

/// No slots: there are no templates.
static NO_SLOTS: LazyLock<SlotEnv> = LazyLock::new(HashMap::new);

/// One request in Cedar's terms, with the entities that it is decided with.
pub(crate) struct Situation<'a> {
    principal: EntityUID,
    principal_ancestors: Vec<&'a EntityUID>,
    action: &'a EntityUID,
    action_ancestors: Vec<&'a EntityUID>,
    resource: EntityUID,
    resource_ancestors: Vec<&'a EntityUID>,
    evaluator: Evaluator<'a>,
    by_cedar: Option<reference::Situation<'a>>,
}

impl<'a> Situation<'a> {
    /// From the request's parts.
    pub(crate) fn new(
        entities: &'a EntityStore,
        principal: EntityUID,
        action: &'a Action,
        resource: EntityUID,
        context: Context,
    ) -> Self {
        let request = CoreRequest::new_unchecked(
            EntityUIDEntry::known(principal.clone(), None),
            EntityUIDEntry::known(action.uid.clone(), None),
            EntityUIDEntry::known(resource.clone(), None),
            Some(context),
        );
        let core: &'a Entities = entities.as_core();
        Self {
            principal_ancestors: entities.ancestors(&principal),
            principal,
            action: &action.uid,
            action_ancestors: action.ancestors.iter().collect(),
            resource_ancestors: entities.ancestors(&resource),
            resource,
            evaluator: Evaluator::new(request, core, Extensions::all_available()),
            by_cedar: None,
        }
    }

    /// The same, to be evaluated by Cedar's own authorizer.
    pub(crate) fn by_cedar(self, by_cedar: reference::Situation<'a>) -> Self {
        Self { by_cedar: Some(by_cedar), ..self }
    }

    /// How Cedar's own authorizer sees it, where that is to evaluate it.
    pub(crate) fn as_reference(&self) -> Option<&reference::Situation<'a>> {
        self.by_cedar.as_ref()
    }

    /// Action, principal and resource with the groups that they are in.
    pub(crate) fn members(&self) -> (Member<'_>, Member<'_>, Member<'_>) {
        (
            Member { uid: self.action, ancestors: &self.action_ancestors },
            Member { uid: &self.principal, ancestors: &self.principal_ancestors },
            Member { uid: &self.resource, ancestors: &self.resource_ancestors },
        )
    }

    /// Whether a condition holds; the absent one does.
    pub(crate) fn holds(&self, condition: Option<&Expr>) -> Result<bool, Failure> {
        let Some(condition) = condition else { return Ok(true) };
        match self.evaluator.interpret(condition, &NO_SLOTS) {
            Ok(value) => match value.value_kind() {
                ValueKind::Lit(Literal::Bool(holds)) => Ok(*holds),
                _ => Err(Failure::WrongType),
            },
            Err(error) => Err(Failure::from(&error)),
        }
    }
}
