//! Applying and checking this program's migrations.

use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection};

use super::{PostgresOptions, PostgresStore};
use crate::attempt::Attempt;
use crate::error::StoreError;
use crate::failure::Failure;
use crate::schema::{self, Applied};

/// How long to wait for a connection to migrate through.
const CONNECT_MAX: Duration = Duration::from_secs(10);

impl PostgresStore {
    /// Checks that the database has exactly this program's schema.
    pub(super) async fn require_schema(&self) -> Result<(), StoreError> {
        let applied = self
            .read("schema", |Attempt { connection, .. }| Box::pin(async move { applied(connection).await }))
            .await?;
        schema::compare(&schema::postgres(), applied.as_deref()).map_err(StoreError::Schema)
    }
}

/// Applies what is missing; returns its names.
pub(super) async fn migrate(options: &PostgresOptions) -> Result<Vec<String>, StoreError> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(CONNECT_MAX)
        .connect_lazy_with(options.for_migrations()?);
    // Not the pool's: what it closes, it closes in the background, and a database with a connection cannot be a template.
    let mut connection = pool.acquire().await.map_err(Failure::from)?.detach();
    let result = migrate_through(&mut connection).await;
    if let Err(error) = connection.close().await {
        tracing::debug!(error = %error, "the connection of the migration did not close in good order");
    }
    result
}

async fn migrate_through(connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let migrator = schema::postgres();
    let applied = applied(connection).await?;
    schema::require_appliable(schema::compare(&migrator, applied.as_deref()))?;
    migrator.run_direct(None, connection, false).await.map_err(schema::migration_failure)?;
    Ok(schema::pending(&migrator, applied.as_deref()))
}

/// What was applied; `None` when there is no table of migrations.
async fn applied(connection: &mut PgConnection) -> Result<Option<Vec<Applied>>, Failure> {
    match sqlx::query_as(schema::SELECT_APPLIED).fetch_all(connection).await {
        Ok(applied) => Ok(Some(applied)),
        // 42P01: undefined table.
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code == "42P01") => Ok(None),
        Err(error) => Err(error.into()),
    }
}
