//! The store on Postgres 14 to 18.

mod activations;
mod approvals;
mod bundles;
mod candidates;
mod entities;
mod feed;
mod listener;
mod memories;
mod migrations;
mod options;
mod replicas;
mod revocation;
mod sessions;
mod trail;
mod transaction;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chaperone_policy::{
    Approval, ApprovalId, BundleNumber, Ended, Entity, EntityRef, HandleHash, MemoryKey, Session, SessionId, Timestamp,
};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::task::AbortHandle;

pub use self::options::{InvalidUrl, PostgresOptions};
use crate::attempt::Attempt;
use crate::candidate::{Candidate, CandidateRole};
use crate::error::StoreError;
use crate::feed::{Changes, Cursor};
use crate::store::{
    ApprovalFilter, BundleActivation, BundleInfo, Committed, NewActivation, NewBundle, OpenedApproval, ReplicaReport,
    RevokeTarget, SavedApproval, SessionFilter, Store, StoredBundle, StoredMemory, Transition, TreeLimits,
};
use crate::wake::Wake;

/// How long a connection may be idle before it is asked for an answer, when it is needed again.
const IDLE_UNTESTED_MAX: Duration = Duration::from_secs(1);

/// A store on Postgres. Several replicas may share one database.
pub struct PostgresStore {
    pool: PgPool,
    timeout: Duration,
    notifications: bool,
    pooler: bool,
    wake: Arc<Wake>,
    listener: Option<AbortHandle>,
}

impl PostgresStore {
    /// Connects, and checks that the database has this program's schema. From then on it reconnects by itself.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer within the time limit; [`StoreError::Schema`] when its schema
    /// is another.
    pub async fn connect(options: &PostgresOptions) -> Result<Self, StoreError> {
        let store = Self::open(options)?;
        store.require_schema().await?;
        Ok(store)
    }

    /// As [`PostgresStore::connect`], but the database may still be absent: ask [`Store::check_schema`] before anything else. Call it
    /// within a runtime.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the URL is not one of a Postgres database.
    pub fn open(options: &PostgresOptions) -> Result<Self, StoreError> {
        // A connection that the network lost costs a part of one call's time, not all of it.
        let answer_max = options.timeout / 4;
        let pool = PgPoolOptions::new()
            .max_connections(options.connections_max.max(1))
            .acquire_timeout(options.timeout)
            .test_before_acquire(false)
            .before_acquire(move |connection, state| {
                Box::pin(async move {
                    if state.idle_for < IDLE_UNTESTED_MAX {
                        return Ok(true);
                    }
                    match tokio::time::timeout(answer_max, sqlx::Connection::ping(connection)).await {
                        Ok(Ok(())) => Ok(true),
                        Ok(Err(error)) => Err(error),
                        Err(_elapsed) => Err(sqlx::Error::Protocol("an idle connection does not answer".into())),
                    }
                })
            })
            .connect_lazy_with(options.for_pool()?);
        let mut store = Self {
            pool,
            timeout: options.timeout,
            notifications: options.notifications,
            pooler: options.pooler,
            wake: Arc::default(),
            listener: None,
        };
        if options.notifications && !options.pooler {
            let listening = listener::listen(options.for_migrations()?, Arc::clone(&store.wake));
            store.listener = Some(tokio::spawn(listening).abort_handle());
        }
        Ok(store)
    }

    /// Applies the migrations that the database lacks, each in its own transaction. Returns their names.
    ///
    /// Only the URL is used: migrations may take longer than the time limit of a call.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database cannot be reached or a migration fails; [`StoreError::Schema`] when the schema
    /// is newer than this program, or another.
    pub async fn migrate(options: &PostgresOptions) -> Result<Vec<String>, StoreError> {
        migrations::migrate(options).await
    }

    fn stop_listening(&self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the pool: its options hold the password.
        f.debug_struct("PostgresStore")
            .field("connections", &self.pool.size())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.stop_listening();
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn check_schema(&self) -> Result<(), StoreError> {
        self.require_schema().await
    }

    async fn open_session(
        &self,
        session: &Session,
        handle: &HandleHash,
        limits: &TreeLimits,
    ) -> Result<(), StoreError> {
        sessions::insert(self, session, handle, limits).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        sessions::by_id(self, id).await
    }

    async fn session_chain(&self, handle: &HandleHash) -> Result<Vec<Session>, StoreError> {
        sessions::chain(self, handle).await
    }

    async fn save_session(&self, session: &Session) -> Result<Session, StoreError> {
        sessions::save(self, session).await
    }

    async fn revoke_sessions(&self, target: &RevokeTarget, ended: &Ended) -> Result<u64, StoreError> {
        revocation::revoke(self, target, ended).await
    }

    async fn touch_sessions(&self, uses: &[(SessionId, Timestamp)]) -> Result<(), StoreError> {
        sessions::touch(self, uses).await
    }

    async fn sessions(
        &self,
        filter: &SessionFilter,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        sessions::list(self, filter, before, limit).await
    }

    async fn insert_bundle(&self, bundle: &NewBundle) -> Result<(BundleInfo, bool), StoreError> {
        bundles::insert(self, bundle).await
    }

    async fn activate_bundle(&self, activation: &NewActivation) -> Result<BundleInfo, StoreError> {
        activations::activate(self, activation).await
    }

    async fn bundle_activations(&self, before: Option<u64>, limit: u32) -> Result<Vec<BundleActivation>, StoreError> {
        activations::list(self, before, limit).await
    }

    async fn put_candidate(&self, candidate: &Candidate) -> Result<(), StoreError> {
        candidates::put(self, candidate).await
    }

    async fn remove_candidate(&self, role: CandidateRole, at: Timestamp) -> Result<bool, StoreError> {
        candidates::remove(self, role, at).await
    }

    async fn candidates(&self) -> Result<Vec<Candidate>, StoreError> {
        candidates::list(self).await
    }

    async fn active_bundle(&self) -> Result<Option<StoredBundle>, StoreError> {
        bundles::active(self).await
    }

    async fn bundle(&self, number: BundleNumber) -> Result<Option<StoredBundle>, StoreError> {
        bundles::by_number(self, number).await
    }

    async fn bundles(&self, before: Option<BundleNumber>, limit: u32) -> Result<Vec<BundleInfo>, StoreError> {
        bundles::list(self, before, limit).await
    }

    async fn put_entities(&self, entities: &[Entity], at: Timestamp) -> Result<(), StoreError> {
        entities::put(self, entities, at).await
    }

    async fn delete_entities(&self, uids: &[EntityRef], at: Timestamp) -> Result<u64, StoreError> {
        entities::delete(self, uids, at).await
    }

    async fn entities(
        &self,
        kind: Option<&str>,
        after: Option<&EntityRef>,
        limit: u32,
    ) -> Result<Vec<Entity>, StoreError> {
        entities::list(self, kind, after, limit).await
    }

    async fn entities_named(&self, uids: &[EntityRef]) -> Result<Vec<Entity>, StoreError> {
        entities::named(self, uids).await
    }

    async fn memories(&self, keys: &[MemoryKey]) -> Result<Vec<StoredMemory>, StoreError> {
        memories::of(self, keys).await
    }

    async fn commit_memories(&self, transitions: &[Transition], at: Timestamp) -> Result<Vec<Committed>, StoreError> {
        memories::commit(self, transitions, at).await
    }

    async fn open_approval(&self, approval: &Approval) -> Result<OpenedApproval, StoreError> {
        approvals::open(self, approval).await
    }

    async fn approval(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        approvals::by_id(self, id).await
    }

    async fn approvals(
        &self,
        filter: &ApprovalFilter,
        before: Option<ApprovalId>,
        limit: u32,
    ) -> Result<Vec<Approval>, StoreError> {
        approvals::list(self, filter, before, limit).await
    }

    async fn approvals_waiting(&self, at: Timestamp) -> Result<u64, StoreError> {
        approvals::count_waiting(self, at).await
    }

    async fn save_approval(
        &self,
        approval: &Approval,
        granted: Option<&StoredMemory>,
        at: Timestamp,
    ) -> Result<SavedApproval, StoreError> {
        approvals::save(self, approval, granted, at).await
    }

    async fn feed_end(&self) -> Result<Cursor, StoreError> {
        feed::end(self).await
    }

    async fn changes(&self, cursor: &Cursor, limit: u32) -> Result<Changes, StoreError> {
        feed::changes(self, cursor, limit).await
    }

    async fn changed(&self) {
        self.wake.hinted().await;
    }

    async fn report_replica(&self, report: &ReplicaReport) -> Result<(), StoreError> {
        replicas::report(self, report).await
    }

    async fn replicas(&self, since: Timestamp) -> Result<Vec<ReplicaReport>, StoreError> {
        replicas::list(self, since).await
    }

    async fn forget_replicas(&self, replica: Option<&str>, before: Timestamp) -> Result<(), StoreError> {
        replicas::forget(self, replica, before).await
    }

    async fn prune_changes(&self, before: Timestamp) -> Result<u64, StoreError> {
        feed::prune(self, before).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read("ping", |Attempt { connection, .. }| {
            Box::pin(async move { Ok(sqlx::query("SELECT 1").execute(connection).await.map(|_| ())?) })
        })
        .await
    }

    async fn close(&self) {
        self.stop_listening();
        self.pool.close().await;
    }
}
