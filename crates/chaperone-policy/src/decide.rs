//! The one function that says allow or deny.

use std::sync::Arc;

use crate::bundle::Bundle;
use crate::context;
use crate::decision::{Decision, DeterminingPolicy, Failure, Outcome, Reason};
use crate::entities::EntityStore;
use crate::evaluate::Situation;
use crate::policy_set::{Evaluation, Policy};
use crate::reference;
use crate::request::{Presenter, Request};
use crate::session::{Life, Session, SessionChain};
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
    fn sessions(self) -> impl Iterator<Item = &'a Arc<Session>> {
        self.chain().into_iter().flat_map(SessionChain::iter)
    }
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
    decide_with(Evaluator::Compiled, bundle, entities, request, authority, presenter, now)
}

/// The same decision, with every policy evaluated by Cedar's own authorizer: slow, and what [`decide`] is held to.
pub fn decide_by_cedar(
    bundle: &Bundle,
    entities: &EntityStore,
    request: &Request,
    authority: Authority<'_>,
    presenter: &Presenter,
    now: Timestamp,
) -> Decision {
    decide_with(Evaluator::Cedar, bundle, entities, request, authority, presenter, now)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Evaluator {
    Compiled,
    Cedar,
}

fn decide_with(
    evaluator: Evaluator,
    bundle: &Bundle,
    entities: &EntityStore,
    request: &Request,
    authority: Authority<'_>,
    presenter: &Presenter,
    now: Timestamp,
) -> Decision {
    if let Some(denial) = ended(authority, now)
        .or_else(|| suspended(bundle, entities, authority))
        .or_else(|| bound_elsewhere(authority, presenter))
    {
        return denial;
    }
    let situation = match situation(evaluator, bundle, entities, request, authority, now) {
        Ok(situation) => situation,
        Err(denial) => return denial,
    };
    if let Some(denial) = out_of_scope(bundle, &situation, authority) {
        return denial;
    }
    if !applies(bundle, request, authority) {
        return Decision::deny(Reason::NoPermit);
    }
    by_policies(&bundle.policies().evaluate(&situation), request, authority)
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

/// The principal, or one that it has its authority from, is suspended.
fn suspended(bundle: &Bundle, entities: &EntityStore, authority: Authority<'_>) -> Option<Decision> {
    let ancestors = authority.sessions().skip(1).map(|session| &session.principal);
    let is_suspended = |principal| bundle.schema().uid(principal).is_some_and(|uid| entities.is_suspended(&uid));
    let mut principals = std::iter::once(authority.principal()).chain(ancestors);
    principals.any(is_suspended).then(|| Decision::deny(Reason::PrincipalSuspended))
}

/// The presenter does not show what the session is bound to. Ancestors are bound to presenters of their own.
fn bound_elsewhere(authority: Authority<'_>, presenter: &Presenter) -> Option<Decision> {
    let session = authority.session()?;
    (!session.binding.is_met_by(presenter)).then(|| Decision::deny(Reason::BindingMismatch))
}

/// The request in Cedar's terms. What the schema does not know, no policy can permit.
fn situation<'a>(
    evaluator: Evaluator,
    bundle: &'a Bundle,
    entities: &'a EntityStore,
    request: &Request,
    authority: Authority<'_>,
    now: Timestamp,
) -> Result<Situation<'a>, Decision> {
    let no_permit = || Decision::deny(Reason::NoPermit);
    let action = bundle.schema().action(&request.action).ok_or_else(no_permit)?;
    let principal = bundle.schema().uid(authority.principal()).ok_or_else(no_permit)?;
    let resource = bundle.schema().uid(&request.resource).ok_or_else(no_permit)?;
    let context = context::build(action, request, authority.chain(), now)
        .map_err(|error| Decision { detail: Some(error.to_string()), ..Decision::deny(Reason::PolicyError) })?;
    let by_cedar = reference::Situation::new(
        bundle.schema(),
        entities,
        principal.clone(),
        action.uid.clone(),
        resource.clone(),
        context.clone(),
    );
    let situation = Situation::new(entities, principal, action, resource, context);
    Ok(match evaluator {
        Evaluator::Compiled => situation,
        Evaluator::Cedar => situation.by_cedar(by_cedar),
    })
}

/// The scope of the session, or of one that it was delegated from, does not allow this by itself, or is for another schema.
fn out_of_scope(bundle: &Bundle, situation: &Situation<'_>, authority: Authority<'_>) -> Option<Decision> {
    if !authority.sessions().all(|session| session.scope.fits(bundle)) {
        let detail = Some("the session's scope does not fit the active policies; open a new session".to_owned());
        return Some(Decision { detail, ..Decision::deny(Reason::OutOfScope) });
    }
    let covered = authority.sessions().all(|session| session.scope.allows(situation));
    (!covered).then(|| Decision::deny(Reason::OutOfScope))
}

/// Whether the action applies to principals and resources of these types. Policies were checked for no others.
fn applies(bundle: &Bundle, request: &Request, authority: Authority<'_>) -> bool {
    bundle.schema().action(&request.action).is_some_and(|action| {
        action.principals.contains(&authority.principal().kind) && action.resources.contains(&request.resource.kind)
    })
}

fn by_policies(evaluation: &Evaluation<'_>, request: &Request, authority: Authority<'_>) -> Decision {
    // Cedar alone skips a policy that fails to evaluate; a skipped forbid would fail open.
    if !evaluation.failures.is_empty() {
        // A reason speaks for what its policy says; one that failed says nothing, and a failed permit's reason would sound like an allow.
        let explain = |(policy, failure): &(&Policy, Failure)| DeterminingPolicy {
            id: policy.id.to_string(),
            reason: None,
            failure: Some(*failure),
        };
        let policies = evaluation.failures.iter().map(explain).collect();
        return Decision { policies, ..Decision::deny(Reason::PolicyError) };
    }
    let (outcome, reason, determining) = if !evaluation.forbids.is_empty() {
        (Outcome::Deny, Reason::Forbidden, &evaluation.forbids)
    } else if !evaluation.permits.is_empty() {
        (Outcome::Allow, Reason::Permitted, &evaluation.permits)
    } else {
        return Decision::deny(Reason::NoPermit);
    };
    let explain = |policy: &&Policy| DeterminingPolicy {
        id: policy.id.to_string(),
        reason: policy.reason.as_ref().map(|reason| reason.render(request, authority)),
        failure: None,
    };
    Decision { outcome, reason, policies: determining.iter().map(explain).collect(), detail: None }
}
