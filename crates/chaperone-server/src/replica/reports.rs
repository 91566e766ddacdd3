//! What reports of outcomes need of a replica: the memories of a session as the store has them, compared and set on the store's own runtime.

use std::sync::Arc;

use chaperone_policy::{Memory, MemoryKey, Session, SessionId, Timestamp};
use chaperone_store::{Committed, StoreError, StoredMemory, Transition};

use super::Replica;

impl Replica {
    /// A session as the store has it, whether or not it has ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn stored_session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let store = Arc::clone(&self.store);
        self.load(async move { store.session(id).await }).await
    }

    /// Memories as the store has them, one for each key.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn stored_memories<const N: usize>(&self, keys: [MemoryKey; N]) -> Result<[StoredMemory; N], StoreError> {
        let store = Arc::clone(&self.store);
        let stored = self.load(async move { store.memories(&keys).await }).await?;
        stored.try_into().map_err(|_| StoreError::Unavailable("the store did not answer each key".into()))
    }

    /// Stores memories whose versions are still these, all or none, and makes them known here. `Some` has what others stored meanwhile.
    ///
    /// # Errors
    /// When the store fails: it may have been stored all the same.
    pub async fn commit(
        &self,
        writes: Vec<StoredMemory>,
        at: Timestamp,
    ) -> Result<Option<Vec<StoredMemory>>, StoreError> {
        let (store, transition) = (Arc::clone(&self.store), Transition { writes: writes.clone(), reads: Vec::new() });
        let committed = self.load(async move { store.commit_memories(&[transition], at).await }).await?.pop();
        match committed {
            Some(Committed::Done) => {
                let stored = |memory: StoredMemory| StoredMemory { version: memory.version + 1, ..memory };
                self.memories.publish(writes.into_iter().map(stored).collect());
                Ok(None)
            }
            Some(Committed::Conflict(stored)) => {
                self.memories.publish(stored.clone());
                Ok(Some(stored))
            }
            None => Err(StoreError::Unavailable("the store did not answer the transition".into())),
        }
    }
}

/// The memory with this change, to be written where it differs.
pub fn changed(stored: &StoredMemory, mut after: Memory, now: Timestamp) -> Option<StoredMemory> {
    if stored.memory == after {
        return None;
    }
    after.touch(now);
    Some(StoredMemory { key: stored.key.clone(), version: stored.version, memory: after })
}
