//! The same decisions by Cedar's own authorizer: what the compiled policies are held to, and a fallback for them.
//!
//! It evaluates every policy of a set, whatever its scope, over entities in Cedar's own form that are made for each request.

mod context;
pub(crate) mod convert;
mod depth;
mod failure;
mod situation;
mod slice;

use cedar_policy_core::ast::{Effect, EntityUID, Expr, ExprKind, Literal, Policy, PolicyID, PolicySet, Request};
use cedar_policy_core::authorizer::{AuthorizationError, Authorizer};
use cedar_policy_core::entities::Entities;

use self::situation::Situation;
use crate::compiled::Question;
use crate::decision::Failure;
use crate::schema::CompiledSchema;

/// A set of policies in Cedar's own form. A policy is named by its place in the set.
#[derive(Debug)]
pub(crate) struct Reference {
    policies: PolicySet,
    effects: Vec<Effect>,
    /// The entities that policies name.
    named: Vec<EntityUID>,
    /// How many entities follow each other where a condition goes from one to the next.
    depth: usize,
}

/// Which policies apply, each list in the order of their places.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Verdict {
    /// The permits that apply.
    pub(crate) permits: Vec<usize>,
    /// The forbids that apply.
    pub(crate) forbids: Vec<usize>,
    /// The policies that failed to evaluate, and how.
    pub(crate) failures: Vec<(usize, Failure)>,
}

impl Reference {
    /// From static policies and links of templates.
    pub(crate) fn new<'a>(policies: impl IntoIterator<Item = &'a Policy>) -> Self {
        let mut reference = Self { policies: PolicySet::new(), effects: Vec::new(), named: Vec::new(), depth: 0 };
        for (place, policy) in policies.into_iter().enumerate() {
            reference.effects.push(policy.effect());
            let condition = policy.condition();
            reference.depth = reference.depth.max(depth::of(&condition));
            reference.named.extend(condition.subexpressions().filter_map(named));
            // Cannot fail, because places are distinct; if it did, the policy would be missing in every answer, and `evaluate` says so.
            let _ = reference.policies.add(policy.new_id(id(place)));
        }
        reference.named.sort_unstable();
        reference.named.dedup();
        reference
    }

    /// What Cedar's authorizer says of each policy.
    pub(crate) fn evaluate(&self, schema: &CompiledSchema, question: &Question<'_>) -> Verdict {
        match Situation::of(schema, question) {
            Ok(situation) => self.evaluate_situation(&situation),
            Err(_) => self.all_failed(),
        }
    }

    fn evaluate_situation(&self, situation: &Situation<'_>) -> Verdict {
        match situation.entities(&self.named, self.depth) {
            Ok(entities) => self.authorize(situation.request(), &entities),
            // Nothing that the schema allows cannot be converted. If it were so, nothing may be decided.
            Err(_) => self.all_failed(),
        }
    }

    /// As [`evaluate`](Self::evaluate), over entities that are in Cedar's form already.
    pub(crate) fn authorize(&self, request: Request, entities: &Entities) -> Verdict {
        let response = Authorizer::new().is_authorized_core(request, &self.policies, entities);
        let mut verdict = Verdict::default();
        for (place, effect) in self.effects.iter().enumerate() {
            let id = id(place);
            let failure = response.errors.iter().find_map(|error| match error {
                AuthorizationError::PolicyEvaluationError { id: failed, error } => {
                    (*failed == id).then(|| Failure::from(error))
                }
            });
            let (satisfied, unsatisfied, places) = match effect {
                Effect::Permit => (&response.satisfied_permits, &response.false_permits, &mut verdict.permits),
                Effect::Forbid => (&response.satisfied_forbids, &response.false_forbids, &mut verdict.forbids),
            };
            match failure {
                Some(failure) => verdict.failures.push((place, failure)),
                None if satisfied.contains_key(&id) => places.push(place),
                None if unsatisfied.contains_key(&id) => {}
                // Neither is what happens to a residual, of which there are none without unknowns.
                None => verdict.failures.push((place, Failure::Other)),
            }
        }
        verdict
    }

    fn all_failed(&self) -> Verdict {
        let failures = (0..self.effects.len()).map(|place| (place, Failure::Other)).collect();
        Verdict { failures, ..Verdict::default() }
    }
}

fn id(place: usize) -> PolicyID {
    PolicyID::from_string(place.to_string())
}

/// The entity that a literal names.
fn named(expr: &Expr) -> Option<EntityUID> {
    match expr.expr_kind() {
        ExprKind::Lit(Literal::EntityUID(uid)) => Some(uid.as_ref().clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
