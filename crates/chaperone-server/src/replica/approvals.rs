//! What approvals need of a replica: opening them on the store's own runtime, and telling those who watch.

use std::sync::Arc;

use chaperone_policy::{Approval, ApprovalId};
use chaperone_store::{OpenedApproval, StoreError};
use tokio::sync::broadcast;

use super::{CachedChain, Replica};

impl Replica {
    /// Opens an approval, or finds the one that waits for the same.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open_approval(&self, approval: Arc<Approval>) -> Result<OpenedApproval, StoreError> {
        let store = Arc::clone(&self.store);
        self.load(async move { store.open_approval(&approval).await }).await
    }

    /// Reads what is remembered of a chain from the store. Says whether any of it is newer than these versions, in the order of the chain's
    /// keys; the memories here may be by now, too, as the feed brings them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn refresh_memories(&self, cached: &CachedChain, known: &[u64]) -> Result<bool, StoreError> {
        let keys: Vec<_> = cached.cells().iter().map(|cell| cell.key().clone()).collect();
        let store = Arc::clone(&self.store);
        let stored = self.load(async move { store.memories(&keys).await }).await?;
        let is_news = known.iter().zip(&stored).any(|(known, stored)| *known < stored.version);
        self.memories.publish(stored);
        Ok(is_news)
    }

    /// The ids of approvals that change from now on; `None` where the feed had a gap, so that any may have changed.
    pub fn watch_approvals(&self) -> broadcast::Receiver<Option<ApprovalId>> {
        self.approval_changes.subscribe()
    }
}
