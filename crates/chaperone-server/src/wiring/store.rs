//! Opening the store that the configuration names.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chaperone_store::{EmbeddedStore, PostgresOptions, PostgresStore, Store, StoreError, TrailStore};
use tokio_util::sync::CancellationToken;

use crate::causes::causes;
use crate::config::{StoreBackend, StoreConfig, StoreUrl};
use crate::replica::Follower;

/// How long to wait between two attempts to reach a store that is not there.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The migrations that `migrate` applied, by name; none when the schema was current.
pub type AppliedMigrations = Vec<String>;

/// An open store.
#[derive(Debug)]
pub(super) struct OpenStore {
    pub(super) store: Arc<dyn Store>,
    /// Where the records of all replicas come together, where the store has a place for them.
    pub(super) trail: Option<Arc<dyn TrailStore>>,
}

/// Opens the store. PostgreSQL may be absent: it is looked for by [`follow`], while the doors are open and answer that nothing can be
/// decided.
pub(super) async fn open(config: &StoreConfig) -> anyhow::Result<OpenStore> {
    let url = config.url().map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let path = match url.backend() {
        StoreBackend::Postgres(_) => {
            let store = Arc::new(PostgresStore::open(&options(config, &url))?);
            return Ok(OpenStore { store: Arc::clone(&store) as Arc<dyn Store>, trail: Some(store) });
        }
        StoreBackend::File(path) => Some(path),
        StoreBackend::Memory => None,
    };
    let store = EmbeddedStore::open(path).await.context("the embedded store")?;
    Ok(OpenStore { store: Arc::new(store), trail: None })
}

/// Follows the store, once its schema is known to be this program's.
pub(super) async fn follow(store: Arc<dyn Store>, follower: Follower, stop: CancellationToken) -> anyhow::Result<()> {
    let mut pause = RETRY_MIN;
    loop {
        match store.check_schema().await {
            Ok(()) => break,
            Err(StoreError::Schema(error)) => return Err(error.into()),
            Err(error) => {
                tracing::error!(
                    error = causes(&error),
                    retry_in_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                    "the store cannot be reached; nothing is decided until it can"
                );
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(RETRY_MAX);
    }
    follower.run(stop).await;
    Ok(())
}

/// Brings the store's schema to this program's.
///
/// # Errors
/// When the store cannot be reached, or its schema is newer or another.
pub async fn migrate(config: &StoreConfig) -> anyhow::Result<AppliedMigrations> {
    let url = config.url().map_err(|problem| anyhow::anyhow!("{problem}"))?;
    match url.backend() {
        StoreBackend::Postgres(_) => Ok(PostgresStore::migrate(&options(config, &url)).await?),
        // The embedded store migrates itself when it is opened: nobody else uses its file.
        StoreBackend::File(path) => {
            EmbeddedStore::open(Some(path)).await?.close().await;
            Ok(Vec::new())
        }
        StoreBackend::Memory => Ok(Vec::new()),
    }
}

fn options(config: &StoreConfig, url: &StoreUrl) -> PostgresOptions {
    PostgresOptions {
        connections_max: config.connections,
        timeout: config.timeout,
        notifications: config.notify,
        ..PostgresOptions::new(url.reveal())
    }
}
