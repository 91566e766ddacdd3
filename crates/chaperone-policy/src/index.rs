//! Which policies can apply to a request, found by their scopes: action, then principal, then resource.
//!
//! The cost of a look-up grows with the groups that the three are in and with what is found, not with how many policies there are.

use std::collections::HashMap;

use cedar_policy_core::ast::{
    ActionConstraint, EntityReference, EntityType, EntityUID, Policy, PrincipalOrResourceConstraint,
};

/// Policies by their scopes. A policy is named by its place in the set.
///
/// INVARIANT (exact): a look-up finds precisely the policies whose scope the request satisfies, so that only their conditions
/// remain to be evaluated.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_action: Level<Level<Level<Vec<usize>>>>,
}

/// What stands under each constraint on one of a scope's three variables.
#[derive(Debug, Default)]
struct Level<T> {
    any: T,
    equal: HashMap<EntityUID, T>,
    within: HashMap<EntityUID, Within<T>>,
    of_type: HashMap<EntityType, T>,
}

/// What stands under `in` one entity, and under `is T in` it.
#[derive(Debug, Default)]
struct Within<T> {
    any_type: T,
    of_type: HashMap<EntityType, T>,
}

/// An entity with the groups that it is in, near and far, without itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a> {
    /// The entity.
    pub(crate) uid: &'a EntityUID,
    /// The groups.
    pub(crate) ancestors: &'a [&'a EntityUID],
}

impl Index {
    /// Indexes static policies.
    pub(crate) fn new<'a>(policies: impl IntoIterator<Item = &'a Policy>) -> Self {
        let mut index = Self::default();
        for (place, policy) in policies.into_iter().enumerate() {
            index.insert(place, policy);
        }
        index
    }

    fn insert(&mut self, place: usize, policy: &Policy) {
        let principal = policy.principal_constraint();
        let resource = policy.resource_constraint();
        let under = |level: &mut Level<Level<Vec<usize>>>| {
            if let Some(places) = level.entry(principal.as_inner()).and_then(|level| level.entry(resource.as_inner())) {
                places.push(place);
            }
        };
        match policy.action_constraint() {
            ActionConstraint::Any => under(&mut self.by_action.any),
            ActionConstraint::Eq(action) => {
                under(self.by_action.equal.entry(action.as_ref().clone()).or_default());
            }
            ActionConstraint::In(actions) => {
                for action in actions {
                    under(&mut self.by_action.within.entry(action.as_ref().clone()).or_default().any_type);
                }
            }
        }
    }

    /// The places of the policies whose scope these three satisfy, in ascending order.
    pub(crate) fn find(&self, action: Member<'_>, principal: Member<'_>, resource: Member<'_>) -> Vec<usize> {
        let mut places = Vec::new();
        self.by_action.visit(action, &mut |level| {
            level.visit(principal, &mut |level| {
                level.visit(resource, &mut |found| places.extend_from_slice(found));
            });
        });
        places.sort_unstable();
        // `action in [a, b]` is found twice when the action is in both.
        places.dedup();
        places
    }
}

impl<T: Default> Level<T> {
    /// Where a constraint's policies belong; `None` for a template's slot, which no static policy has.
    fn entry(&mut self, constraint: &PrincipalOrResourceConstraint) -> Option<&mut T> {
        Some(match constraint {
            PrincipalOrResourceConstraint::Any => &mut self.any,
            PrincipalOrResourceConstraint::Eq(EntityReference::EUID(uid)) => {
                self.equal.entry(uid.as_ref().clone()).or_default()
            }
            PrincipalOrResourceConstraint::In(EntityReference::EUID(uid)) => {
                &mut self.within.entry(uid.as_ref().clone()).or_default().any_type
            }
            PrincipalOrResourceConstraint::Is(kind) => self.of_type.entry(kind.as_ref().clone()).or_default(),
            PrincipalOrResourceConstraint::IsIn(kind, EntityReference::EUID(uid)) => {
                let within = self.within.entry(uid.as_ref().clone()).or_default();
                within.of_type.entry(kind.as_ref().clone()).or_default()
            }
            PrincipalOrResourceConstraint::Eq(EntityReference::Slot(_))
            | PrincipalOrResourceConstraint::In(EntityReference::Slot(_))
            | PrincipalOrResourceConstraint::IsIn(_, EntityReference::Slot(_)) => return None,
        })
    }
}

impl<T> Level<T> {
    /// Visits what stands under every constraint that `member` satisfies.
    fn visit(&self, member: Member<'_>, visit: &mut impl FnMut(&T)) {
        let kind = member.uid.entity_type();
        visit(&self.any);
        self.equal.get(member.uid).into_iter().for_each(&mut *visit);
        self.of_type.get(kind).into_iter().for_each(&mut *visit);
        if self.within.is_empty() {
            return;
        }
        for group in std::iter::once(member.uid).chain(member.ancestors.iter().copied()) {
            if let Some(within) = self.within.get(group) {
                visit(&within.any_type);
                within.of_type.get(kind).into_iter().for_each(&mut *visit);
            }
        }
    }
}
