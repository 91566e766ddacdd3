//! How to reach Postgres.

use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::error::StoreError;

/// How to reach Postgres, and how long to wait for it.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database?sslmode=verify-full`. Its password is never printed.
    pub url: String,
    /// How many connections this process opens at most, beside one that listens.
    pub connections_max: u32,
    /// How long one call may take in all: waiting for a connection, and its statements.
    pub timeout: Duration,
    /// Whether to send and listen to `NOTIFY`. Without it, changes of other replicas are seen when the feed is polled next.
    pub notifications: bool,
    /// Whether a transaction-mode pooler such as `PgBouncer` stands before the database. Prepared statements, listening and
    /// settings at the start of a connection do not pass one; time limits on the server's side are then the pooler's to set.
    pub pooler: bool,
}

/// The text is not the URL of a Postgres database. It is not repeated here: it may hold a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the database URL is not of the form `postgres://user@host:port/database`")]
pub struct InvalidUrl;

impl PostgresOptions {
    /// Options for `url`, with the defaults: 10 connections, 2 seconds, notifications, no pooler.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connections_max: 10,
            timeout: Duration::from_secs(2),
            notifications: true,
            pooler: false,
        }
    }

    /// Checks the URL's form, without reaching for the database.
    ///
    /// # Errors
    /// When it is not the URL of a Postgres database.
    pub fn check(&self) -> Result<(), InvalidUrl> {
        self.parse().map(|_| ())
    }

    fn parse(&self) -> Result<PgConnectOptions, InvalidUrl> {
        let known = ["postgres://", "postgresql://"].iter().any(|scheme| self.url.starts_with(scheme));
        if !known {
            return Err(InvalidUrl);
        }
        PgConnectOptions::from_str(&self.url).map_err(|_| InvalidUrl)
    }

    /// What the pool's connections are opened with.
    pub(super) fn for_pool(&self) -> Result<PgConnectOptions, StoreError> {
        let options = self.for_migrations()?;
        if self.pooler {
            return Ok(options.statement_cache_capacity(0).extra_float_digits(None));
        }
        // The server gives up when we do. Our own limit comes first where the network is cut; this one frees the locks there.
        let limit_ms = self.timeout.as_millis().clamp(1, i32::MAX.unsigned_abs().into()).to_string();
        Ok(options.options([
            ("statement_timeout", limit_ms.as_str()),
            ("lock_timeout", limit_ms.as_str()),
            ("idle_in_transaction_session_timeout", limit_ms.as_str()),
        ]))
    }

    /// What migrations and the listener are opened with: they may take longer.
    pub(super) fn for_migrations(&self) -> Result<PgConnectOptions, StoreError> {
        let options = self.parse().map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        Ok(match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("chaperone"),
        })
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("url", &"(hidden)")
            .field("connections_max", &self.connections_max)
            .field("timeout", &self.timeout)
            .field("notifications", &self.notifications)
            .field("pooler", &self.pooler)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_the_password() {
        let options = PostgresOptions::new("postgres://chaperone:hunter2@db/chaperone");
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[test]
    fn text_that_is_no_postgres_url_is_refused() {
        for url in ["", "db", "mysql://db/chaperone", "postgres://user@host:notaport/db", "/var/lib/chaperone.db"] {
            assert_eq!(PostgresOptions::new(url).check(), Err(InvalidUrl), "{url}");
        }
        assert_eq!(PostgresOptions::new("postgresql://db/chaperone").check(), Ok(()));
    }
}
