//! In which way two decisions on the same question differ.

use super::verdict::Verdict;

/// In which way a candidate decides differently.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// It allows what was not allowed.
    NewlyAllowed,
    /// It denies what was not denied.
    NewlyDenied,
    /// It asks for an approval where none was asked for.
    NewlyChallenged,
    /// The outcome is the same, and what the decision does beside is not.
    ChangedEffects,
    /// Outcome and effects are the same; the code or the policies that determine them are not.
    ChangedReason,
}

impl Kind {
    /// All of them, the gravest first.
    pub const ALL: [Self; 5] =
        [Self::NewlyAllowed, Self::NewlyDenied, Self::NewlyChallenged, Self::ChangedEffects, Self::ChangedReason];

    /// Its name in metrics, output and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewlyAllowed => "newly_allowed",
            Self::NewlyDenied => "newly_denied",
            Self::NewlyChallenged => "newly_challenged",
            Self::ChangedEffects => "changed_effects",
            Self::ChangedReason => "changed_reason",
        }
    }

    /// How the second differs from the first; `None` where it does not.
    ///
    /// The order of policies and effects follows the bundle's files, and is no difference.
    pub fn between(active: &Verdict, candidate: &Verdict) -> Option<Self> {
        if active.outcome != candidate.outcome {
            return Some(match candidate.outcome.as_str() {
                "allow" => Self::NewlyAllowed,
                "challenge" => Self::NewlyChallenged,
                _ => Self::NewlyDenied,
            });
        }
        if !are_same(&active.effects, &candidate.effects) {
            return Some(Self::ChangedEffects);
        }
        let is_same = active.code == candidate.code && are_same(&active.policies, &candidate.policies);
        (!is_same).then_some(Self::ChangedReason)
    }
}

/// Whether both have the same members, in whatever order.
fn are_same<T: Ord>(one: &[T], other: &[T]) -> bool {
    fn sorted<T: Ord>(members: &[T]) -> Vec<&T> {
        let mut members: Vec<_> = members.iter().collect();
        members.sort_unstable();
        members
    }
    one == other || sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(outcome: &str, policies: &[&str], effects: &[&str]) -> Verdict {
        Verdict {
            outcome: outcome.to_owned(),
            code: "code".to_owned(),
            policies: policies.iter().map(|id| ((*id).to_owned(), None)).collect(),
            effects: effects.iter().map(|&effect| effect.to_owned()).collect(),
        }
    }

    #[test]
    fn outcome_counts_before_effects_and_effects_before_reasons() {
        let active = verdict("deny", &["a"], &["label: x"]);
        let between = |candidate: &Verdict| Kind::between(&active, candidate);
        assert_eq!(between(&verdict("allow", &["b"], &[])), Some(Kind::NewlyAllowed));
        assert_eq!(between(&verdict("challenge", &["b"], &[])), Some(Kind::NewlyChallenged));
        assert_eq!(Kind::between(&verdict("challenge", &[], &[]), &active), Some(Kind::NewlyDenied));
        assert_eq!(between(&verdict("deny", &["b"], &[])), Some(Kind::ChangedEffects));
        assert_eq!(between(&verdict("deny", &["b"], &["label: x"])), Some(Kind::ChangedReason));
        let other_code = Verdict { code: "other".to_owned(), ..active.clone() };
        assert_eq!(between(&other_code), Some(Kind::ChangedReason));
        assert_eq!(between(&active), None);
    }

    #[test]
    fn order_is_no_difference_and_how_often_is_one() {
        let active = verdict("allow", &["a", "b"], &["count: x", "label: y"]);
        assert_eq!(Kind::between(&active, &verdict("allow", &["b", "a"], &["label: y", "count: x"])), None);
        let twice = verdict("allow", &["a", "b"], &["count: x", "count: x", "label: y"]);
        assert_eq!(Kind::between(&active, &twice), Some(Kind::ChangedEffects));
    }
}
