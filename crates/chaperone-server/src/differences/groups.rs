//! Differences by kind, action and policies, with examples.

use std::collections::BTreeMap;

use chaperone_policy::{DecisionId, EntityRef, Timestamp};

use super::kind::Kind;
use super::verdict::Verdict;

/// How many examples a group keeps.
const EXAMPLES_MAX: usize = 5;
/// How many groups there are; what would be in another is counted by its kind alone.
const GROUPS_MAX: usize = 1_000;

/// What the differences of a group have in common.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct GroupKey {
    /// In which way they differ.
    pub kind: Kind,
    /// The action that was asked for first; `None` where that is not known.
    pub action: Option<EntityRef>,
    /// The policies that make it so, in the order of their ids. See [`GroupKey::of`].
    pub policies: Vec<String>,
}

/// A decision that differs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Example {
    /// Its id.
    pub id: DecisionId,
    /// When it was made.
    pub at: Timestamp,
    /// What was acted on.
    pub resource: Option<EntityRef>,
    /// What was decided.
    pub active: Verdict,
    /// What the candidate decides.
    pub candidate: Verdict,
}

/// Differences of one kind, action and set of policies.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Group {
    /// How many.
    pub count: u64,
    /// The earliest of them.
    pub examples: Vec<Example>,
}

/// Differences, grouped. What they take of memory is bounded, however many there are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Groups {
    groups: BTreeMap<GroupKey, Group>,
    kinds: BTreeMap<Kind, u64>,
}

impl GroupKey {
    /// The policies that make it so are those that determine one of the decisions and not the other: first of that which does not
    /// allow, because a forbid that applies or does so no more says more than the permit behind it.
    pub fn of(kind: Kind, action: Option<&EntityRef>, active: &Verdict, candidate: &Verdict) -> Self {
        let (first, second) = match kind {
            Kind::NewlyAllowed => (active, candidate),
            Kind::NewlyDenied | Kind::NewlyChallenged | Kind::ChangedEffects | Kind::ChangedReason => {
                (candidate, active)
            }
        };
        let mut policies = first.policies_beyond(second);
        if policies.is_empty() {
            policies = second.policies_beyond(first);
        }
        if policies.is_empty() {
            policies = candidate.policies.iter().map(|(id, _)| id.clone()).collect();
        }
        policies.sort_unstable();
        policies.dedup();
        Self { kind, action: action.cloned(), policies }
    }
}

impl Groups {
    /// Notes a difference.
    pub fn note(&mut self, kind: Kind, action: Option<&EntityRef>, example: Example) {
        let key = GroupKey::of(kind, action, &example.active, &example.candidate);
        *self.kinds.entry(kind).or_default() += 1;
        self.add(key, Group { count: 1, examples: vec![example] });
    }

    /// Takes those of others in.
    pub fn merge(&mut self, others: Self) {
        for (kind, count) in others.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        for (key, group) in others.groups {
            self.add(key, group);
        }
    }

    fn add(&mut self, key: GroupKey, more: Group) {
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&key) {
            return;
        }
        let group = self.groups.entry(key).or_default();
        group.count += more.count;
        for example in more.examples {
            // The earliest stay, whoever told of them first.
            let place = group.examples.partition_point(|known| (known.at, known.id) <= (example.at, example.id));
            if place < EXAMPLES_MAX {
                group.examples.insert(place, example);
                group.examples.truncate(EXAMPLES_MAX);
            }
        }
    }

    /// The groups, the gravest kind first, and of one kind the largest first.
    pub fn iter(&self) -> impl Iterator<Item = (&GroupKey, &Group)> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(key, group)| (key.kind, std::cmp::Reverse(group.count)));
        groups.into_iter()
    }

    /// How many differences there are of a kind.
    pub fn count(&self, kind: Kind) -> u64 {
        self.kinds.get(&kind).copied().unwrap_or_default()
    }

    /// How many differences there are.
    pub fn total(&self) -> u64 {
        self.kinds.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(outcome: &str, policies: &[&str]) -> Verdict {
        let policies = policies.iter().map(|id| ((*id).to_owned(), None)).collect();
        Verdict { outcome: outcome.to_owned(), policies, ..Verdict::default() }
    }

    fn example(number: u32, active: Verdict, candidate: Verdict) -> Example {
        let id = format!("0190a000-0000-7000-8000-0000{number:08x}").parse().expect("a UUID");
        Example { id, at: Timestamp::from_micros(i64::from(number)), resource: None, active, candidate }
    }

    fn policies(kind: Kind, active: &Verdict, candidate: &Verdict) -> Vec<String> {
        GroupKey::of(kind, None, active, candidate).policies
    }

    #[test]
    fn forbid_that_applies_or_does_so_no_more_is_named() {
        let (allow, deny) = (verdict("allow", &["all"]), verdict("deny", &["budget"]));
        assert_eq!(policies(Kind::NewlyDenied, &allow, &deny), ["budget"]);
        assert_eq!(policies(Kind::NewlyAllowed, &deny, &allow), ["budget"]);
        let no_permit = verdict("deny", &[]);
        assert_eq!(policies(Kind::NewlyDenied, &allow, &no_permit), ["all"]);
        assert_eq!(policies(Kind::NewlyAllowed, &no_permit, &allow), ["all"]);
        assert_eq!(policies(Kind::ChangedEffects, &allow, &allow), ["all"]);
        assert_eq!(policies(Kind::ChangedReason, &deny, &verdict("deny", &["z", "budget", "a"])), ["a", "z"]);
    }

    #[test]
    fn earliest_examples_stay_in_whatever_order_they_come() {
        let (allow, deny) = (verdict("allow", &["all"]), verdict("deny", &["budget"]));
        let noted = |numbers: &[u32]| {
            let mut groups = Groups::default();
            for number in numbers {
                groups.note(Kind::NewlyDenied, None, example(*number, allow.clone(), deny.clone()));
            }
            groups
        };
        let whole = noted(&[0, 1, 2, 3, 4, 5, 6, 7]);
        let mut merged = noted(&[7, 0, 5, 3]);
        merged.merge(noted(&[6, 4, 2, 1]));
        assert_eq!(merged, whole);
        let (_, group) = whole.iter().next().expect("a group");
        assert_eq!((group.count, group.examples.len()), (8, EXAMPLES_MAX));
        assert_eq!((whole.count(Kind::NewlyDenied), whole.count(Kind::NewlyAllowed), whole.total()), (8, 0, 8));
    }

    #[test]
    fn more_groups_than_there_may_be_are_still_counted() {
        let mut groups = Groups::default();
        for number in 0..u32::try_from(GROUPS_MAX + 10).expect("few") {
            let denied = verdict("deny", &[&number.to_string()]);
            groups.note(Kind::NewlyDenied, None, example(number, verdict("allow", &["all"]), denied));
        }
        assert_eq!(groups.iter().count(), GROUPS_MAX);
        assert_eq!(groups.total(), GROUPS_MAX as u64 + 10);
    }
}
