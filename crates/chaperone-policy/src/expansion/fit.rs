//! What one schema has of another: where policies that were written for it mean the same under the other.

use std::collections::{BTreeSet, HashSet};

use cedar_policy::RequestEnv;
use cedar_policy_core::ast::{EntityUID, ExprKind, Policy as CorePolicy};
use cedar_policy_core::validator::types::{Attributes, Type};
use cedar_policy_core::validator::{ValidatorEntityType, ValidatorSchema};
use smol_str::SmolStr;

use super::Before;

/// How a first schema fits a second one.
pub(super) struct Fit<'a> {
    before: &'a ValidatorSchema,
    after: &'a ValidatorSchema,
    /// The first type of entities that is not what it was, and how.
    types: Result<(), String>,
    /// The names of attributes that the first one's policies look for with `has`.
    sought: HashSet<SmolStr>,
}

/// Attributes that are in the second schema only.
#[derive(Default)]
struct Added(BTreeSet<SmolStr>);

impl<'a> Fit<'a> {
    /// `policies` were written for the first one.
    pub(super) fn between<'p>(
        before: &'a ValidatorSchema,
        after: &'a ValidatorSchema,
        policies: impl Iterator<Item = &'p CorePolicy>,
    ) -> Self {
        let sought = policies.flat_map(sought).collect();
        let mut fit = Self { before, after, types: Ok(()), sought };
        fit.types = fit.types();
        fit
    }

    /// What the first one knows of a kind of request of the second one.
    pub(super) fn of(&self, environment: &RequestEnv) -> Before {
        let action: &EntityUID = environment.action().as_ref();
        let (principal, resource) = (environment.principal().as_ref(), environment.resource().as_ref());
        let known = self.before.get_action_id(action).filter(|known| {
            known.is_applicable_principal_type(principal) && known.is_applicable_resource_type(resource)
        });
        let Some(known) = known else { return Before::Unknown };
        let fits = self.types.clone().and_then(|()| {
            if self.groups(self.before, action) != self.groups(self.after, action) {
                return Err("the action is in other groups".to_owned());
            }
            match (known.context(), self.after.context_type(action)) {
                (Some(before), Some(after)) => self.context(before, after),
                _ => Err("the action has no context".to_owned()),
            }
        });
        fits.map_or_else(Before::Incomparable, |()| Before::Known)
    }

    /// The groups of an action that policies of the first schema can name.
    fn groups(&self, schema: &ValidatorSchema, action: &EntityUID) -> BTreeSet<EntityUID> {
        let groups = schema.action_ids().filter(|group| group.descendants().any(|member| member == action));
        groups.map(|group| group.name().clone()).filter(|group| self.before.get_action_id(group).is_some()).collect()
    }

    fn types(&self) -> Result<(), String> {
        let mut names: Vec<_> = self.before.entity_types().collect();
        names.sort_by_key(|kind| kind.name().to_string());
        names.into_iter().try_for_each(|before| {
            let name = before.name();
            let changed = |what: &str| Err(format!("entities of type `{name}` {what}"));
            let Some(after) = self.after.get_entity_type(name) else { return changed("are gone") };
            let groups = |schema: &ValidatorSchema| -> BTreeSet<String> {
                let groups = schema.entity_types().filter(|group| group.has_descendant_entity_type(name));
                groups
                    .map(ValidatorEntityType::name)
                    .filter(|kind| self.before.get_entity_type(kind).is_some())
                    .map(ToString::to_string)
                    .collect()
            };
            if before.kind != after.kind {
                return changed("have other ids or tags");
            }
            if groups(self.before) != groups(self.after) {
                return changed("can be in other groups");
            }
            let mut added = Added::default();
            let equal = |before: &Type, after: &Type, _: &mut Added| before == after;
            match extends(before.attributes(), after.attributes(), &mut added, equal) {
                Some(attribute) => changed(&format!("have another attribute `{attribute}`")),
                None => self.unsought(&added),
            }
        })
    }

    fn context(&self, before: &Type, after: &Type) -> Result<(), String> {
        let mut added = Added::default();
        if record_extends(before, after, &mut added) {
            return self.unsought(&added);
        }
        Err("its context has other attributes".to_owned())
    }

    /// A policy that looks whether an attribute is there means something else once there is such an attribute.
    fn unsought(&self, added: &Added) -> Result<(), String> {
        match added.0.iter().find(|name| self.sought.contains(*name)) {
            Some(name) => Err(format!("a policy looks for `{name}`, which is new")),
            None => Ok(()),
        }
    }
}

/// Whether all that is in the first type is in the second one, in records as deep as they go.
fn record_extends(before: &Type, after: &Type, added: &mut Added) -> bool {
    match (before, after) {
        (Type::Record { attrs: before, .. }, Type::Record { attrs: after, .. }) => {
            extends(before, after, added, record_extends).is_none()
        }
        _ => before == after,
    }
}

/// The first attribute that the second ones do not have as the first ones do. What must be there must stay so: a request without it was none.
fn extends(
    before: &Attributes,
    after: &Attributes,
    added: &mut Added,
    is_kept: impl Fn(&Type, &Type, &mut Added) -> bool,
) -> Option<SmolStr> {
    added.0.extend(after.keys().filter(|name| before.get_attr(name).is_none()).cloned());
    let kept = |name: &SmolStr, added: &mut Added| {
        let (Some(before), Some(after)) = (before.get_attr(name), after.get_attr(name)) else { return false };
        (after.is_required() || !before.is_required()) && is_kept(&before.attr_type, &after.attr_type, added)
    };
    before.keys().find(|name| !kept(name, added)).cloned()
}

/// The names of attributes that a policy looks for.
fn sought(policy: &CorePolicy) -> Vec<SmolStr> {
    let condition = policy.condition();
    let names = condition.subexpressions().flat_map(|expr| match expr.expr_kind() {
        ExprKind::HasAttr { attr, .. } => vec![attr.clone()],
        ExprKind::ExtHasAttr { attrs, .. } => attrs.iter().cloned().collect(),
        _ => Vec::new(),
    });
    names.collect()
}
