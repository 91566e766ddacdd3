//! Sets: sorted, and hashed where that finds faster.

use std::cmp::Ordering;
use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::sync::LazyLock;

use hashbrown::HashTable;
use smol_str::SmolStr;

use super::data::{Datum, Operand};

/// Up to how many members are searched from first to last.
const LINEAR_MAX: usize = 8;
/// From how many members a set of strings is hashed.
const HASHED_MIN: usize = 16;

static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set {
    /// Sorted and distinct.
    members: Box<[Datum]>,
    /// The places of the members that are strings, by hash; empty in small sets.
    strings: HashTable<u32>,
}

impl Set {
    /// Whether it has this member.
    pub(crate) fn contains(&self, member: Operand<'_>) -> bool {
        match member {
            Operand::String(text) if !self.strings.is_empty() => {
                let is_it = |place: &u32| self.members.get(*place as usize).is_some_and(|found| *found == *text);
                self.strings.find(hash(text), is_it).is_some()
            }
            _ if self.members.len() <= LINEAR_MAX => self.members.iter().any(|found| found.as_operand() == member),
            _ => self.members.binary_search_by(|found| found.as_operand().cmp(&member)).is_ok(),
        }
    }

    /// Whether it has this string.
    pub(crate) fn contains_text(&self, text: &SmolStr) -> bool {
        if self.members.len() > LINEAR_MAX {
            return self.contains(Operand::String(text));
        }
        self.members.iter().any(|found| matches!(found, Datum::String(own) if own == text))
    }

    /// How many members it has.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether all of its members are entities.
    pub(crate) fn is_of_entities(&self) -> bool {
        // They are sorted by type, so that what stands between two entities is one.
        [self.members.first(), self.members.last()]
            .into_iter()
            .flatten()
            .all(|member| matches!(member, Datum::Entity(_)))
    }

    /// Its members, sorted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Datum> {
        self.members.iter()
    }

    /// Whether every member of this is one of `other`.
    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        self.len() <= other.len() && self.iter().all(|member| other.contains(member.as_operand()))
    }

    /// Whether no member of this is one of `other`.
    pub(crate) fn is_disjoint(&self, other: &Self) -> bool {
        let (few, many) = if self.len() <= other.len() { (self, other) } else { (other, self) };
        !few.iter().any(|member| match member {
            Datum::String(text) => many.contains_text(text),
            _ => many.contains(member.as_operand()),
        })
    }
}

fn hash(text: &str) -> u64 {
    STATE.hash_one(text)
}

impl FromIterator<Datum> for Set {
    fn from_iter<I: IntoIterator<Item = Datum>>(members: I) -> Self {
        let mut members: Vec<_> = members.into_iter().collect();
        members.sort_unstable();
        members.dedup();
        let mut strings = HashTable::new();
        if members.len() >= HASHED_MIN {
            for (place, member) in (0_u32..).zip(&members) {
                if let Datum::String(text) = member {
                    let rehash = |place: &u32| match members.get(*place as usize) {
                        Some(Datum::String(text)) => hash(text),
                        _ => 0,
                    };
                    strings.insert_unique(hash(text), place, rehash);
                }
            }
        }
        Self { members: members.into_boxed_slice(), strings }
    }
}

impl Hash for Set {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.members.hash(state);
    }
}

impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

impl Eq for Set {}

impl Ord for Set {
    fn cmp(&self, other: &Self) -> Ordering {
        self.members.cmp(&other.members)
    }
}

impl PartialOrd for Set {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_sets_find_the_same() {
        for count in [0, 1, HASHED_MIN - 1, HASHED_MIN, 10 * HASHED_MIN] {
            let set: Set = (0..count).map(|number| Datum::String(number.to_string().into())).collect();
            assert_eq!(set.len(), count);
            assert!((0..count).all(|number| set.contains(Operand::String(&number.to_string()))));
            assert!(!set.contains(Operand::String("x")) && !set.contains(Operand::Long(0)));
        }
    }

    #[test]
    fn members_of_several_types_stand_beside_each_other() {
        let strings = (0..HASHED_MIN).map(|number| Datum::String(number.to_string().into()));
        let set: Set = strings.chain([Datum::Long(1), Datum::Bool(true), Datum::Long(1)]).collect();
        assert_eq!(set.len(), HASHED_MIN + 2);
        assert!(
            set.contains(Operand::Long(1)) && set.contains(Operand::String("1")) && set.contains(Operand::Bool(true))
        );
        assert!(!set.contains(Operand::Bool(false)) && !set.contains(Operand::Decimal(1)));
    }
}
