//! The one way to the database: its only connection, for one transaction.

use std::future::Future;
use std::time::Duration;

use sqlx::{Connection as _, SqliteConnection};

use super::EmbeddedStore;
use crate::attempt::{Attempt, Work};
use crate::error::StoreError;
use crate::failure::Failure;

/// How long one call may take in all, most of it waiting for the calls before it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Who is to be told of the commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Announce {
    /// No one: nothing in the feed.
    Nothing,
    /// Those who wait in this process; there are no others.
    Here,
}

impl EmbeddedStore {
    /// Runs `work` in a transaction and commits it. There is one connection, so nothing runs beside it and nothing is to be retried.
    pub(super) async fn transaction<'env, T, F>(&self, announce: Announce, work: F) -> Result<T, StoreError>
    where
        F: for<'t> Fn(Attempt<'t, 'env, SqliteConnection>) -> Work<'t, T> + Send + Sync,
    {
        let value = within_limit(async {
            let mut connection = self.pool.acquire().await?;
            let mut transaction = connection.begin().await?;
            let value = work(Attempt::on(&mut *transaction)).await?;
            transaction.commit().await?;
            Ok(value)
        })
        .await?;
        if announce == Announce::Here {
            self.wake.hint();
        }
        Ok(value)
    }

    /// Runs `work`, which only reads.
    pub(super) async fn read<'env, T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: for<'t> Fn(Attempt<'t, 'env, SqliteConnection>) -> Work<'t, T> + Send + Sync,
    {
        self.transaction(Announce::Nothing, work).await
    }
}

async fn within_limit<T>(call: impl Future<Output = Result<T, Failure>>) -> Result<T, StoreError> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(result) => result.map_err(StoreError::from),
        Err(elapsed) => Err(StoreError::Unavailable(Box::new(elapsed))),
    }
}
