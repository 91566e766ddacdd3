//! On whose authority an action is asked for, by what memory and the store say.

use std::sync::Arc;

use chaperone_policy::{EntityRef, HandleHash, Reason};

use super::{Check, Claim, Consistency, WORKLOAD};
use crate::no_decision::NoDecision;
use crate::presenter::Evidence;
use crate::replica::CachedChain;

/// On whose authority something is asked for.
#[derive(Clone)]
pub(super) enum Subjects {
    Session(Arc<CachedChain>),
    Peer(EntityRef),
    Nobody(Reason),
}

/// What memory says of that.
pub(super) enum Resolved {
    Known(Subjects),
    /// The store must be asked for this session.
    Unknown(HandleHash),
}

impl Check<'_> {
    /// Finds out on whose authority the action is asked for, as far as memory tells.
    pub(super) fn resolve(&self, claim: Claim, evidence: Evidence<'_>, consistency: Consistency) -> Resolved {
        let nobody = |reason| Resolved::Known(Subjects::Nobody(reason));
        let hash = match claim {
            Claim::Session(hash) => hash,
            // What is presented and is no session is denied; it never falls back to who presents it.
            Claim::NoHandle => return nobody(Reason::SessionUnknown),
            Claim::Ambiguous => return nobody(Reason::Undecodable),
            Claim::Absent => {
                let peer = evidence.spiffe_id.filter(|_| self.snapshot.bundle.mapping().allows_peer());
                return match peer {
                    Some(id) => Resolved::Known(Subjects::Peer(EntityRef::new(WORKLOAD, id))),
                    None => nobody(Reason::Unauthenticated),
                };
            }
        };
        let sessions = self.pdp.replica.sessions();
        match consistency {
            Consistency::Strict => None,
            Consistency::Bounded => sessions.find(&hash),
        }
        // When it was not used here either, only the store can tell whether it was elsewhere.
        .and_then(|cached| self.unless_idle(cached, &hash))
        .map_or(Resolved::Unknown(hash), |cached| Resolved::Known(Subjects::Session(cached)))
    }

    /// As [`Check::resolve`], with what the store says where memory does not.
    pub(super) async fn load_subjects(
        &self,
        claim: Claim,
        evidence: Evidence<'_>,
        consistency: Consistency,
    ) -> Result<Subjects, NoDecision> {
        let hash = match self.resolve(claim, evidence, consistency) {
            Resolved::Known(subjects) => return Ok(subjects),
            Resolved::Unknown(hash) => hash,
        };
        // Shed at once: a check that waits for its turn is answered too late to be worth its work.
        let _permit = self.pdp.in_flight.try_acquire().map_err(|_| NoDecision::Overloaded)?;
        let Some(loaded) = self.in_time(self.pdp.replica.load_chain(&hash)).await? else {
            return Ok(Subjects::Nobody(Reason::SessionUnknown));
        };
        Ok(Subjects::Session(self.unless_idle(Arc::clone(&loaded), &hash).unwrap_or(loaded)))
    }

    /// The chain, with the uses that were noted here where it would be idle without them. `None` when it is idle all the same.
    fn unless_idle(&self, cached: Arc<CachedChain>, hash: &HandleHash) -> Option<Arc<CachedChain>> {
        if !cached.looks_idle(self.began.at) {
            return Some(cached);
        }
        self.pdp.replica.sessions().fold_uses(hash).filter(|used| !used.looks_idle(self.began.at))
    }
}
