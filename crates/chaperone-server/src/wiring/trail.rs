//! Opening the trail that the configuration describes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chaperone_trail::{ChainId, Identity, JournalOptions, Keep, SigningKey, Trail, TrailOptions, TrailThread};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::{ServeConfig, TrailAck, TrailDir};
use crate::telemetry::Metrics;
use crate::trail::{TrailWriter, WriterState};

/// The signing key's file in the journal's directory, where none is configured.
const SIGNING_KEY: &str = "signing-key.pem";
/// How long the last records may take to be written, whatever the configuration says.
const FINISH_MIN: Duration = Duration::from_secs(2);

/// The trail of this process.
#[derive(Debug)]
pub(super) struct OpenTrail {
    pub(super) writer: TrailWriter,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    thread: TrailThread,
    /// Removed with everything in it when the process ends.
    _temporary: Option<TempDir>,
}

/// Opens the trail: goes on with the chain that the directory holds, or begins one.
///
/// # Errors
/// When the directory cannot be written, another process has it, or it is damaged.
pub(super) async fn open(
    config: &ServeConfig,
    replica: &str,
    clock: &Clock,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<OpenTrail> {
    let is_awaited = match config.trail.ack {
        TrailAck::Durable | TrailAck::Store => true,
        TrailAck::Enqueued => false,
        TrailAck::Off => return Ok(OpenTrail { writer: TrailWriter::off(), open: None }),
    };
    let state = WriterState::new(Arc::clone(metrics));
    let (options, key, temporary) = options(config, &state)?;
    let identity = Identity { replica: replica.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let new_chain = ChainId::new(clock.uuid());
    let now: chaperone_trail::Clock = {
        let clock = clock.clone();
        Arc::new(move || clock.now())
    };
    let started = tokio::task::spawn_blocking(move || Trail::start(options, identity, key, new_chain, now)).await?;
    let (trail, thread) =
        started.context("the trail cannot be written; --trail-dir says where, and must be this process's own")?;
    tracing::info!(trail.chain = %trail.chain(), trail.key = %trail.key(), "the trail is open");
    let writer = TrailWriter::new(trail, state, Arc::clone(metrics), is_awaited, config.trail.quota_bytes);
    Ok(OpenTrail { writer, open: Some(Open { thread, _temporary: temporary }) })
}

fn options(config: &ServeConfig, state: &WriterState) -> anyhow::Result<(TrailOptions, SigningKey, Option<TempDir>)> {
    let trail = &config.trail;
    let url = config.store.url().map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let (directory, temporary) = match trail.place(&url) {
        TrailDir::At(directory) => (directory, None),
        TrailDir::Temporary => {
            let temporary = tempfile::Builder::new().prefix("chaperone-trail-").tempdir();
            let temporary = temporary.context("a temporary directory for the trail")?;
            (temporary.path().to_owned(), Some(temporary))
        }
    };
    let key = signing_key(config, &directory)?;
    let keep = Keep::Journal(JournalOptions {
        directory,
        segment_bytes_max: trail.segment_bytes,
        quota_bytes: trail.quota_bytes,
    });
    let options = TrailOptions {
        keep,
        queue_bytes_max: trail.queue_bytes,
        checkpoint_interval: trail.checkpoint_interval,
        observer: Arc::new(state.clone()),
        ..TrailOptions::journal("")
    };
    Ok((options, key, temporary))
}

fn signing_key(config: &ServeConfig, directory: &Path) -> anyhow::Result<SigningKey> {
    if let Some(path) = &config.trail.signing_key_file {
        return SigningKey::load(path).context("--trail-signing-key-file");
    }
    let advice = || {
        format!(
            "the trail's directory `{}` cannot be used; --trail-dir names another, and it must be writable",
            directory.display()
        )
    };
    std::fs::create_dir_all(directory).with_context(advice)?;
    SigningKey::load_or_create(&directory.join(SIGNING_KEY)).with_context(advice)
}

impl OpenTrail {
    /// Writes what waits, signs the end of the chain, and stops, until `deadline` at the latest.
    pub(super) async fn finish(self, deadline: Instant) {
        let Some(Open { thread, _temporary }) = self.open else { return };
        let deadline = deadline.max(Instant::now() + FINISH_MIN);
        let stopped = tokio::task::spawn_blocking(move || thread.stop());
        match tokio::time::timeout_at(deadline, stopped).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the trail did not end in order; what was answered is on record all the same");
            }
            Ok(Err(_)) | Err(_) => {
                tracing::error!("the last records were not written in time; nobody was answered by them")
            }
        }
    }
}
