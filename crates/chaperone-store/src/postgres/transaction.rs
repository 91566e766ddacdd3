//! The one way to the database: a connection for so long, a transaction tried so often.

use std::future::Future;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, PgConnection, Postgres};

use super::PostgresStore;
use crate::attempt::{Attempt, Work};
use crate::error::StoreError;
use crate::failure::Failure;

/// How often a transaction is tried.
const ATTEMPTS_MAX: u32 = 5;
/// How long upkeep may take.
const UPKEEP_MAX: Duration = Duration::from_mins(10);
/// The wait before the second attempt; it doubles with each.
const BACKOFF: Duration = Duration::from_millis(5);

/// Who is to be told of the commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Announce {
    /// No one: nothing in the feed.
    Nothing,
    /// Those who wait in this process.
    Here,
    /// Every replica. A notifying commit takes a lock of the whole instance, so not for what can wait for the next poll.
    Everywhere,
}

impl PostgresStore {
    /// Runs `work` in a transaction and commits it; runs it again on a serialization failure, a deadlock, or a connection that
    /// was lost before the commit. All within the store's time limit.
    pub(super) async fn transaction<'env, T, F>(
        &self,
        name: &'static str,
        announce: Announce,
        work: F,
    ) -> Result<T, StoreError>
    where
        T: Send,
        F: for<'t> Fn(Attempt<'t, 'env, PgConnection>) -> Work<'t, T> + Send + Sync,
    {
        let notify = announce == Announce::Everywhere && self.notifications;
        let value = self.within_limit(self.retry(name, || self.attempt(notify, &work))).await?;
        if announce != Announce::Nothing {
            self.wake.hint();
        }
        Ok(value)
    }

    /// As [`PostgresStore::transaction`], without an announcement, for work that may take longer than a call, but must not make others
    /// wait: a lock that it does not get at once it does not get. See [`settle`].
    pub(super) async fn upkeep<'env, T, F>(&self, name: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send,
        F: for<'t> Fn(Attempt<'t, 'env, PgConnection>) -> Work<'t, T> + Send + Sync,
    {
        let call = self.retry(name, || self.attempt(false, &work));
        match tokio::time::timeout(UPKEEP_MAX, call).await {
            Ok(result) => result,
            Err(elapsed) => Err(StoreError::Unavailable(Box::new(elapsed))),
        }
    }

    /// Runs `work`, one statement that only reads and so is its own snapshot, on another connection if one is lost.
    pub(super) async fn read<'env, T, F>(&self, name: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send,
        F: for<'t> Fn(Attempt<'t, 'env, PgConnection>) -> Work<'t, T> + Send + Sync,
    {
        self.within_limit(self.retry(name, || self.alone(Stopped::BeforeCommit, &work))).await
    }

    /// Runs `work`, one statement that writes and so is its own transaction: it takes one round trip, and its locks are held for no
    /// other. When the connection is lost it may have been committed, so that only contention is a reason to run it again.
    pub(super) async fn statement<'env, T, F>(
        &self,
        name: &'static str,
        announce: Announce,
        work: F,
    ) -> Result<T, StoreError>
    where
        T: Send,
        F: for<'t> Fn(Attempt<'t, 'env, PgConnection>) -> Work<'t, T> + Send + Sync,
    {
        let value = self.within_limit(self.retry(name, || self.alone(Stopped::AtCommit, &work))).await?;
        if announce != Announce::Nothing {
            self.wake.hint();
        }
        Ok(value)
    }

    /// Runs one statement; `stopped` says what its failure means.
    async fn alone<'env, T, F>(&self, stopped: fn(Failure) -> Stopped, work: &F) -> Result<T, Stopped>
    where
        F: for<'t> Fn(Attempt<'t, 'env, PgConnection>) -> Work<'t, T> + Send + Sync,
    {
        let mut lease = self.lease().await?;
        let value = work(Attempt::on(lease.connection()?)).await;
        lease.is_idle = value.is_ok();
        value.map_err(stopped)
    }

    async fn attempt<'env, T, F>(&self, notify: bool, work: &F) -> Result<T, Stopped>
    where
        F: for<'t> Fn(Attempt<'t, 'env, PgConnection>) -> Work<'t, T> + Send + Sync,
    {
        let mut lease = self.lease().await?;
        let mut transaction = lease.connection()?.begin().await.map_err(before)?;
        let value = match work(Attempt::on(&mut *transaction)).await {
            Ok(value) => value,
            Err(failure) => {
                let rolled_back = transaction.rollback().await;
                lease.is_idle = rolled_back.is_ok();
                return Err(Stopped::BeforeCommit(failure));
            }
        };
        if notify {
            sqlx::query("SELECT pg_notify('chaperone_changes', '')")
                .execute(&mut *transaction)
                .await
                .map_err(before)?;
        }
        transaction.commit().await.map_err(|error| Stopped::AtCommit(error.into()))?;
        lease.is_idle = true;
        Ok(value)
    }

    async fn retry<T, A>(&self, name: &'static str, attempt: impl Fn() -> A) -> Result<T, StoreError>
    where
        A: Future<Output = Result<T, Stopped>>,
    {
        let mut backoff = BACKOFF;
        for number in 1_u32.. {
            let stopped = match attempt().await {
                Ok(value) => return Ok(value),
                Err(stopped) => stopped,
            };
            if number == ATTEMPTS_MAX || !stopped.may_be_repeated() {
                return Err(stopped.into_failure().into());
            }
            tracing::debug!(db.operation = name, attempt = number, "the transaction is tried again");
            tokio::time::sleep(backoff).await;
            backoff *= 2;
        }
        Err(StoreError::Unavailable("no attempt was made".into()))
    }

    /// A cut network does not answer, not even with an error, so that each call has a limit of its own.
    pub(super) async fn within_limit<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(result) => result,
            Err(elapsed) => Err(StoreError::Unavailable(Box::new(elapsed))),
        }
    }

    async fn lease(&self) -> Result<Lease, Stopped> {
        let connection = self.pool.acquire().await.map_err(before)?;
        Ok(Lease { connection: Some(connection), is_idle: false, timeout: self.timeout })
    }
}

/// Sets the limits of a transaction of [`PostgresStore::upkeep`]; its first statement.
pub(super) async fn settle(connection: &mut PgConnection) -> Result<(), Failure> {
    // Everyone else queues behind a lock that is waited for, so that this must be short.
    sqlx::query(
        "SELECT set_config('statement_timeout', '600s', TRUE), set_config('lock_timeout', '200ms', TRUE),
            set_config('idle_in_transaction_session_timeout', '60s', TRUE)",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Where an attempt stopped.
enum Stopped {
    /// Nothing of it happened.
    BeforeCommit(Failure),
    /// It may have happened, or not.
    AtCommit(Failure),
}

impl Stopped {
    fn may_be_repeated(&self) -> bool {
        match self {
            Self::BeforeCommit(failure) => failure.is_contention() || failure.is_lost_connection(),
            Self::AtCommit(failure) => failure.is_contention(),
        }
    }

    fn into_failure(self) -> Failure {
        match self {
            Self::BeforeCommit(failure) | Self::AtCommit(failure) => failure,
        }
    }
}

fn before(error: sqlx::Error) -> Stopped {
    Stopped::BeforeCommit(error.into())
}

/// A connection from the pool that goes back there only when nothing is under way on it. One that was left in the middle, because
/// its caller's future was dropped or the time was up, is closed: returning it would mean to wait for an answer that may never come.
struct Lease {
    connection: Option<PoolConnection<Postgres>>,
    is_idle: bool,
    timeout: Duration,
}

impl Lease {
    fn connection(&mut self) -> Result<&mut PgConnection, Stopped> {
        self.connection.as_deref_mut().ok_or_else(|| before(sqlx::Error::PoolClosed))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if self.is_idle {
            // The pool asks the server for an answer before it takes a connection back, without a limit of its own.
            drop(tokio::spawn(tokio::time::timeout(self.timeout, connection.return_to_pool())));
        } else {
            connection.close_on_drop();
        }
    }
}
