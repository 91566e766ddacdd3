//! Whether one bundle can allow what another one does not, as questions to Cedar's symbolic compiler. Nothing is solved here.
//!
//! The compiler knows Cedar's rule, under which a policy that fails to evaluate is passed over; ours is that it denies. So what a bundle
//! allows is put as one permit, whose condition fails where any policy does, and then allows nothing under either rule. Cedar evaluates
//! `failing || true` to its failure.

mod fit;
mod uncovered;

use cedar_policy::{Policy as CedarPolicy, RequestEnv, Schema};
use cedar_policy_core::ast::{Effect, Expr, Policy as CorePolicy, PolicyID};
use cedar_policy_core::validator::ValidatorSchema;

use self::fit::Fit;
pub use self::uncovered::Uncovered;
use crate::bundle::Bundle;
use crate::diff::{BundleDiff, DiffError};
use crate::policy_set::{Policy, PolicySet};
use crate::source::{self, BundleSource};

/// What two bundles allow, in the terms of the second one's schema.
#[derive(Debug)]
pub struct Comparison {
    schema: Schema,
    cases: Vec<Case>,
    before: Allowed,
    after: Allowed,
    has_step_ups: bool,
    uncovered: Vec<Uncovered>,
}

/// One kind of request that the second schema allows: an action, with a type of principals and one of resources.
#[derive(Clone, Debug)]
pub struct Case {
    /// The kind of request.
    pub environment: RequestEnv,
    /// What the first bundle knows of it.
    pub before: Before,
}

/// What the first bundle knows of a kind of request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Before {
    /// The same.
    Known,
    /// Nothing: it allows nothing of it.
    Unknown,
    /// It cannot be compared, and why.
    Incomparable(String),
}

/// What a bundle allows, as a permit each.
#[derive(Debug)]
pub struct Allowed {
    /// Without any approval.
    pub unapproved: CedarPolicy,
    /// With every approval that a step-up can ask for.
    pub approved: CedarPolicy,
}

impl Comparison {
    /// Compares two bundles.
    ///
    /// # Errors
    /// With the problems of the first of them that has any.
    pub fn between(before: &BundleSource, after: &BundleSource) -> Result<Self, DiffError> {
        let diff = BundleDiff::between(before, after)?;
        let first = compile(before).map_err(DiffError::Before)?;
        let second = compile(after).map_err(DiffError::After)?;
        // Of actions of decoders that are named nowhere, Cedar is shown one for all: both schemas must show the same.
        let shown = |bundle: &Bundle, other: &BundleSource| bundle.schema().validator_for(&texts(other));
        let first_shown = shown(&first, after).map_err(DiffError::Before)?;
        let second_shown = shown(&second, before).map_err(DiffError::After)?;
        let schema: &ValidatorSchema = second_shown.schema();
        let fit = Fit::between(first_shown.schema(), schema, first.policies().iter().map(|policy| &policy.core));
        let mut cases: Vec<_> = Schema::from(schema.clone())
            .request_envs()
            .map(|environment| Case { before: fit.of(&environment), environment })
            .collect();
        cases.sort_by_cached_key(|case| {
            let kinds = (case.environment.principal().to_string(), case.environment.resource().to_string());
            (case.environment.action().to_string(), kinds)
        });
        let has_step_ups = [&first, &second].into_iter().any(|bundle| bundle.policies().step_ups().next().is_some());
        Ok(Self {
            schema: Schema::from(schema.clone()),
            cases,
            before: Allowed::by(first.policies()),
            after: Allowed::by(second.policies()),
            has_step_ups,
            uncovered: uncovered::between(&diff, &first, &second),
        })
    }

    /// The second bundle's schema, in which both are read.
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Every kind of request that the second schema allows, in order.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// What the first bundle allows.
    pub const fn before(&self) -> &Allowed {
        &self.before
    }

    /// What the second bundle allows.
    pub const fn after(&self) -> &Allowed {
        &self.after
    }

    /// Whether a policy of either can be lifted by an approval.
    pub const fn has_step_ups(&self) -> bool {
        self.has_step_ups
    }

    /// What differs beside the conditions of policies, and can matter to what is allowed. No question here is about it.
    pub fn uncovered(&self) -> &[Uncovered] {
        &self.uncovered
    }
}

impl Allowed {
    fn by(policies: &PolicySet) -> Self {
        Self { unapproved: permit(policies, false), approved: permit(policies, true) }
    }
}

/// A permit of what these policies allow: none of them fails, a permit applies, and no forbid does.
fn permit(policies: &PolicySet, is_approved: bool) -> CedarPolicy {
    let evaluated = policies.iter().map(|policy| Expr::or(policy.core.condition(), Expr::val(true)));
    let takes_part = |policy: &&Policy| match policy.core.effect() {
        Effect::Permit => policy.annotations.observes.is_none(),
        Effect::Forbid => !(is_approved && policy.annotations.step_up.is_some()),
    };
    let conditions = |effect: Effect| {
        let of_effect = policies.iter().filter(takes_part).filter(move |policy| policy.core.effect() == effect);
        balanced(of_effect.map(|policy| policy.core.condition()).collect(), Expr::or, false)
    };
    let evaluated = balanced(evaluated.collect(), Expr::and, true);
    let allowed = Expr::and(conditions(Effect::Permit), Expr::not(conditions(Effect::Forbid)));
    let id = PolicyID::from_string("allowed");
    CorePolicy::from_when_clause(Effect::Permit, Expr::and(evaluated, allowed), id, None).into()
}

/// Joins expressions, in order, so that they are nested as little as can be.
fn balanced(mut exprs: Vec<Expr>, join: fn(Expr, Expr) -> Expr, empty: bool) -> Expr {
    while exprs.len() > 1 {
        let mut pairs = exprs.into_iter();
        let mut joined = Vec::new();
        while let Some(first) = pairs.next() {
            joined.push(match pairs.next() {
                Some(second) => join(first, second),
                None => first,
            });
        }
        exprs = joined;
    }
    exprs.pop().unwrap_or_else(|| Expr::val(empty))
}

fn compile(source: &BundleSource) -> Result<Bundle, Vec<crate::problem::Problem>> {
    source.check_limits()?;
    Bundle::compile(source)
}

/// Everything that may name an action of a decoder.
fn texts(source: &BundleSource) -> String {
    let decided_with = source.files.iter().filter(|(path, _)| !source::is_test(path));
    decided_with.map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n")
}
