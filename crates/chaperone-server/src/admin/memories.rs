//! What is remembered of a session, as the store has it.

use chaperone_policy::{MemoryKey, Session, Timestamp};
use chaperone_store::StoredMemory;

use super::AdminError;
use super::sessions::Sessions;
use crate::replica::Policies;

/// What is remembered of a session, of its tree and of its principal.
#[derive(Clone, Debug)]
pub struct SessionMemory {
    /// Of the session itself.
    pub session: StoredMemory,
    /// Of its tree.
    pub tree: StoredMemory,
    /// Of its principal.
    pub principal: StoredMemory,
    /// The risk as policies read it: the highest of the session's and its ancestors'.
    pub risk: i64,
    /// By how many points an hour risk decays.
    pub decay_per_hour: u32,
    /// When this was so: what counts depends on it.
    pub at: Timestamp,
}

impl Sessions {
    /// What is remembered of a session, read from the store.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn memory(&self, session: &Session) -> Result<SessionMemory, AdminError> {
        let mut keys = vec![
            MemoryKey::Tree(session.tree),
            MemoryKey::Principal(session.principal.clone()),
            MemoryKey::Session(session.id),
        ];
        let mut next = session.parent;
        while let Some(id) = next {
            keys.push(MemoryKey::Session(id));
            next = self.store().session(id).await?.ok_or_else(|| AdminError::no_session(id))?.parent;
        }
        let stored = self.store().memories(&keys).await?;
        let (at, decay_per_hour) = (self.clock.now(), self.risk_decay_per_hour());
        let chain = stored.get(2..).unwrap_or_default();
        let risk = chain.iter().map(|stored| stored.memory.risk(decay_per_hour, at)).max().unwrap_or(0);
        let mut stored = stored.into_iter();
        let [Some(tree), Some(principal), Some(session)] = [stored.next(), stored.next(), stored.next()] else {
            // A store answers each key.
            return Err(AdminError::no_session(session.id));
        };
        Ok(SessionMemory { session, tree, principal, risk, decay_per_hour, at })
    }

    /// By how many points an hour risk decays; without a bundle it does not.
    pub(super) fn risk_decay_per_hour(&self) -> u32 {
        match &**self.replica.policies() {
            Policies::Active(snapshot) => snapshot.bundle.manifest().risk.decay_per_hour,
            Policies::None | Policies::Unusable(_) => 0,
        }
    }
}
