//! One request in Cedar's own terms.

use cedar_policy_core::ast::{Context, EntityUID, EntityUIDEntry, Request, Value};
use cedar_policy_core::entities::Entities;

use super::context;
use super::slice::{self, SliceError};
use crate::compiled::{Question, Uid};
use crate::convert::{self, ConvertError};
use crate::entities::EntityStore;
use crate::schema::CompiledSchema;

/// One request in Cedar's own terms, with the entities that it is decided with.
pub(crate) struct Situation<'a> {
    schema: &'a CompiledSchema,
    entities: &'a EntityStore,
    principal: EntityUID,
    action: EntityUID,
    resource: EntityUID,
    context: Context,
}

impl<'a> Situation<'a> {
    /// From a request in compiled form.
    ///
    /// # Errors
    /// When a value cannot be converted. Nothing that the schema allows is such.
    pub(super) fn of(schema: &'a CompiledSchema, question: &Question<'a>) -> Result<Self, ConvertError> {
        let context = context::of(question, schema)?;
        let uid = |uid: &Uid| convert::uid(uid.name());
        let (principal, resource) = (uid(question.principal.uid)?, uid(question.resource.uid)?);
        Ok(Self::new(schema, question.entities, principal, question.action.uid.clone(), resource, context))
    }

    /// From the request's parts.
    pub(crate) fn new(
        schema: &'a CompiledSchema,
        entities: &'a EntityStore,
        principal: EntityUID,
        action: EntityUID,
        resource: EntityUID,
        context: Context,
    ) -> Self {
        Self { schema, entities, principal, action, resource, context }
    }

    /// As Cedar's authorizer takes it.
    pub(super) fn request(&self) -> Request {
        let known = |uid: &EntityUID| EntityUIDEntry::known(uid.clone(), None);
        let context = Some(self.context.clone());
        Request::new_unchecked(known(&self.principal), known(&self.action), known(&self.resource), context)
    }

    /// Every entity that conditions of this depth can look into, when they begin at the request's own and at those that they name.
    pub(super) fn entities(&self, named: &[EntityUID], depth: usize) -> Result<Entities, SliceError> {
        let own = [&self.principal, &self.action, &self.resource].into_iter().cloned();
        let in_context = match &self.context {
            Context::Value(fields) => fields.values().flat_map(Value::all_literal_uids).collect(),
            Context::RestrictedResidual(_) => Vec::new(),
        };
        let roots = own.chain(in_context).chain(named.iter().cloned());
        slice::of(self.schema, self.entities, roots.collect(), depth)
    }
}
