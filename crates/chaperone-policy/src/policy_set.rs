//! Policies, compiled: found by their scopes, then evaluated one by one.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use cedar_policy_core::ast::{Effect, Policy as CorePolicy};
use cedar_policy_core::parser::Loc;
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::compiled::{
    Candidates, Compiler, Condition, Frame, Index, Program, Question, Reads, Scratch, Symbols, UnsupportedExpression,
};
use crate::decision::Failure;
use crate::effects::{Annotations, Level, Rule};
use crate::memory::MemoryName;
use crate::reason::ReasonTemplate;
use crate::reference::Reference;
use crate::schema::CompiledSchema;

/// Policies in the order of their ids, with an index over their scopes.
#[derive(Debug)]
pub(crate) struct PolicySet {
    policies: Vec<Policy>,
    index: Index,
    program: Program,
    /// Made when it is first asked for.
    reference: OnceLock<Reference>,
}

/// One policy.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Its `@id`.
    pub(crate) id: SmolStr,
    /// Its `@reason`.
    pub(crate) reason: Option<ReasonTemplate>,
    /// What it does where it determines an outcome, or sees one.
    pub(crate) annotations: Annotations,
    /// Cedar's own form of it.
    pub(crate) core: CorePolicy,
    /// Permit or forbid: the core's, close at hand.
    effect: Effect,
    /// Without its scope, which the index holds.
    condition: Condition,
}

/// Which policies apply to a request, each in the order of their ids.
#[derive(Debug, Default)]
pub(crate) struct Evaluation<'a> {
    /// The permits that apply.
    pub(crate) permits: SmallVec<[&'a Policy; 8]>,
    /// The forbids that apply.
    pub(crate) forbids: SmallVec<[&'a Policy; 8]>,
    /// The observers that apply.
    pub(crate) observers: SmallVec<[&'a Policy; 2]>,
    /// The policies that failed to evaluate, and why.
    pub(crate) failures: SmallVec<[(&'a Policy, Failure); 2]>,
}

/// A policy that was read from a bundle or a scope.
#[derive(Clone, Debug)]
pub(crate) struct ParsedPolicy {
    /// Its `@id`.
    pub(crate) id: SmolStr,
    /// Its `@reason`.
    pub(crate) reason: Option<ReasonTemplate>,
    /// What it does where it determines an outcome, or sees one.
    pub(crate) annotations: Annotations,
    /// Cedar's own form of it.
    pub(crate) core: CorePolicy,
}

/// A policy that Cedar accepts and the compiler does not know.
#[derive(Debug, thiserror::Error)]
#[error("policy `{id}`: {error}")]
pub(crate) struct UnsupportedPolicy {
    /// Its `@id`.
    pub(crate) id: SmolStr,
    /// Where it stands in its file.
    pub(crate) loc: Option<Loc>,
    error: UnsupportedExpression,
}

impl PolicySet {
    /// Compiles policies that were checked against the schema.
    ///
    /// # Errors
    /// With the first policy in which something is not supported.
    pub(crate) fn new(mut parsed: Vec<ParsedPolicy>, schema: &CompiledSchema) -> Result<Self, UnsupportedPolicy> {
        parsed.sort_by(|a, b| a.id.cmp(&b.id));
        let mut compiler = Compiler::new(schema.symbols(), schema.memory());
        let mut policies = Vec::with_capacity(parsed.len());
        for policy in parsed {
            match compiler.condition(policy.core.non_scope_constraints()) {
                Ok(condition) => {
                    let ParsedPolicy { id, reason, annotations, core } = policy;
                    policies.push(Policy { id, reason, annotations, effect: core.effect(), core, condition });
                }
                Err(error) => return Err(UnsupportedPolicy { id: policy.id, loc: policy.core.loc().cloned(), error }),
            }
        }
        // A condition that never holds cannot fail either, so that nobody needs to find its policy.
        let indexed = (0..).zip(&policies).filter(|(_, policy)| policy.condition != Condition::Never);
        let index = Index::new(indexed.map(|(place, policy)| (place, &policy.core)), schema.actions());
        Ok(Self { policies, index, program: compiler.finish(), reference: OnceLock::new() })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.policies.len()
    }

    /// All of them, in the order of their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter()
    }

    /// Their ids, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().map(|policy| policy.id.as_str())
    }

    /// Cedar's own form of each, in the order of their ids.
    #[cfg(any(test, feature = "differential"))]
    pub(crate) fn in_cedar(&self) -> impl Iterator<Item = &CorePolicy> {
        self.policies.iter().map(|policy| &policy.core)
    }

    /// Which attributes of requests their conditions read.
    pub(crate) fn reads(&self) -> &Reads {
        self.program.reads()
    }

    /// Whether a policy changes memories of this level.
    pub(crate) fn remembers(&self, level: Level) -> bool {
        self.policies.iter().any(|policy| policy.annotations.change(level))
    }

    /// Whether this attribute of requests must be known to decide: a condition reads it, or what a policy counts or remembers is taken
    /// from it.
    pub(crate) fn read(&self, attribute: &str, symbols: &Symbols) -> bool {
        symbols.find(attribute).is_some_and(|symbol| self.reads().contains(symbol))
            || self.policies.iter().any(|policy| policy.annotations.read(attribute))
    }

    /// The sets that they remember, of which every value comes from the request's principal or resource, or from an attribute that is
    /// kept in records.
    pub(crate) fn kept_sets(&self, is_kept: impl Fn(&str) -> bool) -> BTreeSet<(Level, MemoryName)> {
        let rules = || self.policies.iter().flat_map(|policy| &policy.annotations.rules);
        let sets = || rules().filter_map(Rule::remembered);
        let withheld = sets().filter(|(.., source)| !source.is_kept(&is_kept));
        let withheld: BTreeSet<_> = withheld.map(|(level, name, _)| (level, name.clone())).collect();
        sets().map(|(level, name, _)| (level, name.clone())).filter(|set| !withheld.contains(set)).collect()
    }

    /// The labels that they add.
    pub(crate) fn labels(&self) -> BTreeSet<(Level, SmolStr)> {
        let rules = self.policies.iter().flat_map(|policy| &policy.annotations.rules);
        rules.filter_map(Rule::label).map(|(level, label)| (level, label.clone())).collect()
    }

    /// The names of the step-ups that they ask for.
    pub(crate) fn step_ups(&self) -> impl Iterator<Item = &SmolStr> {
        self.policies.iter().filter_map(|policy| policy.annotations.step_up.as_ref())
    }

    /// Evaluates those whose scope the request satisfies.
    pub(crate) fn evaluate(&self, question: &Question<'_>) -> Evaluation<'_> {
        let scratch = Scratch::new(question);
        let frame = Frame::new(question, &scratch);
        let mut evaluation = Evaluation::default();
        for policy in self.candidates(question).iter().filter_map(|place| self.policies.get(*place as usize)) {
            evaluation.note(policy, self.program.holds(&policy.condition, &frame));
        }
        evaluation
    }

    /// The places of those whose scope the request satisfies.
    pub(crate) fn candidates(&self, question: &Question<'_>) -> Candidates {
        let mut candidates = Candidates::new();
        self.index.find(question.action, question.principal, question.resource, &mut candidates);
        candidates
    }

    /// The same by Cedar's own authorizer, which evaluates all of them.
    pub(crate) fn evaluate_by_cedar(&self, schema: &CompiledSchema, question: &Question<'_>) -> Evaluation<'_> {
        let reference = self.reference.get_or_init(|| Reference::new(self.policies.iter().map(|policy| &policy.core)));
        let verdict = reference.evaluate(schema, question);
        let find = |place: usize| self.policies.get(place);
        let failed = |(place, failure)| Some((find(place)?, failure));
        let is_observer = |policy: &&Policy| policy.annotations.observes.is_some();
        let permits = || verdict.permits.iter().copied().filter_map(find);
        Evaluation {
            permits: permits().filter(|policy| !is_observer(policy)).collect(),
            forbids: verdict.forbids.iter().copied().filter_map(find).collect(),
            observers: permits().filter(is_observer).collect(),
            failures: verdict.failures.into_iter().filter_map(failed).collect(),
        }
    }
}

impl<'a> Evaluation<'a> {
    /// Notes what came of one policy.
    pub(crate) fn note(&mut self, policy: &'a Policy, holds: Result<bool, Failure>) {
        match (holds, policy.effect) {
            (Ok(true), Effect::Permit) if policy.annotations.observes.is_some() => self.observers.push(policy),
            (Ok(true), Effect::Permit) => self.permits.push(policy),
            (Ok(true), Effect::Forbid) => self.forbids.push(policy),
            (Ok(false), _) => {}
            (Err(failure), _) => self.failures.push((policy, failure)),
        }
    }

    /// Whether it allows by itself: some permit, no forbid, no failure.
    pub(crate) fn allows(&self) -> bool {
        self.failures.is_empty() && self.forbids.is_empty() && !self.permits.is_empty()
    }
}

#[cfg(test)]
mod tests;
