//! The constraints of policies' scopes, numbered.

use cedar_policy_core::ast::{
    ActionConstraint, EntityReference, EntityUID, PrincipalOrResourceConstraint, ResourceConstraint,
};
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
    /// The types that are named, numbered by themselves.
    kinds: Kinds,
    /// `is T`, by the number of the type.
    of_type: Vec<Option<u32>>,
    named: HashMap<Uid, Named, UidHasher>,
}

/// What names one entity.
#[derive(Debug, Default)]
struct Named {
    /// `==` it.
    equal: Option<u32>,
    /// `in` it.
    within: Option<u32>,
    /// `is T in` it, each with the number of the type.
    of_type: Vec<(u32, u32)>,
}

/// The numbers of entity types. There are few.
#[derive(Debug, Default)]
struct Kinds(Vec<(SmolStr, u32)>);

/// Which constraints are satisfied.
#[derive(Debug, Default)]
pub(super) struct Satisfied {
    /// A bit for each one below 64.
    low: u64,
    /// The others.
    high: SmallVec<[u32; 8]>,
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
        match low_bit(constraint) {
            0 => self.high.push(constraint),
            bit => self.low |= bit,
        }
    }

    /// Whether this one is.
    #[inline]
    pub(super) fn has(&self, constraint: u32) -> bool {
        match low_bit(constraint) {
            0 => self.high.contains(&constraint),
            bit => self.low & bit != 0,
        }
    }

    /// A bit for each one below 64.
    #[inline]
    pub(super) fn low(&self) -> u64 {
        self.low
    }

    /// The others.
    #[inline]
    pub(super) fn high(&self) -> &[u32] {
        &self.high
    }
}

/// The bit of a constraint below 64; none of any other.
#[inline]
pub(super) fn low_bit(constraint: u32) -> u64 {
    1_u64.checked_shl(constraint).unwrap_or(0)
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
    /// Numbers the constraints of all policies: first those that name no entity, which are satisfied most, then those that most
    /// policies have. The lowest numbers are found without a search.
    pub(super) fn number_all(&mut self, constraints: &[ResourceConstraint]) {
        let mut draft = Self::default();
        let mut uses = Vec::new();
        for constraint in constraints.iter().map(ResourceConstraint::as_inner) {
            let Some(number) = draft.number(constraint) else { continue };
            if uses.len() <= number as usize {
                uses.push((0_u64, constraint));
            }
            if let Some((count, _)) = uses.get_mut(number as usize) {
                *count += 1;
            }
        }
        let is_general = |constraint: &PrincipalOrResourceConstraint| {
            matches!(constraint, PrincipalOrResourceConstraint::Any | PrincipalOrResourceConstraint::Is(_))
        };
        uses.sort_by_key(|(count, constraint)| (!is_general(constraint), std::cmp::Reverse(*count)));
        for (_, constraint) in uses {
            self.number(constraint);
        }
    }

    /// A constraint's number; `None` for a template's slot, which no linked policy has.
    pub(super) fn number(&mut self, constraint: &PrincipalOrResourceConstraint) -> Option<u32> {
        let Self { numbers, any, kinds, of_type, named } = self;
        Some(match constraint {
            PrincipalOrResourceConstraint::Any => numbers.of(any),
            PrincipalOrResourceConstraint::Eq(EntityReference::EUID(entity)) => {
                numbers.of(&mut named_of(named, entity).equal)
            }
            PrincipalOrResourceConstraint::In(EntityReference::EUID(group)) => {
                numbers.of(&mut named_of(named, group).within)
            }
            PrincipalOrResourceConstraint::Is(kind) => {
                let kind = kinds.number(kind.to_smolstr()) as usize;
                if of_type.len() <= kind {
                    of_type.resize(kind + 1, None);
                }
                numbers.of(of_type.get_mut(kind)?)
            }
            PrincipalOrResourceConstraint::IsIn(kind, EntityReference::EUID(group)) => {
                let (kind, of_type) = (kinds.number(kind.to_smolstr()), &mut named_of(named, group).of_type);
                match of_type.iter().find(|(known, _)| *known == kind) {
                    Some((_, number)) => *number,
                    None => {
                        let number = numbers.next();
                        of_type.push((kind, number));
                        number
                    }
                }
            }
            PrincipalOrResourceConstraint::Eq(EntityReference::Slot(_))
            | PrincipalOrResourceConstraint::In(EntityReference::Slot(_))
            | PrincipalOrResourceConstraint::IsIn(_, EntityReference::Slot(_)) => return None,
        })
    }

    /// Visits every constraint that an entity satisfies.
    #[inline]
    pub(super) fn satisfied(&self, subject: Subject<'_>, mut visit: impl FnMut(u32)) {
        let kind = self.kinds.find(subject.uid.kind());
        let of_type = kind.and_then(|kind| *self.of_type.get(kind as usize)?);
        self.any.into_iter().chain(of_type).for_each(&mut visit);
        if self.named.is_empty() {
            return;
        }
        let mut enter = |named: &Named| {
            named.within.into_iter().for_each(&mut visit);
            let of_type = named.of_type.iter().find(|(of, _)| Some(*of) == kind);
            if let Some((_, number)) = of_type {
                visit(*number);
            }
        };
        let own = self.named.get(subject.uid);
        own.into_iter().for_each(&mut enter);
        if let Some(ancestors) = subject.record.map(EntityRecord::ancestors) {
            // Whichever are fewer are looked at one by one.
            if ancestors.len() <= self.named.len() {
                ancestors.iter().filter_map(|group| self.named.get(&**group)).for_each(enter);
            } else {
                // An entity is never among its own ancestors, so that nothing is visited twice.
                self.named.iter().filter(|(group, _)| ancestors.contains(group)).for_each(|(_, named)| enter(named));
            }
        }
        own.and_then(|named| named.equal).into_iter().for_each(visit);
    }
}

/// What names this entity.
fn named_of<'a>(named: &'a mut HashMap<Uid, Named, UidHasher>, entity: &EntityUID) -> &'a mut Named {
    named.entry(Uid::new(convert::entity_ref(entity))).or_default()
}

impl Kinds {
    fn number(&mut self, kind: SmolStr) -> u32 {
        match self.0.binary_search_by(|(known, _)| known.cmp(&kind)) {
            Ok(place) => self.0.get(place).map_or(0, |(_, number)| *number),
            Err(place) => {
                // A schema has far fewer types.
                let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
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
