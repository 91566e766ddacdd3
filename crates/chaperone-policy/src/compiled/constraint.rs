//! The constraints of policies' scopes, numbered.

use std::hash::Hash;

use cedar_policy_core::ast::{ActionConstraint, EntityReference, PrincipalOrResourceConstraint};
use hashbrown::HashMap;
use smallvec::SmallVec;
use smol_str::{SmolStr, ToSmolStr as _};

use super::frame::Subject;
use super::uid::{Uid, UidHasher, UidSet};
use crate::convert;
use crate::entities::EntityRecord;

/// Up to how many types are searched from first to last.
const LINEAR_MAX: usize = 4;

/// The constraints on the action that policies have, numbered.
#[derive(Debug, Default)]
pub(super) struct Actions {
    numbers: Numbers,
    any: Option<u32>,
    equal: HashMap<Uid, u32, UidHasher>,
    within: HashMap<Uid, u32, UidHasher>,
}

/// The constraints on one of a scope's other variables, numbered.
#[derive(Debug, Default)]
pub(super) struct Constraints {
    numbers: Numbers,
    any: Option<u32>,
    equal: HashMap<Uid, u32, UidHasher>,
    within: HashMap<Uid, Within, UidHasher>,
    of_type: Kinds,
}

/// `in` one entity, and `is T in` it.
#[derive(Debug, Default)]
struct Within {
    any_type: Option<u32>,
    of_type: Kinds,
}

/// By entity type. There are few.
#[derive(Debug, Default)]
struct Kinds(Vec<(SmolStr, u32)>);

/// Which constraints are satisfied.
#[derive(Debug, Default)]
pub(super) struct Satisfied {
    /// A bit for each one below 64: few sets of policies have more on actions.
    low: u64,
    /// A bit for each other one, by the last bits of its number, which tells most apart.
    high: u64,
    numbers: SmallVec<[u32; 12]>,
}

/// Gives out numbers, from 0.
#[derive(Debug, Default)]
struct Numbers(u32);

impl Numbers {
    /// The number in its place, or the next one.
    fn of(&mut self, place: &mut Option<u32>) -> u32 {
        *place.get_or_insert_with(|| self.next())
    }

    fn next(&mut self) -> u32 {
        let number = self.0;
        self.0 += 1;
        number
    }
}

impl Satisfied {
    /// Adds one that is not there yet.
    #[inline]
    pub(super) fn add(&mut self, constraint: u32) {
        let bits = if constraint < u64::BITS { &mut self.low } else { &mut self.high };
        *bits |= bit(constraint);
        self.numbers.push(constraint);
    }

    /// Whether this one is.
    #[inline]
    pub(super) fn contains(&self, constraint: u32) -> bool {
        if constraint < u64::BITS {
            return self.low & bit(constraint) != 0;
        }
        self.high & bit(constraint) != 0 && self.numbers.contains(&constraint)
    }

    /// Every one.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.numbers.iter().copied()
    }
}

fn bit(constraint: u32) -> u64 {
    1 << (constraint % u64::BITS)
}

impl Actions {
    /// The numbers of a constraint: that of each member of a list.
    pub(super) fn numbers(&mut self, constraint: &ActionConstraint) -> SmallVec<[u32; 4]> {
        let Self { numbers, any, equal, within } = self;
        let mut next = || numbers.next();
        match constraint {
            ActionConstraint::Any => [*any.get_or_insert_with(next)].into_iter().collect(),
            ActionConstraint::Eq(action) => {
                let action = Uid::new(convert::entity_ref(action));
                [*equal.entry(action).or_insert_with(next)].into_iter().collect()
            }
            ActionConstraint::In(group) => group
                .iter()
                .map(|action| *within.entry(Uid::new(convert::entity_ref(action))).or_insert_with(&mut next))
                .collect(),
            #[allow(
                unreachable_patterns,
                reason = "Cedar has another constraint with a feature that others may turn on"
            )]
            _ => SmallVec::new(),
        }
    }

    /// Every constraint that an action satisfies.
    pub(super) fn satisfied(&self, action: &Uid, groups: &UidSet) -> Satisfied {
        let within = std::iter::once(action).chain(groups.iter().map(|group| &**group));
        let within = within.filter_map(|group| self.within.get(group));
        let mut satisfied = Satisfied::default();
        self.any.iter().chain(self.equal.get(action)).chain(within).for_each(|number| satisfied.add(*number));
        satisfied
    }
}

impl Constraints {
    /// Numbers a constraint that names no entity. These come first, because they are the ones that are satisfied most, and are then
    /// found before any search.
    pub(super) fn number_general(&mut self, constraint: &PrincipalOrResourceConstraint) {
        if matches!(constraint, PrincipalOrResourceConstraint::Any | PrincipalOrResourceConstraint::Is(_)) {
            self.number(constraint);
        }
    }

    /// A constraint's number; `None` for a template's slot, which no linked policy has.
    pub(super) fn number(&mut self, constraint: &PrincipalOrResourceConstraint) -> Option<u32> {
        let uid = |uid| Uid::new(convert::entity_ref(uid));
        let Self { numbers, any, equal, within, of_type } = self;
        Some(match constraint {
            PrincipalOrResourceConstraint::Any => numbers.of(any),
            PrincipalOrResourceConstraint::Eq(EntityReference::EUID(entity)) => {
                *equal.entry(uid(entity)).or_insert_with(|| numbers.next())
            }
            PrincipalOrResourceConstraint::In(EntityReference::EUID(group)) => {
                numbers.of(&mut within.entry(uid(group)).or_default().any_type)
            }
            PrincipalOrResourceConstraint::Is(kind) => of_type.number(kind.to_smolstr(), numbers),
            PrincipalOrResourceConstraint::IsIn(kind, EntityReference::EUID(group)) => {
                within.entry(uid(group)).or_default().of_type.number(kind.to_smolstr(), numbers)
            }
            PrincipalOrResourceConstraint::Eq(EntityReference::Slot(_))
            | PrincipalOrResourceConstraint::In(EntityReference::Slot(_))
            | PrincipalOrResourceConstraint::IsIn(_, EntityReference::Slot(_)) => return None,
        })
    }

    /// Visits every constraint that an entity satisfies.
    #[inline]
    pub(super) fn satisfied(&self, subject: Subject<'_>, mut visit: impl FnMut(u32)) {
        let kind = subject.uid.kind();
        self.any.into_iter().for_each(&mut visit);
        self.of_type.find(kind).into_iter().for_each(&mut visit);
        find(&self.equal, subject.uid).copied().into_iter().for_each(&mut visit);
        if self.within.is_empty() {
            return;
        }
        let mut enter = |within: &Within| {
            within.any_type.into_iter().for_each(&mut visit);
            within.of_type.find(kind).into_iter().for_each(&mut visit);
        };
        self.within.get(subject.uid).into_iter().for_each(&mut enter);
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

impl Kinds {
    fn number(&mut self, kind: SmolStr, numbers: &mut Numbers) -> u32 {
        match self.0.binary_search_by(|(known, _)| known.cmp(&kind)) {
            Ok(place) => self.0.get(place).map_or(0, |(_, number)| *number),
            Err(place) => {
                let number = numbers.next();
                self.0.insert(place, (kind, number));
                number
            }
        }
    }

    fn find(&self, kind: &SmolStr) -> Option<u32> {
        if self.0.len() <= LINEAR_MAX {
            return self.0.iter().find(|(known, _)| known == kind).map(|(_, number)| *number);
        }
        let place = self.0.binary_search_by(|(known, _)| known.cmp(kind)).ok()?;
        self.0.get(place).map(|(_, number)| *number)
    }
}
