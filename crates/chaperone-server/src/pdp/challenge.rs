//! From a challenge to the approvals that it names: opened in the store before the answer leaves, once for each thing that is asked for.

use std::sync::Arc;

use chaperone_policy::{Approval, ApprovalId, AskedBy, Decision, EntityRef, Reason, StepUp, Timestamp};
use chaperone_store::OpenedApproval;

use super::{Check, Judged};
use crate::clock::approval_id;
use crate::no_decision::NoDecision;
use crate::replica::CachedChain;
use crate::trail::acts;

/// How large an approval may be, in bytes of JSON: nobody looks at more, and it is kept.
const APPROVAL_BYTES_MAX: usize = 64 * 1024;

/// A step-up that a challenge asks for, and the approval that waits for a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Challenged {
    /// The step-up's name.
    pub step_up: String,
    /// The approval.
    pub approval: ApprovalId,
    /// The action that needs it.
    pub action: EntityRef,
    /// What that acts on.
    pub resource: EntityRef,
    /// When the approval stops waiting.
    pub expires_at: Timestamp,
    /// Authentication context classes that would do, from the bundle.
    pub acr_values: Vec<String>,
}

impl Check<'_> {
    /// Opens what a challenge asks for, or finds it where it waits already.
    ///
    /// A session that waits for too many, or asks for more than a person can look at, is denied.
    ///
    /// # Errors
    /// When the store does not do it in time: then there is no answer that could be acted on.
    pub(super) async fn challenge(
        &self,
        judged: &mut Judged,
        cached: &CachedChain,
    ) -> Result<Vec<Challenged>, NoDecision> {
        let _permit = self.pdp.in_flight.try_acquire().map_err(|_| NoDecision::Overloaded)?;
        let mut challenged = Vec::with_capacity(judged.judgement.decision.step_ups.len());
        for wanted in &judged.judgement.decision.step_ups {
            match self.open(judged, wanted, cached).await? {
                Ok(approval) => challenged.push(approval),
                Err(why) => {
                    let detail = Some(why.to_owned());
                    // What the challenge did is done; it is still what determined this.
                    let decision =
                        std::mem::replace(&mut judged.judgement.decision, Decision::deny(Reason::MemoryFull));
                    judged.judgement.decision.detail = detail;
                    judged.judgement.decision.effects = decision.effects;
                    return Ok(Vec::new());
                }
            }
        }
        Ok(challenged)
    }

    async fn open(
        &self,
        judged: &Judged,
        wanted: &StepUp,
        cached: &CachedChain,
    ) -> Result<Result<Challenged, &'static str>, NoDecision> {
        let settings = self.snapshot.bundle.manifest().step_up(&wanted.name);
        let session = cached.sessions().session();
        let by = AskedBy { session, decision: judged.id, bundle: self.snapshot.number, at: judged.at };
        let approval = Arc::new(Approval::asked(approval_id(judged.at), wanted, &settings, by));
        // What cannot be read as JSON cannot be stored either.
        if serde_json::to_vec(&*approval).map_or(usize::MAX, |json| json.len()) > APPROVAL_BYTES_MAX {
            return Ok(Err("this is more than a person can be asked to approve"));
        }
        let replica = &self.pdp.replica;
        let (id, expires_at) = match self.in_time(replica.open_approval(Arc::clone(&approval))).await? {
            OpenedApproval::New => {
                self.pdp.recorder.approval_asked();
                tracing::info!(
                    approval.id = %approval.id,
                    session.id = %approval.session,
                    step_up = %approval.step_up,
                    "an approval is asked for"
                );
                // Not waited for: the decision's own record comes after it in the chain, and is.
                let asked = acts::on_approval(acts::APPROVAL_ASKED, "", &approval);
                self.pdp.recorder.trail().note(judged.at, asked)?;
                (approval.id, approval.expires_at)
            }
            OpenedApproval::Waiting(waiting) => (waiting.id, waiting.expires_at),
            OpenedApproval::TooMany => return Ok(Err("the session waits for as many approvals as it may")),
        };
        Ok(Ok(Challenged {
            step_up: wanted.name.to_string(),
            approval: id,
            action: wanted.action.clone(),
            resource: wanted.resource.clone(),
            expires_at,
            acr_values: settings.acr_values,
        }))
    }

    /// Whether others have changed what was known when a challenge was about to be decided: it may have been approved meanwhile, and then
    /// nobody is asked again.
    pub(super) async fn is_overtaken(&self, cached: &CachedChain, known: &[u64]) -> Result<bool, NoDecision> {
        self.in_time(self.pdp.replica.refresh_memories(cached, known)).await
    }
}
