//! What this replica holds in memory: the active bundle, entities, and the sessions it has seen, kept current by the change feed.

mod approvals;
mod candidates;
mod compiled_bundles;
mod entities;
mod follower;
mod freshness;
mod memories;
mod presence;
mod recalled;
mod reports;
mod sessions;
mod thread_snapshot;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chaperone_policy::recorded::MarkCell;
use chaperone_policy::{ApprovalId, Bundle, BundleNumber, EntityStore, HandleHash, SessionChain, SessionId};
use chaperone_store::{Cursor, Store, StoreError, StoredMemory};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};
use tokio_util::task::AbortOnDropHandle;

pub use candidates::{Candidates, Trial};
pub use compiled_bundles::{CompiledBundles, crashed};
pub use entities::{EntityLoadError, load_entities};
pub use follower::Follower;
pub use follower::FollowerTimes;
pub use freshness::{Age, Freshness, StalenessLimits};
pub use memories::{MemoryCell, MemoryTable, Versioned};
pub use presence::{GONE_AFTER, Presence};
pub use recalled::{RecalledChain, WrittenSessions};
pub use reports::changed;
pub use sessions::{CachedChain, LoadedChain, SessionCache};
pub use thread_snapshot::of_this_thread;

/// How many session changes a slow watcher may fall behind.
const WATCH_BACKLOG: usize = 4096;

/// The policies and entities of one moment. A check takes one and keeps it to its end. Clones share all of it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The bundle's number.
    pub number: BundleNumber,
    /// SHA-256 of its files, in hexadecimal.
    pub digest: Arc<str>,
    /// The bundle.
    pub bundle: Arc<Bundle>,
    /// Its entities, with the stored ones before them.
    pub entities: EntityStore,
    /// Of what the trail says of the bundle.
    pub mark: Arc<MarkCell>,
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
    /// Where the store is read from: its connections belong to this runtime, and so outlive whichever worker asked.
    runtime: Handle,
    policies: ArcSwap<Policies>,
    candidates: ArcSwap<Candidates>,
    bundles: CompiledBundles,
    sessions: SessionCache,
    memories: MemoryTable,
    freshness: Freshness,
    /// How far the feed was applied; `None` before everything was loaded once.
    applied: watch::Sender<Option<Cursor>>,
    /// `None` where some were missed.
    session_changes: broadcast::Sender<Option<SessionId>>,
    /// As those.
    approval_changes: broadcast::Sender<Option<ApprovalId>>,
}

impl Replica {
    /// An empty replica: it decides nothing until a [`Follower`] has loaded it. Call it within the runtime that outlives all others.
    pub fn new(store: Arc<dyn Store>, sessions_max: usize, limits: StalenessLimits) -> Self {
        Self {
            store,
            runtime: Handle::current(),
            policies: ArcSwap::from_pointee(Policies::None),
            candidates: ArcSwap::default(),
            bundles: CompiledBundles::default(),
            sessions: SessionCache::new(sessions_max),
            memories: MemoryTable::default(),
            freshness: Freshness::new(limits),
            applied: watch::Sender::new(None),
            session_changes: broadcast::Sender::new(WATCH_BACKLOG),
            approval_changes: broadcast::Sender::new(WATCH_BACKLOG),
        }
    }

    /// What there is to decide with now.
    pub fn policies(&self) -> arc_swap::Guard<Arc<Policies>> {
        self.policies.load()
    }

    /// What is tried beside it.
    pub fn candidates(&self) -> arc_swap::Guard<Arc<Candidates>> {
        self.candidates.load()
    }

    /// The bundles that were compiled here last.
    pub fn bundles(&self) -> &CompiledBundles {
        &self.bundles
    }

    /// How old the state is.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// The sessions in memory.
    pub fn sessions(&self) -> &SessionCache {
        &self.sessions
    }

    /// What is remembered of them.
    pub fn memories(&self) -> &MemoryTable {
        &self.memories
    }

    /// The store behind it.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The ids of sessions that change from now on; `None` where the feed had a gap, so that any may have changed.
    pub fn watch_sessions(&self) -> broadcast::Receiver<Option<SessionId>> {
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
        let (store, asked) = (Arc::clone(&self.store), *handle);
        let sessions = self.load(async move { store.session_chain(&asked).await }).await?;
        let Some(id) = sessions.first().map(|session| session.id) else {
            self.sessions.forget(handle);
            return Ok(None);
        };
        let chain = SessionChain::new(sessions.into_iter().map(Arc::new).collect()).ok_or(StoreError::Corrupt {
            table: "sessions",
            key: id.to_string(),
            message: "its ancestors do not lead to its root".into(),
        })?;
        // The cells first: what changes while they are filled then finds them.
        let cells: Box<[_]> = chain.memory_keys().map(|key| self.memories.cell(key)).collect();
        let (store, keys) = (Arc::clone(&self.store), chain.memory_keys().collect::<Vec<_>>());
        let stored = self.load(async move { store.memories(&keys).await }).await?;
        for (cell, StoredMemory { version, memory, .. }) in cells.iter().zip(stored) {
            cell.publish(version, Arc::new(memory));
        }
        Ok(Some(self.sessions.insert(*handle, LoadedChain { sessions: chain, cells }, ticket)))
    }

    /// Reads from the store, on the runtime that its connections belong to.
    async fn load<T: Send + 'static>(
        &self,
        load: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let loaded = AbortOnDropHandle::new(self.runtime.spawn(load)).await;
        loaded.map_err(|error| StoreError::Unavailable(error.into()))?
    }

    /// Waits until everything was loaded once.
    pub async fn loaded(&self) {
        // The sender lives as long as this replica, so that this cannot fail.
        let _ = self.applied.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits until this replica has applied every change that is in the feed now, but not longer than `limit`.
    ///
    /// An administrator who is told that a change is made can then rely on it at least here. Waiting in vain is no error: the change
    /// is made, and this replica stops deciding when it cannot learn of it.
    pub async fn catch_up(&self, limit: Duration) {
        if !self.reach_end(limit).await {
            tracing::warn!("a change was stored, but this replica has not applied it yet");
        }
    }

    /// Waits as [`Replica::catch_up`] does. Says whether everything was applied.
    pub async fn reach_end(&self, limit: Duration) -> bool {
        let reached = async {
            let end = self.store.feed_end().await.ok()?;
            let has_reached = |applied: &Option<Cursor>| {
                applied.is_some_and(|cursor| cursor.0.iter().zip(end.0).all(|(have, want)| *have >= want))
            };
            self.applied.subscribe().wait_for(has_reached).await.ok().map(drop)
        };
        matches!(tokio::time::timeout(limit, reached).await, Ok(Some(())))
    }
}
