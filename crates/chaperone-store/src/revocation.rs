//! Revoking many sessions: the plan that both stores follow.
//!
//! A principal can have a million sessions, and one transaction over all of them would hold every shard of the feed and block
//! whoever opens a session meanwhile. So it goes in batches, each its own transaction, and passes over the target again until a pass
//! finds nothing left. A session that was stored before the call is revoked by it. One that is stored while it runs may be revoked
//! or not, as if it had come before or after; whoever must keep new ones from being opened suspends the principal first.

use std::collections::BTreeMap;

use chaperone_policy::SessionId;

use crate::feed::shard_of_tree;

/// How many sessions one transaction revokes.
pub(crate) const BATCH: usize = 500;
/// How often the target is passed over, so that a stream of new sessions cannot keep a revocation running for ever.
pub(crate) const PASSES_MAX: usize = 8;

/// A session that is to be revoked, by its id and tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: SessionId,
    pub(crate) tree: SessionId,
}

/// Where a revocation stands.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// How many sessions were revoked.
    pub(crate) revoked: u64,
    /// The last session of the batch before, in this pass.
    pub(crate) after: Option<SessionId>,
    revoked_before_this_pass: u64,
    passes: usize,
}

/// What one batch did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Batch {
    /// How many candidates it found.
    pub(crate) found: usize,
    /// How many of them it revoked: no one else had ended them meanwhile.
    pub(crate) revoked: u64,
    /// The last candidate.
    pub(crate) last: Option<SessionId>,
}

impl Progress {
    /// Counts a batch. Says whether there is more to do.
    pub(crate) fn advance(&mut self, batch: Batch) -> bool {
        self.revoked += batch.revoked;
        if batch.found == BATCH {
            self.after = batch.last;
            return true;
        }
        // The end of a pass. One that revoked nothing saw nothing left.
        let was_idle = self.revoked == self.revoked_before_this_pass;
        self.passes += 1;
        self.revoked_before_this_pass = self.revoked;
        self.after = None;
        !was_idle && self.passes < PASSES_MAX
    }
}

/// Candidates by their feed's shard, in the order in which shards are locked.
pub(crate) fn by_shard(candidates: &[Candidate]) -> BTreeMap<i16, Vec<SessionId>> {
    let mut shards: BTreeMap<i16, Vec<SessionId>> = BTreeMap::new();
    for candidate in candidates {
        shards.entry(shard_of_tree(candidate.tree)).or_default().push(candidate.id);
    }
    shards
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn revocation_ends_with_a_pass_that_finds_nothing() {
        let mut progress = Progress::default();
        let last = Some(SessionId::new(Uuid::from_u128(9)));
        assert!(progress.advance(Batch { found: BATCH, revoked: 500, last }));
        assert_eq!(progress.after, last);
        assert!(progress.advance(Batch { found: 3, revoked: 3, last }));
        assert_eq!(progress.after, None);
        assert!(!progress.advance(Batch::default()));
        assert_eq!(progress.revoked, 503);
    }

    #[test]
    fn stream_of_new_sessions_does_not_keep_it_running() {
        let mut progress = Progress::default();
        let passes = (1..99).find(|_| !progress.advance(Batch { found: 1, revoked: 1, last: None }));
        assert_eq!(passes, Some(PASSES_MAX));
    }
}
