//! The record of what a check came to.

use chaperone_policy::{Binding, DecisionId, Request};

use super::{Answer, Check, Withheld};
use crate::clock::Moment;
use crate::no_decision::NoDecision;
use crate::presenter::Evidence;
use crate::recorder::{Refused, Subject};
use crate::replica::Age;
use crate::trail::{NotRecorded, Receipt};

impl Check<'_> {
    /// What the check came to, with the record of it. A failure may have the id of a decision that was made in vain.
    pub(super) fn withhold<T>(
        &self,
        recorded: Result<(T, Receipt), (NoDecision, Option<DecisionId>)>,
        ended: Moment,
    ) -> Withheld<T> {
        let outcome = recorded.map_err(|(failure, id)| {
            let id = id.unwrap_or_else(|| self.pdp.clock.decision_id());
            let Self { protocol, ref parent, began, .. } = *self;
            let elapsed = ended.instant.saturating_duration_since(began.instant);
            let refused = Refused { id, protocol, parent: parent.as_ref(), began_at: began.at, elapsed };
            self.pdp.recorder.refused(failure, &refused);
            failure
        });
        Withheld::new(self, outcome, ended)
    }

    /// Records a decision that was made at `ended`. Its answer must wait for what this returns.
    pub(super) fn record(
        &self,
        answer: &Answer,
        evidence: Evidence<'_>,
        requests: &[Request],
        ended: Moment,
    ) -> Result<Receipt, NotRecorded> {
        let unbound = Binding::default();
        let binding = answer.session.as_deref().map_or(&unbound, |session| &session.binding);
        let subject = Subject {
            protocol: self.protocol,
            requests,
            snapshot: &self.snapshot,
            presenter: evidence.presenter(binding),
            parent: self.parent.as_ref(),
            began_at: self.began.at,
            elapsed: ended.instant.saturating_duration_since(self.began.instant),
            is_stale: self.age != Age::Fresh,
        };
        self.pdp.recorder.decided(answer, &subject)
    }

    /// As [`Check::record`], waiting for room where there is none.
    pub(super) async fn record_in_time(
        &self,
        answer: &Answer,
        evidence: Evidence<'_>,
        requests: &[Request],
    ) -> Result<Receipt, NoDecision> {
        loop {
            match self.record(answer, evidence, requests, self.pdp.now()) {
                Ok(receipt) => return Ok(receipt),
                Err(NotRecorded::Full) => {
                    let room = self.pdp.recorder.trail().room();
                    let room = tokio::time::timeout_at(self.deadline(), room).await;
                    room.map_err(|_| NoDecision::TrailUnavailable)?;
                }
                Err(NotRecorded::Failed) => return Err(NoDecision::TrailUnavailable),
            }
        }
    }
}
