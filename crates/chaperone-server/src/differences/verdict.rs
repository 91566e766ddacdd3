//! What is compared of a decision.

use chaperone_policy::Decision;
use chaperone_trail::Decided;

use crate::trail::acts::applied;

/// What is compared of a decision.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Verdict {
    /// `allow`, `deny` or `challenge`.
    pub outcome: String,
    /// The reason's code.
    pub code: String,
    /// The policies that determined it, each with how it failed.
    pub policies: Vec<(String, Option<String>)>,
    /// What it does beside, such as `label: tree:pii`; empty where that is not compared.
    pub effects: Vec<String>,
}

impl Verdict {
    /// Without its effects.
    pub fn without_effects(decision: &Decision) -> Self {
        let policies = decision.policies.iter();
        Self {
            outcome: decision.outcome.as_str().to_owned(),
            code: decision.reason.code().to_owned(),
            policies: policies
                .map(|policy| (policy.id.to_string(), policy.failure.map(|failure| failure.to_string())))
                .collect(),
            effects: Vec::new(),
        }
    }

    /// With its effects, as policies write them.
    pub fn of(decision: &Decision) -> Self {
        let effects = decision.effects.iter().map(applied);
        let effects = effects.map(|applied| format!("{}: {}", applied.effect, applied.text)).collect();
        Self { effects, ..Self::without_effects(decision) }
    }

    /// As a record has it, without its effects: what they remember may be kept out of records.
    pub fn recorded(decided: &Decided<'_>) -> Self {
        let policies = decided.policies.iter();
        Self {
            outcome: decided.outcome.to_string(),
            code: decided.code.to_string(),
            policies: policies
                .map(|policy| (policy.id.to_string(), policy.failure.as_ref().map(ToString::to_string)))
                .collect(),
            effects: Vec::new(),
        }
    }

    /// The ids of its policies that the other does not have.
    pub(super) fn policies_beyond(&self, other: &Self) -> Vec<String> {
        let own = self.policies.iter().filter(|policy| !other.policies.contains(policy));
        own.map(|(id, _)| id.clone()).collect()
    }
}

/// On one line.
impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let policies = self.policies.iter().map(|(id, failure)| match failure {
            Some(failure) => format!("{id} ({failure})"),
            None => id.clone(),
        });
        let policies = policies.collect::<Vec<_>>().join(", ");
        write!(f, "{} {} [{policies}]", self.outcome, self.code)?;
        if self.effects.is_empty() { Ok(()) } else { write!(f, " {{{}}}", self.effects.join("; ")) }
    }
}
