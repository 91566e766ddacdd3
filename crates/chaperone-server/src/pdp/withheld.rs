//! What a check came to, kept from its caller until its record is safe.

use std::task::{Context, Poll};

use chaperone_policy::DecisionId;
use tokio::time::Instant;

use super::{Answer, Check, Pdp, Protocol};
use crate::clock::Moment;
use crate::no_decision::NoDecision;
use crate::recorder::Refused;
use crate::telemetry::ParentContext;
use crate::trail::Receipt;

/// What a check came to: one answer, those of a batch, or what is sent for one.
///
/// INVARIANT (recorded first): an answer goes into this together with the receipt of its record, and it or what was made of it comes out
/// only when that record is as safe as `--trail-ack` says. Nothing else hands out answers, so no allow leaves without its record.
#[derive(Debug)]
#[must_use]
pub struct Withheld<T> {
    outcome: Option<Result<T, NoDecision>>,
    receipt: Receipt,
    protocol: Protocol,
    parent: Option<ParentContext>,
    began: Moment,
    ended: Moment,
    deadline: Instant,
}

/// Answers, by however many, or what was made of them.
pub trait Answers {
    /// The decisions that they tell of.
    fn ids(&self) -> impl Iterator<Item = DecisionId>;
}

impl Answers for Box<Answer> {
    fn ids(&self) -> impl Iterator<Item = DecisionId> {
        std::iter::once(self.id)
    }
}

impl Answers for Vec<Answer> {
    fn ids(&self) -> impl Iterator<Item = DecisionId> {
        self.iter().map(|answer| answer.id)
    }
}

/// What is sent for an answer.
#[derive(Debug)]
pub struct Made<T> {
    /// What the answer became.
    pub inner: T,
    id: DecisionId,
}

impl<T> Answers for Made<T> {
    fn ids(&self) -> impl Iterator<Item = DecisionId> {
        std::iter::once(self.id)
    }
}

impl Withheld<Box<Answer>> {
    /// With what is sent in the answer's place, so that nothing else is kept while the record becomes safe. What `make` returns is all
    /// that may come of the answer.
    pub fn map<T>(self, make: impl FnOnce(Box<Answer>) -> T) -> Withheld<Made<T>> {
        let Self { outcome, receipt, protocol, parent, began, ended, deadline } = self;
        let outcome = outcome.map(|outcome| outcome.map(|answer| Made { id: answer.id, inner: make(answer) }));
        Withheld { outcome, receipt, protocol, parent, began, ended, deadline }
    }
}

impl<T> Withheld<T> {
    /// Of this check. What is no decision waits for nothing: it lets nothing happen.
    pub(super) fn new(check: &Check<'_>, outcome: Result<(T, Receipt), NoDecision>, ended: Moment) -> Self {
        let (outcome, receipt) = match outcome {
            Ok((decided, receipt)) => (Ok(decided), receipt),
            Err(failure) => (Err(failure), Receipt::default()),
        };
        let Check { protocol, parent, began, .. } = *check;
        Self { outcome: Some(outcome), receipt, protocol, parent, began, ended, deadline: check.deadline() }
    }

    /// When it was decided: what follows at once begins then.
    pub fn ended(&self) -> Moment {
        self.ended
    }

    /// Whether there is nothing that it still waits for.
    pub const fn is_free(&self) -> bool {
        self.receipt.is_for_nothing()
    }
}

impl Pdp {
    /// What a check came to, once its record is safe.
    ///
    /// # Errors
    /// As the check; and when its record is not safe in time, or will never be.
    pub fn release<T: Answers>(&self, mut withheld: Withheld<T>) -> impl Future<Output = Result<T, NoDecision>> {
        std::future::poll_fn(move |cx| self.poll_release(cx, &mut withheld))
    }

    /// As [`Pdp::release`]. Not to be called again after it was ready.
    pub fn poll_release<T: Answers>(
        &self,
        cx: &Context<'_>,
        withheld: &mut Withheld<T>,
    ) -> Poll<Result<T, NoDecision>> {
        match self.recorder.trail().poll_safe(cx, &withheld.receipt, Some(withheld.deadline)) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(failure)) => return Poll::Ready(Err(self.withdraw(withheld, failure.into()))),
            Poll::Pending if Instant::now() < withheld.deadline => return Poll::Pending,
            Poll::Pending => return Poll::Ready(Err(self.withdraw(withheld, NoDecision::Deadline))),
        }
        let outcome = withheld.outcome.take().unwrap_or(Err(NoDecision::Internal));
        if let Ok(decided) = &outcome {
            let Withheld { began, ended, .. } = *withheld;
            // What waited for nothing is released when it was decided: looking at the clock costs as much as counting.
            let released = if withheld.is_free() { ended.instant } else { self.now().instant };
            self.recorder.released(decided.ids().count(), released.saturating_duration_since(began.instant));
        }
        Poll::Ready(outcome)
    }

    /// Answers without the decision that was made: it may be on record, but nobody can say so now.
    fn withdraw<T: Answers>(&self, withheld: &mut Withheld<T>, failure: NoDecision) -> NoDecision {
        let failure = match withheld.outcome.take() {
            Some(Ok(decided)) => {
                let Withheld { protocol, ref parent, began, .. } = *withheld;
                for id in decided.ids() {
                    let parent = parent.as_ref();
                    let elapsed = began.instant.elapsed();
                    let refused = Refused { id, protocol, parent, began_at: began.at, elapsed };
                    self.recorder.refused(failure, &refused);
                }
                failure
            }
            Some(Err(earlier)) => earlier,
            None => failure,
        };
        withheld.receipt = Receipt::default();
        failure
    }
}

#[cfg(test)]
#[path = "withheld_tests.rs"]
mod tests;
