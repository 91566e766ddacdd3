//! Several actions of one presenter and session, on one snapshot of both.

use chaperone_policy::Request;
use futures_util::future::join_all;

use super::{Answer, Asked, Check, Claim, Consistency};
use crate::no_decision::NoDecision;
use crate::presenter::Evidence;
use crate::trail::Receipt;

/// How many decisions of a batch are made before others get their turn.
const BATCH_TURN: usize = 32;

impl Check<'_> {
    /// Decides each of several actions of one presenter and session, on one snapshot of both.
    ///
    /// # Errors
    /// When no decision can be made for one of them: then there is none for any.
    pub async fn decide_each(
        &self,
        claim: Claim,
        evidence: Evidence<'_>,
        consistency: Consistency,
        requests: &[Request],
    ) -> Result<Vec<Answer>, NoDecision> {
        let outcome = self.try_decide_each(claim, evidence, consistency, requests).await;
        let withheld = self.withhold(outcome.map_err(|failure| (failure, None)), self.pdp.now());
        self.pdp.release(withheld).await
    }

    async fn try_decide_each(
        &self,
        claim: Claim,
        evidence: Evidence<'_>,
        consistency: Consistency,
        requests: &[Request],
    ) -> Result<(Vec<Answer>, Receipt), NoDecision> {
        self.admit()?;
        let subjects = self.load_subjects(claim, evidence, consistency).await?;
        let mut answers = Vec::with_capacity(requests.len());
        let mut recorded = Receipt::default();
        for turn in requests.chunks(BATCH_TURN) {
            if !answers.is_empty() {
                // A long batch must not keep others from being answered, nor outlive its caller's patience.
                tokio::task::yield_now().await;
                if tokio::time::Instant::now() >= self.deadline() {
                    return Err(NoDecision::Deadline);
                }
            }
            let at = self.pdp.clock.now();
            // Those that leave something behind are put into the same round, in their order.
            let decided = turn.iter().map(|request| {
                let request = std::slice::from_ref(request);
                let judged = self.judge(&subjects, evidence, &mut Asked::Actions(request), at);
                let subjects = &subjects;
                async move {
                    let answer = self.settle(judged?, subjects.clone(), evidence, request).await?;
                    // At once, whatever becomes of the others: what it leaves behind is there.
                    let receipt = self.record_in_time(&answer, evidence, request).await?;
                    Ok((answer, receipt))
                }
            });
            let mut failure = None;
            for decided in join_all(decided).await {
                match decided {
                    Ok((answer, receipt)) => {
                        answers.push(*answer);
                        recorded = recorded.and(receipt);
                    }
                    // What the others leave behind is stored all the same, and must be seen.
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
        Ok((answers, recorded))
    }
}
