//! Which policies can apply to a request, found by their scopes: action, then principal, then resource.
//!
//! The cost of a look-up grows with the groups that the three are in and with what is found, not with how many policies there are.

use std::hash::Hash;

use cedar_policy_core::ast::{ActionConstraint, EntityReference, Policy, PrincipalOrResourceConstraint};
use hashbrown::HashMap;
use smallvec::SmallVec;
use smol_str::{SmolStr, ToSmolStr as _};

use super::frame::Subject;
use super::uid::{Uid, UidHasher, UidSet};
use crate::convert;
use crate::entities::EntityRecord;
use crate::schema::Action;

/// Up to how many types are searched from first to last.
const LINEAR_MAX: usize = 4;

/// The places of policies that may apply, in ascending order.
pub(crate) type Candidates = SmallVec<[u32; 32]>;

/// Policies by their scopes. A policy is named by its place in the set.
///
/// INVARIANT (exact): a look-up finds precisely the policies whose scope the request satisfies, so that only their conditions
/// remain to be evaluated.
#[derive(Debug, Default)]
pub(crate) struct Index {
    levels: Vec<Level<Level<Places>>>,
    /// By the number of the action: the levels of every constraint that it satisfies.
    by_action: Vec<Box<[usize]>>,
}

type Places = Vec<u32>;

/// The constraints on the action that policies have, with their places among the levels.
#[derive(Debug, Default)]
struct Actions {
    any: Option<usize>,
    equal: HashMap<Uid, usize, UidHasher>,
    within: HashMap<Uid, usize, UidHasher>,
}

/// What stands under each constraint on one of a scope's other variables.
#[derive(Debug, Default)]
struct Level<T> {
    any: Option<T>,
    equal: HashMap<Uid, T, UidHasher>,
    within: HashMap<Uid, Within<T>, UidHasher>,
    of_type: Kinds<T>,
}

/// What stands under `in` one entity, and under `is T in` it.
#[derive(Debug, Default)]
struct Within<T> {
    any_type: Option<T>,
    of_type: Kinds<T>,
}

/// By entity type. There are few.
#[derive(Debug)]
struct Kinds<T>(Vec<(SmolStr, T)>);

impl Index {
    /// Indexes static policies, each with its place, for the actions of a schema.
    pub(crate) fn new<'a>(
        policies: impl IntoIterator<Item = (u32, &'a Policy)>,
        schema_actions: impl IntoIterator<Item = &'a Action>,
    ) -> Self {
        let mut index = Self::default();
        let mut actions = Actions::default();
        for (place, policy) in policies {
            index.insert(place, policy, &mut actions);
        }
        for action in schema_actions {
            let number = action.shape.number as usize;
            if index.by_action.len() <= number {
                index.by_action.resize_with(number + 1, Box::default);
            }
            if let Some(levels) = index.by_action.get_mut(number) {
                *levels = actions.levels(&action.name, &action.groups).collect();
            }
        }
        index
    }

    fn insert(&mut self, place: u32, policy: &Policy, actions: &mut Actions) {
        let mut next = || {
            self.levels.push(Level::default());
            self.levels.len() - 1
        };
        let levels: SmallVec<[usize; 4]> = match policy.action_constraint() {
            ActionConstraint::Any => [*actions.any.get_or_insert_with(next)].into_iter().collect(),
            ActionConstraint::Eq(action) => {
                let action = Uid::new(convert::entity_ref(action));
                [*actions.equal.entry(action).or_insert_with(next)].into_iter().collect()
            }
            ActionConstraint::In(group) => group
                .iter()
                .map(|action| *actions.within.entry(Uid::new(convert::entity_ref(action))).or_insert_with(&mut next))
                .collect(),
            #[allow(
                unreachable_patterns,
                reason = "Cedar has another constraint with a feature that others may turn on"
            )]
            _ => return,
        };
        let principal = policy.principal_constraint();
        let resource = policy.resource_constraint();
        for level in levels {
            let places = self.levels.get_mut(level).and_then(|level| level.entry(principal.as_inner()));
            if let Some(places) = places.and_then(|level| level.entry(resource.as_inner())) {
                places.push(place);
            }
        }
    }

    /// Adds the policies whose scope these three satisfy to `found`, which is empty.
    pub(crate) fn find(&self, action: &Action, principal: Subject<'_>, resource: Subject<'_>, found: &mut Candidates) {
        for level in self.by_action.get(action.shape.number as usize).into_iter().flatten() {
            let Some(level) = self.levels.get(*level) else { continue };
            level.visit(principal, &mut |level| {
                level.visit(resource, &mut |places| places.iter().for_each(|place| found.push(*place)));
            });
        }
        found.sort_unstable();
        // `action in [a, b]` is found twice when the action is in both.
        found.dedup();
    }
}

impl Actions {
    /// The levels of every constraint that an action satisfies.
    fn levels<'a>(&'a self, action: &'a Uid, groups: &'a UidSet) -> impl Iterator<Item = usize> + 'a {
        let within = std::iter::once(action).chain(groups.iter().map(|group| &**group));
        let within = within.filter_map(|group| self.within.get(group));
        self.any.iter().chain(self.equal.get(action)).chain(within).copied()
    }
}

impl<T: Default> Level<T> {
    /// Where a constraint's policies belong; `None` for a template's slot, which no linked policy has.
    fn entry(&mut self, constraint: &PrincipalOrResourceConstraint) -> Option<&mut T> {
        let uid = |uid| Uid::new(convert::entity_ref(uid));
        Some(match constraint {
            PrincipalOrResourceConstraint::Any => self.any.get_or_insert_default(),
            PrincipalOrResourceConstraint::Eq(EntityReference::EUID(entity)) => {
                self.equal.entry(uid(entity)).or_default()
            }
            PrincipalOrResourceConstraint::In(EntityReference::EUID(group)) => {
                self.within.entry(uid(group)).or_default().any_type.get_or_insert_default()
            }
            PrincipalOrResourceConstraint::Is(kind) => self.of_type.entry(kind.to_smolstr()),
            PrincipalOrResourceConstraint::IsIn(kind, EntityReference::EUID(group)) => {
                self.within.entry(uid(group)).or_default().of_type.entry(kind.to_smolstr())
            }
            PrincipalOrResourceConstraint::Eq(EntityReference::Slot(_))
            | PrincipalOrResourceConstraint::In(EntityReference::Slot(_))
            | PrincipalOrResourceConstraint::IsIn(_, EntityReference::Slot(_)) => return None,
        })
    }
}

impl<T> Level<T> {
    /// Visits what stands under every constraint that an entity satisfies.
    fn visit(&self, subject: Subject<'_>, visit: &mut impl FnMut(&T)) {
        let kind = subject.uid.kind();
        self.any.iter().for_each(&mut *visit);
        self.of_type.find(kind).into_iter().for_each(&mut *visit);
        find(&self.equal, subject.uid).into_iter().for_each(&mut *visit);
        if self.within.is_empty() {
            return;
        }
        let mut enter = |within: &Within<T>| {
            within.any_type.iter().for_each(&mut *visit);
            within.of_type.find(kind).into_iter().for_each(&mut *visit);
        };
        find(&self.within, subject.uid).into_iter().for_each(&mut enter);
        let Some(ancestors) = subject.record.map(EntityRecord::ancestors) else { return };
        // Whichever are fewer are looked at one by one.
        if ancestors.len() <= self.within.len() {
            ancestors.iter().filter_map(|group| self.within.get(&**group)).for_each(enter);
        } else {
            // An entity is never among its own ancestors, so that nothing is visited twice.
            self.within.iter().filter(|(group, _)| ancestors.contains(group)).for_each(|(_, within)| enter(within));
        }
    }
}

/// What stands under an entity, without a look-up where nothing stands under any.
fn find<'a, K: Eq + Hash, T>(map: &'a HashMap<K, T, UidHasher>, key: &K) -> Option<&'a T> {
    if map.is_empty() { None } else { map.get(key) }
}

impl<T> Default for Kinds<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Default> Kinds<T> {
    fn entry(&mut self, kind: SmolStr) -> &mut T {
        let place = match self.0.binary_search_by(|(known, _)| known.cmp(&kind)) {
            Ok(place) => place,
            Err(place) => {
                self.0.insert(place, (kind, T::default()));
                place
            }
        };
        #[expect(clippy::indexing_slicing, reason = "it was found or inserted at this place")]
        &mut self.0[place].1
    }
}

impl<T> Kinds<T> {
    fn find(&self, kind: &SmolStr) -> Option<&T> {
        if self.0.len() <= LINEAR_MAX {
            return self.0.iter().find(|(known, _)| known == kind).map(|(_, value)| value);
        }
        let place = self.0.binary_search_by(|(known, _)| known.cmp(kind)).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }
}
