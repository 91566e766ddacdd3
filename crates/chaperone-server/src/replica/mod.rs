//! What this replica holds in memory: the active bundle, entities, and the sessions it has seen, kept current by the change feed.

mod follower;
mod freshness;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chaperone_policy::{Bundle, BundleNumber, EntityStore, HandleHash, SessionChain, SessionId};
use chaperone_store::{Cursor, Store, StoreError};
use tokio::sync::{broadcast, watch};

pub use follower::Follower;
pub use follower::FollowerTimes;
pub use freshness::{Age, Freshness, StalenessLimits};
pub use sessions::{CachedChain, SessionCache};

/// How many session changes a slow watcher may fall behind.
const WATCH_BACKLOG: usize = 4096;

/// The policies and entities of one moment. A check takes one and keeps it to its end.
#[derive(Debug)]
pub struct Snapshot {
    /// The bundle's number.
    pub number: BundleNumber,
    /// The bundle.
    pub bundle: Arc<Bundle>,
    /// Its entities, with the stored ones before them.
    pub entities: EntityStore,
}

/// What there is to decide with.
#[derive(Clone, Debug)]
pub enum Policies {
    /// Nothing was activated yet, or nothing was loaded yet.
    None,
    /// A bundle is active that this replica cannot use. It would be wrong to decide by an older one.
    Unusable(BundleNumber),
    /// This.
    Active(Arc<Snapshot>),
}

/// The state of this replica. Everything in it is a copy of what the store has.
#[derive(Debug)]
pub struct Replica {
    store: Arc<dyn Store>,
    policies: ArcSwap<Policies>,
    sessions: SessionCache,
    freshness: Freshness,
    applied: watch::Sender<Cursor>,
    session_changes: broadcast::Sender<SessionId>,
}

impl Replica {
    /// An empty replica: it decides nothing until a [`Follower`] has loaded it.
    pub fn new(store: Arc<dyn Store>, sessions_max: usize, limits: StalenessLimits) -> Self {
        Self {
            store,
            policies: ArcSwap::from_pointee(Policies::None),
            sessions: SessionCache::new(sessions_max),
            freshness: Freshness::new(limits),
            applied: watch::Sender::new(Cursor::default()),
            session_changes: broadcast::Sender::new(WATCH_BACKLOG),
        }
    }

    /// What there is to decide with now.
    pub fn policies(&self) -> arc_swap::Guard<Arc<Policies>> {
        self.policies.load()
    }

    /// How old the state is.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// The sessions in memory.
    pub fn sessions(&self) -> &SessionCache {
        &self.sessions
    }

    /// The store behind it.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The ids of sessions that change from now on.
    pub fn watch_sessions(&self) -> broadcast::Receiver<SessionId> {
        self.session_changes.subscribe()
    }

    /// A session with its ancestors, from memory or else from the store; `None` when the handle is unknown.
    ///
    /// # Errors
    /// When the store is needed and fails, or what it holds is not a whole chain.
    pub async fn chain(&self, handle: &HandleHash) -> Result<Option<Arc<CachedChain>>, StoreError> {
        if let Some(chain) = self.sessions.find(handle) {
            return Ok(Some(chain));
        }
        self.load_chain(handle).await
    }

    /// As [`Replica::chain`], but read from the store even when it is in memory.
    ///
    /// # Errors
    /// When the store fails, or what it holds is not a whole chain.
    pub async fn load_chain(&self, handle: &HandleHash) -> Result<Option<Arc<CachedChain>>, StoreError> {
        let ticket = self.sessions.begin_load();
        let sessions = self.store.session_chain(handle).await?;
        let Some(id) = sessions.first().map(|session| session.id) else {
            self.sessions.forget(handle);
            return Ok(None);
        };
        let chain = SessionChain::new(sessions.into_iter().map(Arc::new).collect()).ok_or(StoreError::Corrupt {
            table: "sessions",
            key: id.to_string(),
            message: "its ancestors do not lead to its root".into(),
        })?;
        Ok(Some(self.sessions.insert(*handle, chain, &ticket)))
    }

    /// Waits until this replica has applied every change that is in the feed now, but not longer than `limit`.
    ///
    /// An administrator who is told that a change is made can then rely on it at least here. Waiting in vain is no error: the change
    /// is made, and this replica stops deciding when it cannot learn of it.
    pub async fn catch_up(&self, limit: Duration) {
        let reached = async {
            let end = self.store.feed_end().await.ok()?;
            let mut applied = self.applied.subscribe();
            applied.wait_for(|cursor| cursor.0.iter().zip(end.0).all(|(have, want)| *have >= want)).await.ok()?;
            Some(())
        };
        if !matches!(tokio::time::timeout(limit, reached).await, Ok(Some(()))) {
            tracing::warn!("a change was stored, but this replica has not applied it yet");
        }
    }
}
