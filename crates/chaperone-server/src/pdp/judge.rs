//! One attempt at a decision: the actions one after the other, each on what those before it left.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chaperone_policy::{
    Authority, Decision, DecisionId, Effect, EntityRef, MemoryLimits, Occasion, Outcome, Presenter, Reason, Request,
    SessionChain, Timestamp, Trace, remember,
};

use super::question::Read;
use super::token_reuse;
use crate::config::OnTokenReuse;
use crate::evaluator::Evaluator;
use crate::no_decision::NoDecision;
use crate::replica::{RecalledChain, Snapshot};

/// What decisions are made with, whatever they are about.
#[derive(Debug)]
pub struct Judge {
    /// What evaluates policies.
    pub evaluator: Evaluator,
    /// How much is remembered at most.
    pub limits: MemoryLimits,
    /// What becomes of a session that is presented from elsewhere.
    pub on_token_reuse: OnTokenReuse,
}

/// A decision, with what it would leave behind.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) decision: Decision,
    /// The session as the next decision must see it; `None` when nothing of it changes.
    pub(crate) after: Option<SessionChain>,
    /// What it was made on.
    pub(super) read: Read,
}

impl Judgement {
    /// Whether something has to be stored before this may be answered: a challenge names an approval that can be given.
    pub(super) fn must_be_committed(&self) -> bool {
        self.after.is_some()
            || self.decision.outcome == Outcome::Challenge
            || self.decision.effects.iter().any(|effect| matches!(effect, Effect::Revoke { .. }))
    }
}

impl From<Decision> for Judgement {
    fn from(decision: Decision) -> Self {
        Self { decision, after: None, read: Read::default() }
    }
}

impl Judge {
    /// Decides what a session asks for: all of it, or none.
    ///
    /// # Errors
    /// [`NoDecision::Internal`] when a defect was caught.
    pub(super) fn session(
        &self,
        id: DecisionId,
        snapshot: &Arc<Snapshot>,
        recalled: &Arc<RecalledChain>,
        presenter: &Presenter<'_>,
        requests: &[Request],
        now: Timestamp,
    ) -> Result<Judgement, NoDecision> {
        traced(Some(recalled), |trace| {
            self.decide(id, snapshot, Authority::Session(&recalled.chain), presenter, requests, now, trace)
        })
    }

    /// Decides what a peer asks for that acts for itself: all of it, or none.
    ///
    /// # Errors
    /// [`NoDecision::Internal`] when a defect was caught.
    pub(super) fn peer(
        &self,
        id: DecisionId,
        snapshot: &Arc<Snapshot>,
        principal: &EntityRef,
        presenter: &Presenter<'_>,
        requests: &[Request],
        now: Timestamp,
    ) -> Result<Judgement, NoDecision> {
        traced(None, |trace| {
            self.decide(id, snapshot, Authority::Principal(principal), presenter, requests, now, trace)
        })
    }

    /// Decides what is asked for on this authority: all of it, or none. `trace` notes what is looked at.
    #[expect(clippy::too_many_arguments, reason = "a pure function names all that it depends on")]
    pub(crate) fn decide(
        &self,
        id: DecisionId,
        snapshot: &Arc<Snapshot>,
        authority: Authority<'_>,
        presenter: &Presenter<'_>,
        requests: &[Request],
        now: Timestamp,
        trace: &Trace,
    ) -> Judgement {
        let evaluate = |request: &Request, authority: Authority<'_>| {
            self.evaluator.decide(id, snapshot, request, authority, presenter, now, trace)
        };
        let chain = match authority {
            Authority::Session(chain) => chain,
            Authority::Principal(_) => {
                return combine(requests.iter().map(|request| evaluate(request, authority))).into();
            }
        };
        let decay = snapshot.bundle.manifest().risk.decay_per_hour;
        let occasion = Occasion { decision: id, results: None, now, limits: &self.limits, risk_decay_per_hour: decay };
        let decide = |request: &Request, chain: &SessionChain| {
            let mut decision = evaluate(request, Authority::Session(chain));
            if decision.reason == Reason::BindingMismatch {
                decision.effects = token_reuse::effects(self.on_token_reuse);
            }
            if decision.effects.is_empty() {
                return Judgement::from(decision);
            }
            let results = snapshot.bundle.mapping().results(&request.action);
            let (decision, after) = remember(decision, chain, &Occasion { results, ..occasion });
            Judgement { after, ..Judgement::from(decision) }
        };
        if let [request] = requests {
            return decide(request, chain);
        }
        let (mut allowed, mut refused, mut after) = (None, None, None);
        for request in requests {
            let judged = decide(request, after.as_ref().unwrap_or(chain));
            match judged.decision.outcome {
                Outcome::Allow => {
                    allowed = Some(joined(allowed, judged.decision));
                    after = judged.after.or(after);
                }
                // Others are still asked: one of them may be denied, and all that need an approval are named at once.
                Outcome::Challenge => refused = Some(joined(refused, judged.decision)),
                Outcome::Deny => {
                    refused = Some(judged.decision);
                    break;
                }
            }
        }
        if let Some(decision) = refused {
            // What the others would have left behind does not happen; what the denial or the challenge does, does.
            let (decision, after) = remember(decision, chain, &occasion);
            return Judgement { after, ..Judgement::from(decision) };
        }
        Judgement { after, ..Judgement::from(allowed.unwrap_or_else(nothing_asked)) }
    }
}

/// All of several actions, as one: the first denial; else one challenge with all that is asked for; else one allow with every policy
/// that permitted a part of it.
fn combine(decisions: impl Iterator<Item = Decision>) -> Decision {
    let (mut allowed, mut challenged) = (None, None);
    for decision in decisions {
        match decision.outcome {
            Outcome::Deny => return decision,
            Outcome::Challenge => challenged = Some(joined(challenged, decision)),
            Outcome::Allow => allowed = Some(joined(allowed, decision)),
        }
    }
    challenged.or(allowed).unwrap_or_else(nothing_asked)
}

/// One decision of those so far and the next, of the same outcome.
fn joined(whole: Option<Decision>, part: Decision) -> Decision {
    match whole {
        None => part,
        Some(whole) => both(whole, part),
    }
}

/// One allow of two, or one challenge.
fn both(mut whole: Decision, part: Decision) -> Decision {
    for policy in part.policies {
        if !whole.policies.contains(&policy) {
            whole.policies.push(policy);
        }
    }
    whole.effects.extend(part.effects);
    whole.report_until = whole.report_until.max(part.report_until);
    if !part.step_ups.is_empty() {
        let mut step_ups = std::mem::take(&mut whole.step_ups).into_vec();
        for step_up in part.step_ups {
            if !step_ups.contains(&step_up) {
                step_ups.push(step_up);
            }
        }
        whole.step_ups = step_ups.into();
    }
    whole
}

/// Asking for nothing is no reason to allow.
fn nothing_asked() -> Decision {
    Decision::deny(Reason::Undecodable)
}

/// What is decided, with what it was made on.
///
/// # Errors
/// [`NoDecision::Internal`] when a defect was caught.
fn traced(
    chain: Option<&Arc<RecalledChain>>,
    decide: impl FnOnce(&Trace) -> Judgement,
) -> Result<Judgement, NoDecision> {
    guarded(|| {
        let trace = Trace::default();
        let judgement = decide(&trace);
        Judgement { read: Read { chain: chain.cloned(), entities: trace.into_entities() }, ..judgement }
    })
}

/// A defect in the evaluation must not become a failed call, which a proxy may be configured to treat as an allow.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, NoDecision> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| NoDecision::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_in_the_evaluator_is_no_decision() {
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let outcome = guarded(|| -> Decision { panic!("a defect") });
        std::panic::set_hook(quiet);
        assert_eq!(outcome, Err(NoDecision::Internal));
    }

    #[test]
    fn asking_for_nothing_is_denied() {
        assert_eq!(combine(std::iter::empty()).outcome, Outcome::Deny);
    }

    #[test]
    fn one_denied_action_denies_all() {
        let allow = Decision { outcome: Outcome::Allow, ..Decision::deny(Reason::Permitted) };
        let deny = Decision::deny(Reason::NoPermit);
        assert_eq!(combine([allow.clone(), deny.clone(), allow.clone()].into_iter()), deny);
        assert_eq!(combine([allow.clone(), allow.clone()].into_iter()), allow);
        let challenge = Decision { outcome: Outcome::Challenge, ..Decision::deny(Reason::StepUpRequired) };
        for decisions in [[&allow, &challenge], [&challenge, &allow], [&challenge, &challenge]] {
            assert_eq!(combine(decisions.into_iter().cloned()), challenge);
        }
        for decisions in [[&deny, &challenge], [&challenge, &deny]] {
            assert_eq!(combine(decisions.into_iter().cloned()), deny);
        }
    }
}
