//! Reports of what became of allowed actions: settled by compare-and-set on the session's memory, beside the rounds of decisions.

use std::time::Duration;

use chaperone_policy::{
    MemoryKey, OutcomeReport, ReportError, ReportedMemories, Session, SessionId, Settlement, Timestamp, settle,
};
use chaperone_store::{StoreError, StoredMemory};
use chaperone_trail::Acted;

use super::Pdp;
use crate::no_decision::NoDecision;
use crate::replica::{Policies, changed};
use crate::trail::acts;

/// How often a report is tried again because decisions changed the same memory: they may do so all the time, and it must get through.
const ATTEMPTS_MAX: usize = 32;

/// Why a report is not taken. Nothing is changed, or it cannot be told: the same report can be sent again.
#[derive(Debug, thiserror::Error)]
pub enum ReportFailure {
    /// There is no such session.
    #[error("session `{0}` does not exist")]
    NoSession(SessionId),
    /// It is not as it must be.
    #[error(transparent)]
    Refused(#[from] ReportError),
    /// The store was not there, or not in time.
    #[error(transparent)]
    Unable(#[from] NoDecision),
}

impl ReportFailure {
    /// Its stable code, in answers and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSession(_) => "not_found",
            Self::Refused(ReportError::AlreadyReported(_)) => "already_reported",
            Self::Refused(ReportError::Fact { .. }) => "invalid_fact",
            Self::Refused(ReportError::Full { .. }) => "memory_full",
            Self::Unable(failure) => failure.code(),
        }
    }
}

/// The memories that a report may change, as they are stored.
struct Stored {
    session: StoredMemory,
    tree: StoredMemory,
    principal: StoredMemory,
}

impl Pdp {
    /// Settles what waits for a report, and says what came of it. Whoever sends it does not wait longer than `timeout`.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn report(
        &self,
        session: SessionId,
        report: &OutcomeReport,
        timeout: Option<Duration>,
    ) -> Result<Settlement, ReportFailure> {
        let timeout = timeout.unwrap_or(self.default_deadline);
        let outcome = match self.in_flight.try_acquire() {
            // Shed at once, as checks are.
            Err(_) => Err(NoDecision::Overloaded.into()),
            Ok(_permit) => {
                let settled = tokio::time::timeout(timeout, self.settle_report(session, report)).await;
                settled.unwrap_or_else(|_| Err(NoDecision::Deadline.into()))
            }
        };
        self.recorder.reported(session, report, &outcome);
        outcome
    }

    async fn settle_report(&self, id: SessionId, report: &OutcomeReport) -> Result<Settlement, ReportFailure> {
        // What was allowed while the session lived, and was done, is settled after its end too.
        let session = self.replica.stored_session(id).await.map_err(|error| self.failed(&error))?;
        let session = session.ok_or(ReportFailure::NoSession(id))?;
        let mut stored = self.stored(&session).await?;
        for _ in 0..ATTEMPTS_MAX {
            let now = self.clock.now();
            let settlement = settle(report, &stored.memories(), now, &self.judge.limits, self.risk_decay_per_hour())?;
            if let Settlement::Settled(_, after) = &settlement {
                let writes = stored.writes(after, now);
                if let Some(newer) = self.replica.commit(writes, now).await.map_err(|error| self.failed(&error))? {
                    stored.update(newer);
                    continue;
                }
            }
            self.record_report(&session, report, &settlement, now).await?;
            return Ok(settlement);
        }
        Err(NoDecision::Contention.into())
    }

    /// Puts a report on record before it is answered. Where that fails it stands all the same; sent again, it is recorded then.
    async fn record_report(
        &self,
        session: &Session,
        report: &OutcomeReport,
        settlement: &Settlement,
        at: Timestamp,
    ) -> Result<(), NoDecision> {
        let nobody_above: &[Session] = &[];
        let effects = settlement.effects().iter().map(acts::reported).collect();
        let note = acts::report_note(report.outcome, settlement);
        let acted = Acted {
            decision: Some(report.decision),
            effects,
            note: note.into(),
            ..acts::on_session(acts::OUTCOME_REPORTED, "", session, nobody_above)
        };
        self.recorder.trail().act(at, acted).await.map_err(|_| NoDecision::TrailUnavailable)
    }

    async fn stored(&self, session: &Session) -> Result<Stored, ReportFailure> {
        let keys = [
            MemoryKey::Session(session.id),
            MemoryKey::Tree(session.tree),
            MemoryKey::Principal(session.principal.clone()),
        ];
        let stored = self.replica.stored_memories(keys).await.map_err(|error| self.failed(&error))?;
        let [session, tree, principal] = stored;
        Ok(Stored { session, tree, principal })
    }

    fn failed(&self, error: &StoreError) -> ReportFailure {
        self.recorder.report_failed(error);
        NoDecision::StoreUnavailable.into()
    }

    /// By how many points an hour risk decays; without a bundle it does not.
    fn risk_decay_per_hour(&self) -> u32 {
        match &**self.replica.policies() {
            Policies::Active(snapshot) => snapshot.bundle.manifest().risk.decay_per_hour,
            Policies::None | Policies::Unusable(_) => 0,
        }
    }
}

impl Stored {
    fn memories(&self) -> ReportedMemories {
        ReportedMemories {
            session: self.session.memory.clone(),
            tree: self.tree.memory.clone(),
            principal: self.principal.memory.clone(),
        }
    }

    /// What differs after a report. All of it is stored at once, or none: the session's is always among it, so that a report counts once.
    fn writes(&self, after: &ReportedMemories, now: Timestamp) -> Vec<StoredMemory> {
        let pairs = [(&self.session, &after.session), (&self.tree, &after.tree), (&self.principal, &after.principal)];
        pairs.into_iter().filter_map(|(stored, after)| changed(stored, after.clone(), now)).collect()
    }

    /// Takes what others stored meanwhile.
    fn update(&mut self, newer: Vec<StoredMemory>) {
        for stored in newer {
            let place = [&mut self.session, &mut self.tree, &mut self.principal].into_iter();
            if let Some(place) = place.into_iter().find(|place| place.key == stored.key) {
                *place = stored;
            }
        }
    }
}
