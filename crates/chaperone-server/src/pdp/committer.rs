//! Decisions that leave something behind: made one after the other on the newest memories, stored many at a time, answered after that.
//!
//! A round takes every check that waits, decides them in order, each on what those before it would leave, and commits what all of them
//! would leave at once: by compare-and-set on every version that was read. Checks that share a memory are one transition, which holds
//! or fails as a whole; those of a failed one are decided again in the next round, on what another replica had stored.

use std::sync::Arc;
use std::time::Instant;

use chaperone_policy::{
    Decision, DecisionId, Effect, Ended, EndingAct, HandleHash, Level, Presenter, Reason, Request, Session, Timestamp,
};
use chaperone_store::{Committed, RevokeTarget, StoreError};
use tokio::sync::{mpsc, oneshot};

use super::judge::{Judge, Judgement};
use super::question::{Answer, Protocol};
use super::round::{Checks, Round};
use super::token_reuse;
use crate::clock::{Clock, Moment};
use crate::no_decision::NoDecision;
use crate::recorder::{Recorder, Subject};
use crate::replica::{CachedChain, Replica, Snapshot};
use crate::telemetry::ParentContext;

/// How many checks one round takes.
const ROUND_MAX: usize = 1_024;
/// How often a check is decided again because another replica was faster.
const ATTEMPTS_MAX: u32 = 16;

/// A check that may have to leave something behind.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: DecisionId,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) handle: HandleHash,
    /// The session as it was found.
    pub(super) cached: Arc<CachedChain>,
    pub(super) presenter: Presenter<'static>,
    pub(super) requests: Vec<Request>,
    pub(super) origin: Origin,
}

/// Where a check comes from, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) protocol: Protocol,
    pub(super) parent: Option<ParentContext>,
    pub(super) began: Moment,
    pub(super) is_stale: bool,
}

/// A decision that may be answered: what it leaves behind is stored.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) judgement: Judgement,
    pub(super) cached: Arc<CachedChain>,
    pub(super) at: Timestamp,
}

/// A decision that may be answered, on its way to whoever waits for it. What it left behind is there: where nobody hears of it, it is
/// recorded here.
#[derive(Debug)]
pub(super) struct Told {
    job: Job,
    settled: Settled,
    recorder: Recorder,
    is_heard: bool,
}

pub(super) type Reply = oneshot::Sender<Result<Told, NoDecision>>;

/// Where checks wait for their round.
#[derive(Clone, Debug)]
pub(super) struct Queue(mpsc::Sender<Waiting>);

/// A check that waits for its round.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) job: Job,
    reply: Reply,
    /// How often it was decided in vain.
    attempts: u32,
}

impl Queue {
    /// Decides, and waits until what the decision leaves behind is stored. A check whose caller stops waiting before its round leaves
    /// nothing behind.
    ///
    /// # Errors
    /// When no decision can be made, or what it leaves cannot be stored: then it may have been stored all the same, and the action
    /// must not go ahead.
    pub(super) async fn settle(&self, job: Job) -> Result<Told, NoDecision> {
        let (reply, told) = oneshot::channel();
        self.0.try_send(Waiting { job, reply, attempts: 0 }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NoDecision::Overloaded,
            mpsc::error::TrySendError::Closed(_) => NoDecision::Internal,
        })?;
        told.await.unwrap_or(Err(NoDecision::Internal))
    }
}

/// Decides and commits, round by round.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) replica: Arc<Replica>,
    pub(super) judge: Arc<Judge>,
    pub(super) recorder: Recorder,
    pub(super) clock: Clock,
}

impl Committer {
    /// Starts it; at most `waiting_max` checks wait. It ends when nobody can ask any more.
    pub(super) fn start(self, waiting_max: usize) -> Queue {
        let (queue, waiting) = mpsc::channel(waiting_max.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
        tokio::spawn(self.run(waiting));
        Queue(queue)
    }

    async fn run(self, mut queue: mpsc::Receiver<Waiting>) {
        let mut waiting = Vec::new();
        loop {
            if waiting.is_empty() && queue.recv_many(&mut waiting, ROUND_MAX).await == 0 {
                return;
            }
            while waiting.len() < ROUND_MAX
                && let Ok(next) = queue.try_recv()
            {
                waiting.push(next);
            }
            let again = self.round(std::mem::take(&mut waiting)).await;
            waiting = again;
        }
    }

    /// Decides all of these, and commits what they leave. Returns those to decide again.
    async fn round(&self, waiting: Vec<Waiting>) -> Vec<Waiting> {
        let mut round = Round::default();
        for mut waiting in waiting {
            // Whoever stopped waiting must not be charged for what is not done.
            if waiting.reply.is_closed() {
                continue;
            }
            match self.refresh(&mut waiting.job).await {
                Ok(()) => self.decide(&mut round, waiting),
                Err(failure) => answer(waiting.reply, Err(failure)),
            }
        }
        self.commit(round).await
    }

    /// Takes the session as it is known now. What changed since it was found, such as its end, must be seen.
    async fn refresh(&self, job: &mut Job) -> Result<(), NoDecision> {
        let sessions = self.replica.sessions();
        if let Some(cached) = sessions.find(&job.handle) {
            // Its uses may be noted here only.
            let used = cached.looks_idle(self.clock.now()).then(|| sessions.fold_uses(&job.handle)).flatten();
            job.cached = used.unwrap_or(cached);
            return Ok(());
        }
        match self.replica.load_chain(&job.handle).await {
            Ok(Some(cached)) => job.cached = cached,
            // It was there; what is gone now has no authority, and its last state says so or is too old to matter.
            Ok(None) => return Err(NoDecision::StoreUnavailable),
            Err(error) => {
                self.recorder.store_failed(&error);
                return Err(NoDecision::StoreUnavailable);
            }
        }
        Ok(())
    }

    fn decide(&self, round: &mut Round, waiting: Waiting) {
        let Job { id, snapshot, cached, presenter, requests, .. } = &waiting.job;
        let at = self.clock.now();
        let before = round.memories(cached);
        let Some(chain) = cached.recalled_with(before.clone()).map(Arc::new) else {
            return answer(waiting.reply, Err(NoDecision::Internal));
        };
        let judgement = match self.judge.session(*id, snapshot, &chain, presenter, requests, at) {
            Ok(judgement) => judgement,
            Err(failure) => return answer(waiting.reply, Err(failure)),
        };
        round.add(waiting, judgement, &before, at);
    }

    async fn commit(&self, mut round: Round) -> Vec<Waiting> {
        let (mut transitions, mut committing) = (Vec::new(), Vec::new());
        for (place, checks, transition) in round.take_transitions() {
            if transition.writes.is_empty() {
                self.settle_all(checks);
            } else {
                committing.push((place, checks));
                transitions.push(transition);
            }
        }
        if transitions.is_empty() {
            return Vec::new();
        }
        let began = Instant::now();
        let outcome = self.replica.store().commit_memories(&transitions, self.clock.now()).await;
        let outcomes = match outcome {
            Ok(outcomes) if outcomes.len() == committing.len() => outcomes,
            Ok(_) => {
                committing.into_iter().flat_map(|(_, checks)| checks).for_each(|(waiting, _)| {
                    answer(waiting.reply, Err(NoDecision::Internal));
                });
                return Vec::new();
            }
            Err(error) => {
                self.recorder.commit_failed(&error);
                // What was stored or not is learnt from the feed, or at the next commit.
                for (waiting, _) in committing.into_iter().flat_map(|(_, checks)| checks) {
                    answer(waiting.reply, Err(NoDecision::StoreUnavailable));
                }
                return Vec::new();
            }
        };
        let conflicts = outcomes.iter().filter(|outcome| matches!(outcome, Committed::Conflict(_))).count();
        let checks = committing.iter().map(|(_, checks)| checks.len()).sum();
        self.recorder.committed(checks, conflicts, began.elapsed());
        let mut again = Vec::new();
        for ((place, checks), outcome) in committing.into_iter().zip(outcomes) {
            match outcome {
                Committed::Done => {
                    round.publish(place);
                    self.settle_all(checks);
                }
                Committed::Conflict(stored) => {
                    self.replica.memories().publish(stored);
                    for (mut waiting, _) in checks {
                        waiting.attempts += 1;
                        if waiting.attempts < ATTEMPTS_MAX {
                            again.push(waiting);
                        } else {
                            answer(waiting.reply, Err(NoDecision::Contention));
                        }
                    }
                }
            }
        }
        again
    }

    /// Answers checks whose memories are stored; those that revoke, after that is done too.
    fn settle_all(&self, checks: Checks) {
        for (waiting, settled) in checks {
            let revocations = revocations(&settled);
            if revocations.is_empty() {
                tell(&self.recorder, waiting, settled);
                continue;
            }
            let (replica, recorder) = (Arc::clone(&self.replica), self.recorder.clone());
            // Beside the rounds: a principal may have many sessions.
            tokio::spawn(async move {
                match revoke(&replica, revocations).await {
                    Ok(()) => tell(&recorder, waiting, settled),
                    Err(error) => {
                        recorder.commit_failed(&error);
                        answer(waiting.reply, Err(NoDecision::StoreUnavailable));
                    }
                }
            });
        }
    }
}

/// Whom a decision revokes, and how.
fn revocations(settled: &Settled) -> Vec<(RevokeTarget, Ended)> {
    let session = settled.cached.sessions().session();
    let revocation = |effect: &Effect| match effect {
        Effect::Revoke { level, policy } => {
            let (reason, by) = match policy.as_str() {
                token_reuse::BUILT_IN => token_reuse::ending(),
                policy => (format!("the policy `{policy}` revokes the {level}"), format!("policy:{policy}")),
            };
            let ended = Ended { by_act: EndingAct::Revoked, at: settled.at, reason, by };
            Some((target(*level, session), ended))
        }
        Effect::Remember(..) | Effect::Await(_) | Effect::Alert(_) => None,
    };
    settled.judgement.decision.effects.iter().filter_map(revocation).collect()
}

fn target(level: Level, session: &Session) -> RevokeTarget {
    match level {
        Level::Session => RevokeTarget::Session(session.id),
        Level::Tree => RevokeTarget::Tree(session.tree),
        Level::Principal => RevokeTarget::Principal(session.principal.clone()),
    }
}

async fn revoke(replica: &Replica, revocations: Vec<(RevokeTarget, Ended)>) -> Result<(), StoreError> {
    for (target, ended) in revocations {
        replica.store().revoke_sessions(&target, &ended).await?;
        // Here at once; elsewhere by the feed.
        if let RevokeTarget::Session(id) | RevokeTarget::Tree(id) = target {
            replica.sessions().apply_change(id);
        }
    }
    Ok(())
}

/// Answers with a decision that stands.
fn tell(recorder: &Recorder, waiting: Waiting, settled: Settled) {
    let Waiting { job, reply, .. } = waiting;
    answer(reply, Ok(Told { job, settled, recorder: recorder.clone(), is_heard: false }));
}

impl Told {
    /// The decision, the session that it was made for, and when.
    pub(super) fn settled(&self) -> (&Judgement, &Arc<CachedChain>, Timestamp) {
        (&self.settled.judgement, &self.settled.cached, self.settled.at)
    }

    /// The decision, for whoever records it now.
    pub(super) fn heard(mut self) -> Judgement {
        self.is_heard = true;
        std::mem::replace(&mut self.settled.judgement, Decision::deny(Reason::Undecodable).into())
    }
}

impl Drop for Told {
    /// Its caller stopped waiting before it was recorded.
    fn drop(&mut self) {
        let Self { job, settled: Settled { judgement, cached, at }, recorder, is_heard } = self;
        if *is_heard || judgement.decision.effects.is_empty() {
            return;
        }
        let mut sessions = cached.sessions().iter().cloned();
        let session = sessions.next();
        let unheard = Answer {
            id: job.id,
            decision: judgement.decision.clone(),
            challenge: Box::default(),
            principal: session.as_ref().map(|session| session.principal.clone()),
            session,
            delegation: cached.sessions().delegation().cloned(),
            ancestors: sessions.collect(),
            bundle: job.snapshot.number,
            at: *at,
            read: judgement.read.clone(),
        };
        let Origin { protocol, parent, began, is_stale } = &job.origin;
        let subject = Subject {
            protocol: *protocol,
            requests: &job.requests,
            snapshot: &job.snapshot,
            presenter: job.presenter.clone(),
            parent: parent.as_ref(),
            began_at: began.at,
            elapsed: began.instant.elapsed(),
            is_stale: *is_stale,
        };
        recorder.unheard(&unheard, &subject);
    }
}

/// Whoever does not wait any more needs no answer.
fn answer(reply: Reply, outcome: Result<Told, NoDecision>) {
    let _ = reply.send(outcome);
}

#[cfg(test)]
#[path = "committer_tests.rs"]
mod tests;
