//! Policies, compiled: found by their scopes, then evaluated one by one.

use std::sync::Arc;

use cedar_policy_core::ast::{Effect, Expr, Policy as CorePolicy};
use smol_str::SmolStr;

use crate::decision::Failure;
use crate::evaluate::Situation;
use crate::index::Index;
use crate::reason::ReasonTemplate;
use crate::reference::{self, Reference};

/// Policies in the order of their ids, with an index over their scopes.
#[derive(Debug)]
pub(crate) struct PolicySet {
    policies: Vec<Policy>,
    index: Index,
    reference: Reference,
}

/// One policy without its scope, which the index holds.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Its `@id`.
    pub(crate) id: SmolStr,
    /// Its `@reason`.
    pub(crate) reason: Option<ReasonTemplate>,
    effect: Effect,
    condition: Option<Arc<Expr>>,
}

/// Which policies apply to a request, each in the order of their ids.
#[derive(Debug, Default)]
pub(crate) struct Evaluation<'a> {
    /// The permits that apply.
    pub(crate) permits: Vec<&'a Policy>,
    /// The forbids that apply.
    pub(crate) forbids: Vec<&'a Policy>,
    /// The policies that failed to evaluate.
    pub(crate) failures: Vec<(&'a Policy, Failure)>,
}

/// A policy that was read from a bundle or a scope.
#[derive(Debug)]
pub(crate) struct ParsedPolicy {
    /// Its `@id`.
    pub(crate) id: SmolStr,
    /// Its `@reason`.
    pub(crate) reason: Option<ReasonTemplate>,
    /// Cedar's own form of it.
    pub(crate) core: CorePolicy,
}

impl PolicySet {
    /// Compiles static policies.
    pub(crate) fn new(mut parsed: Vec<ParsedPolicy>) -> Self {
        parsed.sort_by(|a, b| a.id.cmp(&b.id));
        let index = Index::new(parsed.iter().map(|policy| &policy.core));
        let reference = Reference::new(parsed.iter().map(|policy| &policy.core));
        let policies = parsed.into_iter().map(Policy::from).collect();
        Self { policies, index, reference }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.policies.len()
    }

    /// Their ids, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().map(|policy| policy.id.as_str())
    }

    /// Cedar's own form of each, in the order of their ids.
    #[cfg(any(test, feature = "differential"))]
    pub(crate) fn in_cedar(&self) -> impl Iterator<Item = &CorePolicy> {
        self.reference.policies()
    }

    /// Evaluates those whose scope the situation satisfies.
    pub(crate) fn evaluate(&self, situation: &Situation<'_>) -> Evaluation<'_> {
        if let Some(situation) = situation.as_reference() {
            return self.evaluate_by_cedar(situation);
        }
        let (action, principal, resource) = situation.members();
        let mut evaluation = Evaluation::default();
        for policy in
            self.index.find(action, principal, resource).into_iter().filter_map(|place| self.policies.get(place))
        {
            match (situation.holds(policy.condition.as_deref()), policy.effect) {
                (Ok(true), Effect::Permit) => evaluation.permits.push(policy),
                (Ok(true), Effect::Forbid) => evaluation.forbids.push(policy),
                (Ok(false), _) => {}
                (Err(failure), _) => evaluation.failures.push((policy, failure)),
            }
        }
        evaluation
    }

    /// The same by Cedar's own authorizer, which evaluates all of them.
    fn evaluate_by_cedar(&self, situation: &reference::Situation<'_>) -> Evaluation<'_> {
        let verdict = self.reference.evaluate(situation);
        let policies = |places: Vec<usize>| places.into_iter().filter_map(|place| self.policies.get(place)).collect();
        Evaluation {
            permits: policies(verdict.permits),
            forbids: policies(verdict.forbids),
            failures: verdict
                .failures
                .into_iter()
                .filter_map(|(place, failure)| Some((self.policies.get(place)?, failure)))
                .collect(),
        }
    }
}

impl From<ParsedPolicy> for Policy {
    fn from(parsed: ParsedPolicy) -> Self {
        let condition = parsed.core.non_scope_constraints_arc().cloned();
        Self { id: parsed.id, reason: parsed.reason, effect: parsed.core.effect(), condition }
    }
}

impl Evaluation<'_> {
    /// Whether it allows by itself: some permit, no forbid, no failure.
    pub(crate) fn allows(&self) -> bool {
        self.failures.is_empty() && self.forbids.is_empty() && !self.permits.is_empty()
    }
}

#[cfg(test)]
mod tests;
