//! The store on one file, or in memory: for tests, for trying things out, and for a single node.

mod activations;
mod approvals;
mod bundles;
mod candidates;
mod entities;
mod feed;
mod memories;
mod replicas;
mod revocation;
mod sessions;
mod transaction;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use chaperone_policy::{
    Approval, ApprovalId, BundleNumber, Ended, Entity, EntityRef, HandleHash, MemoryKey, Session, SessionId, Timestamp,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqliteConnection, SqlitePool};

use crate::attempt::Attempt;
use crate::candidate::{Candidate, CandidateRole};
use crate::error::StoreError;
use crate::failure::Failure;
use crate::feed::{Changes, Cursor};
use crate::schema::{self, Applied};
use crate::store::{
    ApprovalFilter, BundleActivation, BundleInfo, Committed, NewActivation, NewBundle, OpenedApproval, ReplicaReport,
    RevokeTarget, SavedApproval, SessionFilter, Store, StoredBundle, StoredMemory, Transition, TreeLimits,
};
use crate::wake::Wake;

/// How long opening waits for a process that is just closing the same file.
const BUSY_MAX: Duration = Duration::from_millis(500);

/// A store of one process, on SQLite.
///
/// It has one connection, which keeps the file locked: decisions are made from memory, so that few calls come here, and a second
/// process on the same file is an error at its start, not a silent difference.
pub struct EmbeddedStore {
    pool: SqlitePool,
    wake: Wake,
}

impl EmbeddedStore {
    /// Opens the file at `path`, or a store in memory; creates it, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the file cannot be opened, or another process has it open; [`StoreError::Schema`] when its
    /// schema is newer than this program, or another.
    pub async fn open(path: Option<&Path>) -> Result<Self, StoreError> {
        let options = match path {
            Some(path) => SqliteConnectOptions::new().filename(path).create_if_missing(true),
            None => SqliteConnectOptions::new().in_memory(true),
        };
        let options = options
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_MAX);
        let pool = SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(1)
            // A store in memory lives as long as its connection.
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .map_err(|error| cannot_open(path, error))?;
        let mut connection = pool.acquire().await.map_err(|error| cannot_open(path, error))?;
        // The lock is taken by the first access and kept from then on: take it now, not at the first write.
        for statement in ["BEGIN EXCLUSIVE", "COMMIT"] {
            sqlx::query(statement).execute(&mut *connection).await.map_err(|error| cannot_open(path, error))?;
        }
        migrate(&mut connection).await?;
        drop(connection);
        Ok(Self { pool, wake: Wake::default() })
    }

    /// Stores sessions as [`Store::insert_session`] does, all in one transaction or none of them: one write to the disk for many. Benches
    /// fill a store with it before a server opens the file.
    ///
    /// # Errors
    /// As [`Store::insert_session`], for the first that cannot be stored; [`StoreError::Unavailable`] when all together take too long:
    /// give it thousands at once, not millions.
    pub async fn insert_sessions(&self, sessions: &[(Session, HandleHash)]) -> Result<(), StoreError> {
        sessions::insert_all(self, sessions).await
    }
}

fn cannot_open(path: Option<&Path>, error: sqlx::Error) -> StoreError {
    let Some(path) = path else { return Failure::from(error).into() };
    // 5: SQLITE_BUSY; the extended codes hold it in their low byte.
    let busy = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code.parse::<u32>().is_ok_and(|code| code & 0xff == 5));
    let message = if busy {
        format!("`{}` is open in another process; an embedded store serves one", path.display())
    } else {
        format!("cannot open `{}`: {error}", path.display())
    };
    StoreError::Unavailable(message.into())
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let migrator = schema::embedded();
    let has_table: Option<i64> = sqlx::query_scalar(
        "SELECT 1
        FROM sqlite_schema
        WHERE type = 'table' AND name = '_sqlx_migrations'",
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(Failure::from)?;
    let mut applied: Option<Vec<Applied>> = None;
    if has_table.is_some() {
        let rows = sqlx::query_as(schema::SELECT_APPLIED).fetch_all(&mut *connection).await.map_err(Failure::from)?;
        applied = Some(rows);
    }
    schema::require_appliable(schema::compare(&migrator, applied.as_deref()))?;
    migrator.run_direct(None, connection, false).await.map_err(schema::migration_failure)
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn check_schema(&self) -> Result<(), StoreError> {
        // It was checked when the file was opened, and nobody else opens it.
        Ok(())
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
        self.read(|Attempt { connection, .. }| {
            Box::pin(async move { Ok(sqlx::query("SELECT 1").execute(connection).await.map(|_| ())?) })
        })
        .await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
