//! What two bundles differ in beside the conditions of their policies.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::bundle::{Bundle, MAPPING_PATH};
use crate::descriptors;
use crate::diff::{BundleDiff, DiffPart};
use crate::effects::{Act, Rule};
use crate::entity_text;
use crate::policy_set::{Policy, PolicySet};

/// A difference that can matter to what is allowed, though no condition of a policy changed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Uncovered {
    /// How requests become actions.
    Mapping,
    /// The bundle's own entities: who is in which group, and what is known of them.
    Entities,
    /// What decisions remember, and so what later ones are about.
    Memory,
    /// How approvals go, and what lifts which policy.
    StepUps,
    /// How the risk of sessions behaves.
    Risk,
}

impl Uncovered {
    /// A stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mapping => "mapping",
            Self::Entities => "entities",
            Self::Memory => "memory",
            Self::StepUps => "step_ups",
            Self::Risk => "risk",
        }
    }
}

impl fmt::Display for Uncovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mapping => "how requests become actions (the mapping)",
            Self::Entities => "the bundle's entities",
            Self::Memory => "what decisions remember",
            Self::StepUps => "how approvals go",
            Self::Risk => "how the risk of sessions behaves",
        })
    }
}

pub(super) fn between(diff: &BundleDiff, before: &Bundle, after: &Bundle) -> Vec<Uncovered> {
    let mut found: BTreeSet<_> =
        diff.differences.iter().filter_map(|difference| of(difference.part, &difference.name)).collect();
    let (policies, later) = (before.policies(), after.policies());
    if remembering(policies) != remembering(later) {
        found.insert(Uncovered::Memory);
    }
    let (lifted, lifted_later) = (lifted(policies), lifted(later));
    let renamed = lifted.iter().any(|(condition, name)| lifted_later.get(condition).is_some_and(|now| now != name));
    if renamed || before.manifest().step_ups != after.manifest().step_ups {
        found.insert(Uncovered::StepUps);
    }
    if before.manifest().risk != after.manifest().risk {
        found.insert(Uncovered::Risk);
    }
    found.into_iter().collect()
}

fn of(part: DiffPart, name: &str) -> Option<Uncovered> {
    match (part, name) {
        (DiffPart::Mapping, _) | (DiffPart::File, MAPPING_PATH | descriptors::PATH) => Some(Uncovered::Mapping),
        (DiffPart::File, entity_text::PATH) => Some(Uncovered::Entities),
        _ => None,
    }
}

/// The policies that leave something behind, with what that is. Alerts do nothing to later decisions.
fn remembering(policies: &PolicySet) -> BTreeMap<&str, (String, Vec<&Rule>)> {
    let rules = |policy: &Policy| -> usize { policy.annotations.rules.iter().filter(|rule| is_kept(rule)).count() };
    let remembering = policies.iter().filter(|policy| rules(policy) > 0);
    let told = |policy: &Policy| format!("{:?} {}", policy.annotations.observes, condition(policy));
    remembering
        .map(|policy| {
            (policy.id.as_str(), (told(policy), policy.annotations.rules.iter().filter(|rule| is_kept(rule)).collect()))
        })
        .collect()
}

const fn is_kept(rule: &Rule) -> bool {
    !matches!(rule.act, Act::Alert(..))
}

/// Which step-ups lift what.
fn lifted(policies: &PolicySet) -> BTreeMap<String, BTreeSet<&str>> {
    let mut lifted = BTreeMap::<_, BTreeSet<_>>::new();
    for policy in policies.iter() {
        if let Some(name) = &policy.annotations.step_up {
            lifted.entry(condition(policy)).or_default().insert(name.as_str());
        }
    }
    lifted
}

fn condition(policy: &Policy) -> String {
    format!("{} {}", policy.core.effect(), policy.core.condition())
}
