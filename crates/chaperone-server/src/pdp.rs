//! The use case: find the session, decide, record. Sees neither protobuf nor SQL.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chaperone_policy::mapping::{Credential, Undecodable};
use chaperone_policy::{
    Authority, BundleNumber, Decision, DecisionId, EntityRef, Outcome, Presenter, Reason, Request, Session,
    SessionHandle, Timestamp, decide,
};
use chaperone_store::StoreError;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::no_decision::NoDecision;
use crate::presenter::Evidence;
use crate::recorder::{Recorder, Subject};
use crate::replica::{Age, CachedChain, Policies, Replica, Snapshot};
use crate::telemetry::ParentContext;

/// The entity type of a peer that acts for itself.
const WORKLOAD: &str = "Chaperone::Workload";

/// How many decisions of a batch are made before others get their turn.
const BATCH_TURN: usize = 32;

/// The policy decision point of one replica.
#[derive(Debug)]
pub struct Pdp {
    clock: Clock,
    replica: Arc<Replica>,
    recorder: Recorder,
    in_flight: Semaphore,
    default_deadline: Duration,
}

/// Over which door a check came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// Envoy's ext_authz.
    ExtAuthz,
    /// Chaperone's own gRPC.
    Grpc,
}

impl Protocol {
    /// Its name in traces and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExtAuthz => "ext_authz",
            Self::Grpc => "grpc",
        }
    }
}

/// How fresh the session must be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Consistency {
    /// From memory, within the staleness limit.
    #[default]
    Bounded,
    /// Read from the store for this check.
    Strict,
}

/// What a check is about, once its request was understood.
#[derive(Debug)]
pub struct Question<'a> {
    /// What is presented as the session.
    pub credential: Credential,
    /// Who presents it.
    pub evidence: Evidence<'a>,
    /// What is asked for: every one must be allowed. Or why that cannot be read.
    pub requests: Result<&'a [Request], Undecodable>,
    /// How fresh the session must be.
    pub consistency: Consistency,
}

/// A check under way: its policies are fixed, and so is when it must be answered.
#[derive(Debug)]
pub struct Check<'a> {
    /// The policies that decide it.
    pub snapshot: Arc<Snapshot>,
    pdp: &'a Pdp,
    protocol: Protocol,
    parent: Option<ParentContext>,
    began: Instant,
    began_at: Timestamp,
    deadline: tokio::time::Instant,
}

/// A decision with what its answer is made of.
#[derive(Debug)]
pub struct Answer {
    /// Its name.
    pub id: DecisionId,
    /// The decision.
    pub decision: Decision,
    /// Who acts; `None` when that is not known.
    pub principal: Option<EntityRef>,
    /// The session.
    pub session: Option<Arc<Session>>,
    /// The bundle that decided.
    pub bundle: BundleNumber,
    /// When.
    pub at: Timestamp,
}

impl Answer {
    /// Whether the action may go ahead.
    pub fn is_allowed(&self) -> bool {
        self.decision.outcome == Outcome::Allow
    }
}

enum Subjects {
    Session(Arc<CachedChain>),
    Peer(EntityRef),
    Nobody(Reason),
}

impl Pdp {
    /// A PDP over one replica. At most `in_flight_max` checks are under way at once.
    pub fn new(
        clock: Clock,
        replica: Arc<Replica>,
        recorder: Recorder,
        in_flight_max: usize,
        default_deadline: Duration,
    ) -> Self {
        let in_flight = Semaphore::new(in_flight_max.clamp(1, Semaphore::MAX_PERMITS));
        Self { clock, replica, recorder, in_flight, default_deadline }
    }

    /// Begins a check that its caller waits for no longer than `timeout`.
    ///
    /// # Errors
    /// When there is nothing to decide with.
    pub fn begin(
        &self,
        protocol: Protocol,
        timeout: Option<Duration>,
        parent: Option<ParentContext>,
    ) -> Result<Check<'_>, NoDecision> {
        let began = Instant::now();
        let began_at = self.clock.now();
        let policies = match &**self.replica.policies() {
            Policies::Active(snapshot) => Ok(Arc::clone(snapshot)),
            Policies::None => Err(NoDecision::NoBundle),
            Policies::Unusable(_) => Err(NoDecision::BundleUnusable),
        };
        let snapshot = policies.inspect_err(|failure| {
            self.recorder.no_decision(*failure, protocol, parent.as_ref(), began_at, began.elapsed());
        })?;
        let timeout = timeout.unwrap_or(self.default_deadline);
        let deadline = tokio::time::Instant::from_std(began) + timeout.saturating_sub(margin(timeout));
        Ok(Check { snapshot, pdp: self, protocol, parent, began, began_at, deadline })
    }

    /// Notes that no decision was made for a request that did not get as far as a check.
    pub fn refuse(&self, failure: NoDecision, protocol: Protocol) {
        self.recorder.no_decision(failure, protocol, None, self.clock.now(), Duration::ZERO);
    }
}

/// What is kept back of the caller's deadline, for the answer's way.
fn margin(timeout: Duration) -> Duration {
    (timeout / 5).clamp(Duration::from_millis(1), Duration::from_millis(20))
}

impl Check<'_> {
    /// Decides, records, and returns what the answer is made of.
    ///
    /// # Errors
    /// When no decision can be made: the caller's action must not go ahead.
    pub async fn decide(&self, question: Question<'_>) -> Result<Answer, NoDecision> {
        let requests = question.requests.as_ref().ok().copied().unwrap_or_default();
        let outcome = self.try_decide(&question).await;
        match &outcome {
            Ok(answer) => {
                self.pdp.recorder.decided(answer, &self.subject(requests), self.parent.as_ref());
            }
            Err(failure) => self.record_failure(*failure),
        }
        outcome
    }

    /// Decides each of several actions of one presenter and session, on one snapshot of both.
    ///
    /// # Errors
    /// When no decision can be made for one of them: then there is none for any.
    pub async fn decide_each(
        &self,
        credential: Credential,
        evidence: Evidence<'_>,
        consistency: Consistency,
        requests: &[Request],
    ) -> Result<Vec<Answer>, NoDecision> {
        let outcome = self.try_decide_each(credential, evidence, consistency, requests).await;
        outcome.inspect_err(|failure| self.record_failure(*failure))
    }

    async fn try_decide_each(
        &self,
        credential: Credential,
        evidence: Evidence<'_>,
        consistency: Consistency,
        requests: &[Request],
    ) -> Result<Vec<Answer>, NoDecision> {
        let _permit = self.admit()?;
        let subjects = self.resolve(credential, evidence, consistency).await?;
        let mut answers = Vec::with_capacity(requests.len());
        for (place, request) in requests.iter().enumerate() {
            if place % BATCH_TURN == BATCH_TURN - 1 {
                // A long batch must not keep others from being answered, nor outlive its caller's patience.
                tokio::task::yield_now().await;
                if tokio::time::Instant::now() >= self.deadline {
                    return Err(NoDecision::Deadline);
                }
            }
            let asked = std::slice::from_ref(request);
            let answer = self.judge(&subjects, evidence, &Ok(asked))?;
            self.pdp.recorder.decided(&answer, &self.subject(asked), self.parent.as_ref());
            answers.push(answer);
        }
        Ok(answers)
    }

    fn subject<'q>(&self, requests: &'q [Request]) -> Subject<'q> {
        Subject {
            protocol: self.protocol,
            requests,
            began_at: self.began_at,
            elapsed: self.began.elapsed(),
            is_stale: self.pdp.replica.freshness().judge(self.began) != Age::Fresh,
        }
    }

    fn record_failure(&self, failure: NoDecision) {
        let elapsed = self.began.elapsed();
        self.pdp.recorder.no_decision(failure, self.protocol, self.parent.as_ref(), self.began_at, elapsed);
    }

    async fn try_decide(&self, question: &Question<'_>) -> Result<Answer, NoDecision> {
        let _permit = self.admit()?;
        let subjects = self.resolve(question.credential.clone(), question.evidence, question.consistency).await?;
        self.judge(&subjects, question.evidence, &question.requests)
    }

    fn admit(&self) -> Result<tokio::sync::SemaphorePermit<'_>, NoDecision> {
        // Shed at once: a check that waits for its turn is answered too late to be worth its work.
        let permit = self.pdp.in_flight.try_acquire().map_err(|_| NoDecision::Overloaded)?;
        match self.pdp.replica.freshness().judge(self.began) {
            Age::Fresh | Age::Grace => Ok(permit),
            Age::Stale => Err(NoDecision::Stale),
        }
    }

    /// Finds out on whose authority the action is asked for.
    async fn resolve(
        &self,
        credential: Credential,
        evidence: Evidence<'_>,
        consistency: Consistency,
    ) -> Result<Subjects, NoDecision> {
        let text = match credential {
            Credential::Handle(text) => text,
            Credential::Ambiguous => return Ok(Subjects::Nobody(Reason::Undecodable)),
            Credential::Absent => {
                let peer = evidence.spiffe_id().filter(|_| self.snapshot.bundle.mapping().allows_peer());
                return Ok(match peer {
                    Some(id) => Subjects::Peer(EntityRef::new(WORKLOAD, id)),
                    None => Subjects::Nobody(Reason::Unauthenticated),
                });
            }
        };
        // What is presented and is no session is denied; it never falls back to who presents it.
        let Ok(handle) = SessionHandle::parse(&text) else { return Ok(Subjects::Nobody(Reason::SessionUnknown)) };
        let hash = handle.hash();
        let replica = &self.pdp.replica;
        let found = match consistency {
            Consistency::Bounded => self.in_time(replica.chain(&hash)).await?,
            Consistency::Strict => self.in_time(replica.load_chain(&hash)).await?,
        };
        let Some(cached) = found else { return Ok(Subjects::Nobody(Reason::SessionUnknown)) };
        if !cached.looks_idle(self.began_at) {
            return Ok(Subjects::Session(cached));
        }
        if let Some(used) = replica.sessions().fold_uses(&hash).filter(|used| !used.looks_idle(self.began_at)) {
            return Ok(Subjects::Session(used));
        }
        // Idle as far as is known here. It may have been used on another replica, which only the store can tell.
        match self.in_time(replica.load_chain(&hash)).await? {
            Some(loaded) => Ok(Subjects::Session(loaded)),
            None => Ok(Subjects::Nobody(Reason::SessionUnknown)),
        }
    }

    async fn in_time<T>(&self, load: impl Future<Output = Result<T, StoreError>>) -> Result<T, NoDecision> {
        match tokio::time::timeout_at(self.deadline, load).await {
            Ok(Ok(loaded)) => Ok(loaded),
            Ok(Err(error)) => {
                self.pdp.recorder.store_failed(&error);
                Err(NoDecision::StoreUnavailable)
            }
            Err(_) => Err(NoDecision::Deadline),
        }
    }

    fn judge(
        &self,
        subjects: &Subjects,
        evidence: Evidence<'_>,
        requests: &Result<&[Request], Undecodable>,
    ) -> Result<Answer, NoDecision> {
        let at = self.pdp.clock.now();
        let (decision, principal, session) = match subjects {
            Subjects::Nobody(reason) => (Decision::deny(*reason), None, None),
            Subjects::Peer(principal) => {
                let decision =
                    self.decide_all(Authority::Principal(principal), &evidence.presenter(false), requests, at)?;
                (decision, Some(principal.clone()), None)
            }
            Subjects::Session(cached) => {
                let chain = &cached.chain;
                let session = chain.session();
                let presenter = evidence.presenter(session.binding.certificate_sha256.is_some());
                let decision = self.decide_all(Authority::Session(chain), &presenter, requests, at)?;
                if counts_as_use(decision.reason) {
                    cached.note_use(at);
                }
                (decision, Some(session.principal.clone()), Some(Arc::clone(session)))
            }
        };
        let id = self.pdp.clock.decision_id();
        Ok(Answer { id, decision, principal, session, bundle: self.snapshot.number, at })
    }

    fn decide_all(
        &self,
        authority: Authority<'_>,
        presenter: &Presenter,
        requests: &Result<&[Request], Undecodable>,
        now: Timestamp,
    ) -> Result<Decision, NoDecision> {
        let requests = match requests {
            Ok(requests) => *requests,
            Err(undecodable) => {
                let detail = Some(undecodable.message.clone());
                return Ok(Decision { detail, ..Decision::deny(Reason::Undecodable) });
            }
        };
        let Snapshot { bundle, entities, .. } = &*self.snapshot;
        guarded(|| combine(requests.iter().map(|request| decide(bundle, entities, request, authority, presenter, now))))
    }
}

/// All of several actions, as one: the first denial, or one allow with every policy that permitted a part of it.
fn combine(decisions: impl Iterator<Item = Decision>) -> Decision {
    let mut whole: Option<Decision> = None;
    for decision in decisions {
        match (&mut whole, decision.outcome) {
            (_, Outcome::Deny) => return decision,
            (None, Outcome::Allow) => whole = Some(decision),
            (Some(allowed), Outcome::Allow) => {
                for policy in decision.policies {
                    if !allowed.policies.contains(&policy) {
                        allowed.policies.push(policy);
                    }
                }
            }
        }
    }
    // Asking for nothing is no reason to allow.
    whole.unwrap_or_else(|| Decision::deny(Reason::Undecodable))
}

/// A defect in the evaluation must not become a failed call, which a proxy may be configured to treat as an allow.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, NoDecision> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| NoDecision::Internal)
}

/// Whether a check with this result keeps its session from being idle: only one that got past the built-in rules, so that a stolen
/// handle, tried from elsewhere, does not keep the session alive.
const fn counts_as_use(reason: Reason) -> bool {
    match reason {
        Reason::Permitted | Reason::NoPermit | Reason::Forbidden | Reason::PolicyError => true,
        Reason::SessionUnknown
        | Reason::SessionExpired
        | Reason::SessionIdle
        | Reason::SessionCompleted
        | Reason::SessionRevoked
        | Reason::PrincipalSuspended
        | Reason::BindingMismatch
        | Reason::OutOfScope
        | Reason::Unauthenticated
        | Reason::Undecodable => false,
    }
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
        let allow = Decision { outcome: Outcome::Allow, reason: Reason::Permitted, policies: Vec::new(), detail: None };
        let deny = Decision::deny(Reason::NoPermit);
        assert_eq!(combine([allow.clone(), deny.clone(), allow.clone()].into_iter()), deny);
        assert_eq!(combine([allow.clone(), allow.clone()].into_iter()), allow);
    }

    #[test]
    fn margin_leaves_most_of_a_short_deadline() {
        assert_eq!(margin(Duration::from_millis(5)), Duration::from_millis(1));
        assert_eq!(margin(Duration::from_millis(200)), Duration::from_millis(20));
    }
}
