//! Which bundle decides for a session: the active one, or a canary.

use std::sync::Arc;

use super::{Check, Claim, Subjects};
use crate::no_decision::NoDecision;

impl Check<'_> {
    /// Gives the check to the bundle that decides for its session. Until that is done the bundle is the active one, whose mapping says what is
    /// claimed; the mapping that reads the request must be asked after it.
    ///
    /// What cannot be loaded now is left as it is: the decision must load it, too, and is refused where it finds that it is another
    /// bundle's.
    pub async fn assign(&mut self, claim: Claim) {
        if self.assign_from_memory(claim) {
            return;
        }
        let Claim::Session(hash) = claim else { return };
        let Ok(_permit) = self.pdp.in_flight.try_acquire() else { return };
        if let Ok(Some(cached)) = self.in_time(self.pdp.replica.load_chain(&hash)).await {
            self.assign_to(&Subjects::Session(cached));
        }
    }

    /// As [`Check::assign`], as far as memory tells. False where the store must be asked.
    pub fn assign_from_memory(&mut self, claim: Claim) -> bool {
        let (Some(_), Claim::Session(hash)) = (&self.canary, claim) else { return true };
        let Some(cached) = self.pdp.replica.sessions().find(&hash) else { return false };
        self.assign_to(&Subjects::Session(cached));
        true
    }

    fn assign_to(&mut self, subjects: &Subjects) {
        if let Some(canary) = &self.canary
            && let Subjects::Session(cached) = subjects
            && canary.takes(cached.sessions())
            && let Ok(snapshot) = &canary.policies
        {
            self.snapshot = Arc::clone(snapshot);
        }
    }

    /// Whether the bundle that is to decide is the one that decides for these.
    ///
    /// # Errors
    /// [`NoDecision::BundleUnusable`] where that is a canary which this replica cannot use: its sessions are not decided by another.
    /// [`NoDecision::StoreUnavailable`] where the session could not be loaded before, and so the request was read by another mapping.
    pub(super) fn require_assigned(&self, subjects: &Subjects) -> Result<(), NoDecision> {
        let Some(canary) = &self.canary else { return Ok(()) };
        let is_taken = matches!(subjects, Subjects::Session(cached) if canary.takes(cached.sessions()));
        let wanted = if is_taken { canary.candidate.number } else { canary.candidate.beside };
        match &canary.policies {
            _ if self.snapshot.number == wanted => Ok(()),
            Err(_) if is_taken => Err(NoDecision::BundleUnusable),
            Ok(_) | Err(_) => Err(NoDecision::StoreUnavailable),
        }
    }
}
