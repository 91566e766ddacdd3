//! A candidate beside the active bundle: decisions are made again by it, off the way of their answers, and compared.
//!
//! Nothing of it reaches an answer, the trail or the store: samples wait in a bounded queue for a thread of their own, what the candidate
//! would remember is kept in memory here, and a defect of it is caught and counted.

mod report;
mod sample;
mod scopes;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

pub use self::report::{ShadowReport, ShadowState};
use self::sample::Sample;
pub(crate) use self::sample::Untold;
use self::worker::Worker;
use crate::pdp::{Answer, Judge};
use crate::recorder::Subject;
use crate::replica::{Replica, Trial};
use crate::telemetry::Metrics;
use chaperone_policy::Reason;

/// How many decisions wait to be made again. One more is not made again.
const SAMPLES_MAX: usize = 1_024;

/// Has decisions made again by the shadow, where there is one. Clones share everything.
#[derive(Clone, Debug)]
pub struct Shadow {
    replica: Arc<Replica>,
    samples: SyncSender<Sample>,
    report: Arc<Mutex<ShadowReport>>,
    metrics: Arc<Metrics>,
}

impl Shadow {
    /// With a thread of its own, which ends with the last clone. `judge` decides as that of checks does.
    ///
    /// # Errors
    /// When the thread cannot be had.
    pub fn start(replica: &Arc<Replica>, judge: Judge, metrics: &Arc<Metrics>) -> std::io::Result<Self> {
        let (shadow, worker, received) = Self::with_room(SAMPLES_MAX, replica, judge, metrics);
        thread::Builder::new().name("shadow".into()).spawn(move || worker.run(&received))?;
        Ok(shadow)
    }

    /// With room for so many, and what is to take them.
    fn with_room(
        samples_max: usize,
        replica: &Arc<Replica>,
        judge: Judge,
        metrics: &Arc<Metrics>,
    ) -> (Self, Worker, Receiver<Sample>) {
        let (samples, received) = sync_channel(samples_max);
        let report = Arc::<Mutex<ShadowReport>>::default();
        let worker = Worker::new(judge, Arc::clone(&report), Arc::clone(metrics));
        (Self { replica: Arc::clone(replica), samples, report, metrics: Arc::clone(metrics) }, worker, received)
    }

    /// Hands a decision over, where there is a shadow whose share takes it, unless others wait already: the answer does not.
    pub fn offer(&self, answer: &Answer, subject: &Subject<'_>) {
        let candidates = self.replica.candidates();
        let Some(trial) = &candidates.shadow else { return };
        if trial.policies.is_err() || !takes(trial, answer) {
            return;
        }
        let Some(sample) = Sample::of(trial, answer, subject) else { return };
        if self.samples.try_send(sample).is_err() {
            self.metrics.shadow().dropped();
            self.lock().dropped_count += 1;
        }
    }

    /// What came of it on this replica so far; `None` where there is no shadow.
    pub fn report(&self) -> Option<ShadowReport> {
        let trial = self.replica.candidates().shadow.clone()?;
        let known = self.lock();
        // Another one may have begun of which nothing was compared yet.
        let report = if known.is_of(&trial) { known.clone() } else { ShadowReport::default() };
        drop(known);
        let state = match &trial.policies {
            Ok(_) => ShadowState::Comparing,
            Err(problems) => ShadowState::Unusable(problems.clone()),
        };
        Some(ShadowReport { candidate: Some(trial.candidate.clone()), state, ..report })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ShadowReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the share takes this decision: by the tree of its session, so that all that a tree does is compared, in its order, and what the
/// candidate counts of it is whole; without a session by the decision's own id.
fn takes(trial: &Trial, answer: &Answer) -> bool {
    match &answer.session {
        Some(session) => trial.takes_tree(session.tree),
        None => trial.takes_id(answer.id.as_uuid().as_bytes()),
    }
}

/// Whether another bundle could decide this otherwise: not what could not be read, and nobody's.
const fn is_comparable(reason: Reason) -> bool {
    !matches!(reason, Reason::Undecodable | Reason::SessionUnknown)
}
