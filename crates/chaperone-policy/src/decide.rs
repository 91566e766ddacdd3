//! The one function that says allow, deny or challenge.

use std::sync::Arc;

use crate::bundle::Bundle;
use crate::compiled::{Question, Subject, Trace, Uid};
use crate::decision::{Decision, DeterminingPolicy, Failure, Outcome, Reason};
use crate::effects::{self, Effect, Observes};
use crate::entities::{EntityRecord, EntityStore};
use crate::policy_set::{Evaluation, Policy, PolicySet};
use crate::request::{Presenter, Request};
use crate::schema::CompiledSchema;
use crate::scope::ScopeFit;
use crate::session::{Life, Session, SessionChain};
use crate::step_up::{self, Lifting};
use crate::timestamp::Timestamp;
use crate::value::EntityRef;

/// On whose authority an action is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Authority<'a> {
    /// A session's, with every ancestor's limits.
    Session(&'a SessionChain),
    /// A principal's own, with no session.
    Principal(&'a EntityRef),
}

impl<'a> Authority<'a> {
    /// Who acts.
    pub fn principal(self) -> &'a EntityRef {
        match self {
            Self::Session(chain) => &chain.session().principal,
            Self::Principal(principal) => principal,
        }
    }

    /// The session, where there is one.
    pub fn session(self) -> Option<&'a Session> {
        self.chain().map(|chain| chain.session().as_ref())
    }

    fn chain(self) -> Option<&'a SessionChain> {
        match self {
            Self::Session(chain) => Some(chain),
            Self::Principal(_) => None,
        }
    }

    /// The session and its ancestors, itself first; none where there is no session.
    pub(crate) fn sessions(self) -> impl Iterator<Item = &'a Arc<Session>> {
        self.chain().into_iter().flat_map(SessionChain::iter)
    }
}

/// Which evaluator says what policies apply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Evaluator {
    /// The compiled policies.
    Compiled,
    /// The compiled policies, for what was allowed before.
    CompiledAsAllowed,
    /// Cedar's own authorizer.
    Cedar,
}

/// Decides `request` against one bundle, one set of entities and one snapshot of its session.
///
/// Pure and total: equal arguments give equal decisions, so a record can be replayed. The built-in rules come first, and no policy
/// can override them; then no permit means no allow, a forbid wins, and a policy that fails to evaluate denies.
pub fn decide(
    bundle: &Bundle,
    entities: &EntityStore,
    request: &Request,
    authority: Authority<'_>,
    presenter: &Presenter,
    now: Timestamp,
) -> Decision {
    decide_traced(bundle, entities, request, authority, presenter, now, &Trace::default())
}

/// As [`decide`], noting what it looked at.
pub fn decide_traced(
    bundle: &Bundle,
    entities: &EntityStore,
    request: &Request,
    authority: Authority<'_>,
    presenter: &Presenter,
    now: Timestamp,
    trace: &Trace,
) -> Decision {
    decide_with(Evaluator::Compiled, bundle, entities, request, authority, presenter, now, trace)
}

/// As [`decide`], by Cedar's own authorizer: the reference, which the compiled policies must agree with, at a hundred times the cost.
pub fn decide_by_cedar(
    bundle: &Bundle,
    entities: &EntityStore,
    request: &Request,
    authority: Authority<'_>,
    presenter: &Presenter,
    now: Timestamp,
) -> Decision {
    decide_with(Evaluator::Cedar, bundle, entities, request, authority, presenter, now, &Trace::default())
}

/// As [`decide_traced`], for what was allowed when it was asked, by whatever policies: no forbid counts, and no permit need be there. What a
/// built-in rule or a scope denies, and what fails, is denied here too.
///
/// It answers nobody: its effects are what permits and observers say of an allowed request.
pub fn decide_as_allowed(
    bundle: &Bundle,
    entities: &EntityStore,
    request: &Request,
    authority: Authority<'_>,
    presenter: &Presenter,
    now: Timestamp,
    trace: &Trace,
) -> Decision {
    decide_with(Evaluator::CompiledAsAllowed, bundle, entities, request, authority, presenter, now, trace)
}

#[expect(clippy::too_many_arguments, reason = "a pure function names all that it depends on")]
fn decide_with(
    evaluator: Evaluator,
    bundle: &Bundle,
    entities: &EntityStore,
    request: &Request,
    authority: Authority<'_>,
    presenter: &Presenter,
    now: Timestamp,
    trace: &Trace,
) -> Decision {
    if let Some(denial) = ended(authority, now) {
        return denial;
    }
    let own;
    let principals = match authority {
        Authority::Session(chain) => &*chain.facts().principals,
        Authority::Principal(principal) => {
            own = [Uid::new(principal.clone())];
            &own
        }
    };
    let Some(principal) = principals.first().map(|principal| Subject::new(principal, entities)) else {
        // Every chain has a session, and every session a principal.
        return Decision::deny(Reason::NoPermit);
    };
    if is_suspended(principal, principals, entities) {
        return Decision::deny(Reason::PrincipalSuspended);
    }
    if let Some(denial) = bound_elsewhere(bundle, authority, presenter) {
        return denial;
    }
    let schema = bundle.schema();
    let (principal_kind, resource_kind) = (principal.uid.kind(), &request.resource.kind);
    // What the schema does not know, no policy can permit.
    let Some(shape) = request.shape() else { return Decision::deny(Reason::NoPermit) };
    let Some(action) = schema.action(shape) else {
        let detail = Some("the request was made for other policies".to_owned());
        return Decision { detail, ..Decision::deny(Reason::PolicyError) };
    };
    let applies = shape.applies_to(principal_kind, resource_kind);
    let declares_both = || schema.declares(principal_kind) && schema.declares(resource_kind);
    if !(applies || declares_both()) {
        return Decision::deny(Reason::NoPermit);
    }
    let resource = Uid::new(request.resource.clone());
    let resource = Subject::new(&resource, entities);
    let chain = authority.chain();
    let risk_decay_per_hour = bundle.manifest().risk.decay_per_hour;
    let question = Question { principal, action, resource, request, chain, now, risk_decay_per_hour, entities, trace };
    if let Some(denial) = out_of_scope(evaluator, bundle, &question) {
        return denial;
    }
    if !applies {
        // Policies were checked for no other types than those that the action applies to.
        return Decision::deny(Reason::NoPermit);
    }
    if let Some(coverage) = trace.coverage() {
        coverage.note(bundle.policies().candidates(&question), &question);
    }
    let evaluation = evaluator.evaluate(bundle.policies(), schema, &question);
    let was_allowed = evaluator == Evaluator::CompiledAsAllowed;
    by_policies(&evaluation, was_allowed, schema, &question, authority)
}

impl Evaluator {
    fn evaluate<'a>(self, policies: &'a PolicySet, schema: &CompiledSchema, question: &Question<'_>) -> Evaluation<'a> {
        match self {
            Self::Compiled | Self::CompiledAsAllowed => policies.evaluate(question),
            Self::Cedar => policies.evaluate_by_cedar(schema, question),
        }
    }
}

/// The session, or one that it was delegated from, has no authority any more.
fn ended(authority: Authority<'_>, now: Timestamp) -> Option<Decision> {
    let (generation, session, reason) = authority.sessions().enumerate().find_map(|(generation, session)| {
        let reason = match session.life(now) {
            Life::Active => return None,
            Life::Expired => Reason::SessionExpired,
            Life::Idle => Reason::SessionIdle,
            Life::Completed => Reason::SessionCompleted,
            Life::Revoked => Reason::SessionRevoked,
        };
        Some((generation, session, reason))
    })?;
    Some(Decision { detail: ending_detail(generation, session, reason), ..Decision::deny(reason) })
}

/// How a session ended, for the caller; `None` when the reason's own text says all.
fn ending_detail(generation: usize, session: &Session, reason: Reason) -> Option<String> {
    let why = session.ended.as_ref().map(|ended| ended.reason.as_str()).filter(|why| !why.is_empty());
    let how = match reason {
        Reason::SessionRevoked => "revoked",
        Reason::SessionCompleted => "completed",
        _ => "",
    };
    let whose = match generation {
        0 => return why.map(|why| format!("{how}: {why}")),
        1 => "the parent session",
        _ => "an ancestor session",
    };
    let what = match reason {
        Reason::SessionExpired => "has expired".to_owned(),
        Reason::SessionIdle => "was unused for too long".to_owned(),
        _ => format!("was {how}"),
    };
    Some(match why {
        Some(why) => format!("{whose} {what}: {why}"),
        None => format!("{whose} {what}"),
    })
}

/// Whether the principal, or one that it has its authority from, is suspended.
fn is_suspended(principal: Subject<'_>, principals: &[Uid], entities: &EntityStore) -> bool {
    let ancestors = principals.iter().skip(1).map(|ancestor| entities.find(ancestor));
    std::iter::once(principal.record).chain(ancestors).flatten().any(EntityRecord::is_suspended)
}

/// The presenter does not show what the session is bound to. Ancestors are bound to presenters of their own.
fn bound_elsewhere(bundle: &Bundle, authority: Authority<'_>, presenter: &Presenter) -> Option<Decision> {
    let session = authority.session()?;
    (!session.binding.is_met_by(presenter, bundle.mapping().zones())).then(|| Decision::deny(Reason::BindingMismatch))
}

/// The scope of the session, or of one that it was delegated from, does not allow this by itself, or is for another schema.
fn out_of_scope(evaluator: Evaluator, bundle: &Bundle, question: &Question<'_>) -> Option<Decision> {
    let mut covered = true;
    for session in question.chain.into_iter().flat_map(SessionChain::iter) {
        match session.scope.policies(bundle) {
            ScopeFit::Unrestricted => {}
            ScopeFit::Policies(policies) => {
                covered = covered && evaluator.evaluate(&policies, bundle.schema(), question).allows();
            }
            ScopeFit::Unfit => {
                let detail =
                    Some("the session's scope does not fit the active policies; open a new session".to_owned());
                return Some(Decision { detail, ..Decision::deny(Reason::OutOfScope) });
            }
        }
    }
    (!covered).then(|| Decision::deny(Reason::OutOfScope))
}

fn by_policies(
    evaluation: &Evaluation<'_>,
    was_allowed: bool,
    schema: &CompiledSchema,
    question: &Question<'_>,
    authority: Authority<'_>,
) -> Decision {
    // Cedar alone skips a policy that fails to evaluate; a skipped forbid would fail open.
    if !evaluation.failures.is_empty() {
        return failed(&evaluation.failures);
    }
    let render = |policy: &Policy| policy.reason.as_ref().map(|reason| reason.render(question.request, authority));
    let (unlifted, mut effects, mut step_ups) = (&mut Vec::new(), Vec::new(), Vec::new());
    let (outcome, reason, determining) = match (evaluation.forbids.as_slice(), evaluation.permits.as_slice()) {
        (_, permits) if was_allowed => (Outcome::Allow, Reason::Permitted, permits),
        ([], []) => (Outcome::Deny, Reason::NoPermit, [].as_slice()),
        ([], permits) => (Outcome::Allow, Reason::Permitted, permits),
        // No approval makes up for a permit that is not there.
        (forbids, []) => (Outcome::Deny, Reason::Forbidden, forbids),
        (forbids, permits) => match step_up::lift(forbids, schema, question, render) {
            Lifting::Denied => (Outcome::Deny, Reason::Forbidden, forbids),
            Lifting::Lifted(taken) => {
                effects = taken;
                (Outcome::Allow, Reason::Permitted, permits)
            }
            Lifting::Wanted(policies, wanted) => {
                (*unlifted, step_ups) = (policies, wanted);
                (Outcome::Challenge, Reason::StepUpRequired, unlifted.as_slice())
            }
        },
    };
    let explain = |policy: &&Policy| DeterminingPolicy { id: policy.id.clone(), reason: render(policy), failure: None };
    let policies = determining.iter().map(explain).collect();
    match effects_of(outcome, determining, &evaluation.observers, schema, question, &mut effects) {
        // What an allowed action has to leave behind cannot be: then it may not go ahead.
        Some(failure) if outcome == Outcome::Allow => failed(&[failure]),
        // What is denied stays so, for its own reason.
        Some(_) | None => {
            let step_ups = step_ups.into();
            Decision { outcome, reason, policies, detail: None, effects, step_ups, report_until: None }
        }
    }
}

/// A denial because of policies that failed.
fn failed(failures: &[(&Policy, Failure)]) -> Decision {
    let policies = failures.iter().map(|(policy, failure)| DeterminingPolicy {
        id: policy.id.clone(),
        // A reason speaks for what its policy says, and a failed one says nothing: a permit's would sound like an allow.
        reason: None,
        failure: Some(*failure),
    });
    Decision { policies: policies.collect(), ..Decision::deny(Reason::PolicyError) }
}

/// Adds what a decision does: the effects of the policies that determined it, then those of the observers that see its outcome.
/// Returns the first policy of which an effect has no amount or value.
fn effects_of<'a>(
    outcome: Outcome,
    determining: &[&'a Policy],
    observers: &[&'a Policy],
    schema: &CompiledSchema,
    question: &Question<'_>,
    effects: &mut Vec<Effect>,
) -> Option<(&'a Policy, Failure)> {
    let sees = |policy: &&&Policy| match policy.annotations.observes {
        Some(Observes::Any) => true,
        Some(Observes::Allowed) => outcome == Outcome::Allow,
        Some(Observes::Denied) => matches!(outcome, Outcome::Deny | Outcome::Challenge),
        None => false,
    };
    let mut failure = None;
    for policy in determining.iter().chain(observers.iter().filter(sees)) {
        let rules = &policy.annotations.rules;
        if !rules.is_empty()
            && let Err(error) = effects::fire(&policy.id, rules, outcome, question, schema, effects)
        {
            failure = failure.or(Some((*policy, error)));
        }
    }
    failure
}
