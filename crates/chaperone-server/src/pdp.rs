//! The use case: find the session, decide, record. Sees neither protobuf nor SQL.

mod assignment;
mod batch;
mod challenge;
mod committer;
mod judge;
mod question;
mod recording;
mod report;
mod round;
mod subjects;
mod token_reuse;
mod withheld;

use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::mapping::Undecodable;
use chaperone_policy::{Authority, Decision, DecisionId, Outcome, Reason, Request, Timestamp};
use chaperone_store::StoreError;
use tokio::sync::Semaphore;

pub use self::challenge::Challenged;
use self::committer::{Committer, Job, Origin, Queue};
pub use self::judge::Judge;
pub(crate) use self::judge::Judgement;
use self::judge::guarded;
pub use self::question::{Answer, Asked, Claim, Consistency, Protocol, Question, Read};
pub use self::report::ReportFailure;
use self::subjects::{Resolved, Subjects};
pub use self::withheld::{Made, Withheld};
use crate::clock::{Clock, Moment, decision_id};
use crate::no_decision::NoDecision;
use crate::presenter::Evidence;
use crate::recorder::Recorder;
use crate::replica::{self, Age, Policies, Replica, Snapshot, Trial};
use crate::telemetry::ParentContext;
use crate::trail::NotRecorded;

/// The entity type of a peer that acts for itself.
pub(crate) const WORKLOAD: &str = "Chaperone::Workload";

/// The policy decision point of one replica.
#[derive(Debug)]
pub struct Pdp {
    clock: Clock,
    replica: Arc<Replica>,
    recorder: Recorder,
    judge: Arc<Judge>,
    /// For checks that leave something behind.
    queue: Queue,
    /// For checks that wait for the store. One that is decided from memory is over before another could count it.
    in_flight: Semaphore,
    default_deadline: Duration,
}

/// A check under way: its policies are fixed, and so is when it must be answered.
#[derive(Debug)]
pub struct Check<'a> {
    /// The policies that decide it. See [`Check::assign`].
    pub snapshot: Arc<Snapshot>,
    /// What decides for a part of the sessions in their place.
    canary: Option<Arc<Trial>>,
    pdp: &'a Pdp,
    protocol: Protocol,
    parent: Option<ParentContext>,
    began: Moment,
    age: Age,
    timeout: Duration,
}

/// A check that was put aside by [`Check::suspend`], to be gone on with by [`Pdp::resume`].
#[derive(Debug)]
pub struct SuspendedCheck {
    snapshot: Arc<Snapshot>,
    canary: Option<Arc<Trial>>,
    protocol: Protocol,
    parent: Option<ParentContext>,
    began: Moment,
    age: Age,
    timeout: Duration,
}

/// A decision that nobody was told of yet.
struct Judged {
    id: DecisionId,
    judgement: Judgement,
    at: Timestamp,
}

impl Pdp {
    /// A PDP over one replica. At most `in_flight_max` checks wait for the store at once. Call it within the runtime that outlives all
    /// others: what decisions leave behind is stored there.
    pub fn new(
        clock: Clock,
        replica: Arc<Replica>,
        recorder: Recorder,
        judge: Judge,
        in_flight_max: usize,
        default_deadline: Duration,
    ) -> Self {
        let in_flight = Semaphore::new(in_flight_max.clamp(1, Semaphore::MAX_PERMITS));
        let judge = Arc::new(judge);
        let committer = Committer {
            replica: Arc::clone(&replica),
            judge: Arc::clone(&judge),
            recorder: recorder.clone(),
            clock: clock.clone(),
        };
        let queue = committer.start(in_flight_max);
        Self { clock, replica, recorder, judge, queue, in_flight, default_deadline }
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
        self.begin_at(self.now(), protocol, timeout, parent)
    }

    /// When a check that begins now begins.
    pub fn now(&self) -> Moment {
        self.clock.moment()
    }

    /// As [`Pdp::begin`], for a check whose beginning is known: where one follows another at once, it is the other's end. The state has to
    /// be fresh then, and its session alive.
    ///
    /// # Errors
    /// As [`Pdp::begin`].
    pub fn begin_at(
        &self,
        began: Moment,
        protocol: Protocol,
        timeout: Option<Duration>,
        parent: Option<ParentContext>,
    ) -> Result<Check<'_>, NoDecision> {
        let policies = match &**self.replica.policies() {
            Policies::Active(snapshot) => Ok(replica::of_this_thread(snapshot)),
            Policies::None => Err(NoDecision::NoBundle),
            Policies::Unusable(_) => Err(NoDecision::BundleUnusable),
        };
        let snapshot = policies.inspect_err(|failure| {
            self.recorder.no_decision(*failure, protocol, parent.as_ref(), began.at, began.instant.elapsed());
        })?;
        let canary = self.replica.candidates().canary_beside(snapshot.number);
        let age = self.replica.freshness().judge(began.instant);
        let timeout = timeout.unwrap_or(self.default_deadline);
        Ok(Check { snapshot, canary, pdp: self, protocol, parent, began, age, timeout })
    }

    /// Goes on with a check that this PDP began.
    pub fn resume(&self, suspended: SuspendedCheck) -> Check<'_> {
        let SuspendedCheck { snapshot, canary, protocol, parent, began, age, timeout } = suspended;
        Check { snapshot, canary, pdp: self, protocol, parent, began, age, timeout }
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
    /// Decides, records, and returns what the answer is made of once its record is safe.
    ///
    /// # Errors
    /// When no decision can be made, or none can be recorded: the caller's action must not go ahead.
    pub async fn decide(&self, question: Question<'_, '_>) -> Result<Box<Answer>, NoDecision> {
        let withheld = self.decide_withheld(question).await;
        self.pdp.release(withheld).await
    }

    /// Decides and records. What it comes to is for [`Pdp::release`].
    pub async fn decide_withheld(&self, mut question: Question<'_, '_>) -> Withheld<Box<Answer>> {
        match self.decide_from_memory(&mut question) {
            Some(withheld) => withheld,
            None => self.decide_with_store(question).await,
        }
    }

    /// Decides and records, at once. `None` when the store must be asked first, or the trail has no room just now: nothing has been
    /// decided or recorded then.
    pub fn decide_from_memory(&self, question: &mut Question<'_, '_>) -> Option<Withheld<Box<Answer>>> {
        let Question { claim, evidence, asked, consistency } = question;
        let outcome = match self.admit() {
            Ok(()) => match self.resolve(*claim, *evidence, *consistency) {
                Resolved::Known(subjects) => match self.judge(&subjects, *evidence, asked, self.began.at) {
                    Ok(judged) if judged.judgement.must_be_committed() => return None,
                    outcome => outcome.map(|judged| self.answer(judged, Box::default(), &subjects)),
                },
                Resolved::Unknown(_) => return None,
            },
            Err(failure) => Err(failure),
        };
        let ended = self.pdp.now();
        let recorded = match outcome {
            Ok(answer) => match self.record(&answer, *evidence, asked.actions(), ended) {
                Ok(receipt) => Ok((answer, receipt)),
                Err(NotRecorded::Full) => return None,
                Err(NotRecorded::Failed) => Err((NoDecision::TrailUnavailable, Some(answer.id))),
            },
            Err(failure) => Err((failure, None)),
        };
        Some(self.withhold(recorded, ended))
    }

    /// Decides and records, where memory was asked already.
    pub async fn decide_with_store(&self, question: Question<'_, '_>) -> Withheld<Box<Answer>> {
        let Question { claim, evidence, mut asked, consistency } = question;
        let outcome = async {
            let subjects = self.load_subjects(claim, evidence, consistency).await?;
            let judged = self.judge(&subjects, evidence, &mut asked, self.pdp.clock.now())?;
            self.settle(judged, subjects, evidence, asked.actions()).await
        };
        let recorded = match outcome.await {
            Ok(answer) => match self.record_in_time(&answer, evidence, asked.actions()).await {
                Ok(receipt) => Ok((answer, receipt)),
                Err(failure) => Err((failure, Some(answer.id))),
            },
            Err(failure) => Err((failure, None)),
        };
        self.withhold(recorded, self.pdp.now())
    }

    /// Puts the check aside, for a task of its own to go on with. Its policies and its deadline stay what they are.
    pub fn suspend(self) -> SuspendedCheck {
        let Self { snapshot, canary, pdp: _, protocol, parent, began, age, timeout } = self;
        SuspendedCheck { snapshot, canary, protocol, parent, began, age, timeout }
    }

    /// When this check must be answered: a little before the caller's own deadline.
    fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.began.instant) + self.timeout.saturating_sub(margin(self.timeout))
    }

    async fn in_time<T>(&self, load: impl Future<Output = Result<T, StoreError>>) -> Result<T, NoDecision> {
        match tokio::time::timeout_at(self.deadline(), load).await {
            Ok(Ok(loaded)) => Ok(loaded),
            Ok(Err(error)) => {
                self.pdp.recorder.store_failed(&error);
                Err(NoDecision::StoreUnavailable)
            }
            Err(_) => Err(NoDecision::Deadline),
        }
    }

    fn admit(&self) -> Result<(), NoDecision> {
        match self.age {
            Age::Stale => Err(NoDecision::Stale),
            // Before anything is counted or spent for a decision that could not be recorded.
            Age::Fresh | Age::Grace if self.pdp.recorder.trail().has_failed() => Err(NoDecision::TrailUnavailable),
            Age::Fresh | Age::Grace => Ok(()),
        }
    }

    fn judge(
        &self,
        subjects: &Subjects,
        evidence: Evidence<'_>,
        asked: &mut Asked<'_, '_>,
        at: Timestamp,
    ) -> Result<Judged, NoDecision> {
        self.require_assigned(subjects)?;
        let id = decision_id(at);
        let Pdp { judge, .. } = self.pdp;
        let read = move |authority| guarded(move || asked.read(|| self.snapshot.bundle.needs(authority)));
        let judgement = match subjects {
            Subjects::Nobody(reason) => Decision::deny(*reason).into(),
            Subjects::Peer(principal) => match read(Authority::Principal(principal))? {
                Ok(requests) => judge.peer(id, &self.snapshot, principal, &evidence.peer(), requests, at)?,
                Err(undecodable) => denied(undecodable),
            },
            Subjects::Session(cached) => match read(Authority::Session(cached.sessions()))? {
                Ok(requests) => {
                    let presenter = evidence.presenter(&cached.sessions().session().binding);
                    judge.session(id, &self.snapshot, &cached.recalled(), &presenter, requests, at)?
                }
                Err(undecodable) => denied(undecodable),
            },
        };
        Ok(Judged { id, judgement, at })
    }

    /// Waits until what a decision leaves behind is stored. It may be another decision then: what it was made on may have changed.
    async fn settle(
        &self,
        judged: Judged,
        subjects: Subjects,
        evidence: Evidence<'_>,
        requests: &[Request],
    ) -> Result<Box<Answer>, NoDecision> {
        let Subjects::Session(mut cached) = subjects else { return Ok(self.answer(judged, Box::default(), &subjects)) };
        if !judged.judgement.must_be_committed() {
            return Ok(self.answer(judged, Box::default(), &Subjects::Session(cached)));
        }
        for attempt in 0.. {
            // Before it is decided: what comes between the decision and the look at the store was not seen either.
            let known = cached.memory_versions();
            let job = Job {
                id: judged.id,
                snapshot: Arc::clone(&self.snapshot),
                handle: cached.handle(),
                presenter: evidence.presenter(&cached.sessions().session().binding).into_owned(),
                cached,
                requests: requests.to_vec(),
                origin: Origin {
                    protocol: self.protocol,
                    parent: self.parent,
                    began: self.began,
                    is_stale: self.age != Age::Fresh,
                },
            };
            let told = tokio::time::timeout_at(self.deadline(), self.pdp.queue.settle(job)).await;
            let told = told.map_err(|_| NoDecision::Deadline)??;
            let (judgement, found, at) = told.settled();
            cached = Arc::clone(found);
            let (mut challenge, may_be_old) = (Box::default(), attempt == 0 && judgement.after.is_none());
            if judgement.decision.outcome != Outcome::Challenge {
                let judged = Judged { id: judged.id, judgement: told.heard(), at };
                return Ok(self.answer(judged, challenge, &Subjects::Session(cached)));
            }
            // What a commit compared needs no second look, and what was counted must not be again.
            if may_be_old && self.is_overtaken(&cached, &known).await? {
                drop(told.heard());
                continue;
            }
            let judgement = Judgement { read: judgement.read.clone(), ..judgement.decision.clone().into() };
            let mut judged = Judged { id: judged.id, judgement, at };
            challenge = self.challenge(&mut judged, &cached).await?.into();
            drop(told.heard());
            return Ok(self.answer(judged, challenge, &Subjects::Session(cached)));
        }
        Err(NoDecision::Internal)
    }

    fn answer(&self, judged: Judged, challenge: Box<[Challenged]>, subjects: &Subjects) -> Box<Answer> {
        let Judged { id, judgement: Judgement { decision, read, .. }, at } = judged;
        let (principal, session, delegation, ancestors) = match subjects {
            Subjects::Nobody(_) => (None, None, None, Box::default()),
            Subjects::Peer(principal) => (Some(principal.clone()), None, None, Box::default()),
            Subjects::Session(cached) => {
                if counts_as_use(decision.reason) {
                    cached.note_use(at);
                }
                let sessions = cached.sessions();
                let session = sessions.session();
                let ancestors = sessions.iter().skip(1).cloned().collect();
                (Some(session.principal.clone()), Some(Arc::clone(session)), sessions.delegation().cloned(), ancestors)
            }
        };
        let bundle = self.snapshot.number;
        // Large, and handed on several times before it is told.
        Box::new(Answer { id, decision, challenge, principal, session, delegation, ancestors, bundle, at, read })
    }
}

/// What cannot be read in one way is not guessed.
pub(crate) fn denied(undecodable: Undecodable) -> Judgement {
    Decision { detail: Some(undecodable.message), ..Decision::deny(Reason::Undecodable) }.into()
}

/// Whether a check with this result keeps its session from being idle: only one that got past the built-in rules, so that a stolen
/// handle, tried from elsewhere, does not keep the session alive.
pub(crate) const fn counts_as_use(reason: Reason) -> bool {
    match reason {
        Reason::Permitted
        | Reason::NoPermit
        | Reason::Forbidden
        | Reason::StepUpRequired
        | Reason::PolicyError
        | Reason::MemoryFull => true,
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
    fn margin_leaves_most_of_a_short_deadline() {
        assert_eq!(margin(Duration::from_millis(5)), Duration::from_millis(1));
        assert_eq!(margin(Duration::from_millis(200)), Duration::from_millis(20));
    }
}
