//! The thread that makes decisions again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use super::report::ShadowReport;
use super::sample::{Compared, Of, Sample, Untold};
use super::scopes::Scopes;
use crate::differences::{CandidateMemories, Example, Kind};
use crate::pdp::Judge;
use crate::telemetry::Metrics;

/// What the thread works with.
#[derive(Debug)]
pub(super) struct Worker {
    judge: Judge,
    memories: CandidateMemories,
    /// For the candidate's schema, and for the active one's.
    scopes: [Scopes; 2],
    report: Arc<Mutex<ShadowReport>>,
    metrics: Arc<Metrics>,
}

impl Worker {
    pub(super) fn new(judge: Judge, report: Arc<Mutex<ShadowReport>>, metrics: Arc<Metrics>) -> Self {
        Self { judge, memories: CandidateMemories::default(), scopes: Default::default(), report, metrics }
    }

    /// Until there can be no more.
    pub(super) fn run(mut self, samples: &Receiver<Sample>) {
        for sample in samples {
            self.take(&sample);
        }
    }

    pub(super) fn take(&mut self, sample: &Sample) {
        self.begin(sample);
        let compared = catch_unwind(AssertUnwindSafe(|| self.compare(sample)));
        let compared = compared.unwrap_or(Err(Untold::Defect));
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        match compared {
            Ok(Compared { active, candidate, .. }) => {
                let kind = Kind::between(&active, &candidate);
                self.metrics.shadow().compared(kind);
                report.compared_count += 1;
                if let Some(kind) = kind {
                    let asked = sample.asked();
                    let resource = asked.map(|request| request.resource.clone());
                    let example = Example { id: sample.id, at: sample.at, resource, active, candidate };
                    report.groups.note(kind, asked.map(|request| &request.action), example);
                }
            }
            Err(why) => {
                self.metrics.shadow().untold(why);
                report.note_untold(why);
            }
        }
    }

    /// What is known of another candidate is not known of this one.
    fn begin(&mut self, sample: &Sample) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        if !report.is_of(&sample.trial) {
            *report = ShadowReport::begin(&sample.trial);
            drop(report);
            self.memories = CandidateMemories::default();
            self.scopes = Default::default();
        }
    }

    fn compare(&mut self, sample: &Sample) -> Result<Compared, Untold> {
        let Of::Session(recalled) = &sample.subject else { return sample.compare(&self.judge, None, None) };
        let [candidate_scopes, active_scopes] = &mut self.scopes;
        let chain = active_scopes.own(&recalled.chain).ok_or(Untold::Defect)?;
        let own = candidate_scopes.own(&recalled.chain).and_then(|chain| self.memories.own(&chain));
        let own = own.ok_or(Untold::Defect)?;
        let compared = sample.compare(&self.judge, Some(&chain), Some(&own))?;
        let (active, candidate) = (&compared.active_after, &compared.candidate_after);
        self.memories.keep(active.as_ref().unwrap_or(&chain), candidate.as_ref().unwrap_or(&own));
        Ok(compared)
    }
}
