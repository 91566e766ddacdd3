//! Opening the trail that the configuration describes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chaperone_store::TrailStore;
use chaperone_trail::{
    ChainId, Identity, JournalOptions, JournalSource, Keep, RecordSource, SigningKey, Trail, TrailOptions, TrailThread,
};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::causes::causes;
use crate::clock::Clock;
use crate::config::{ServeConfig, TrailAck, TrailDir};
use crate::telemetry::Metrics;
use crate::trail::{Kept, RedactionKey, Retention, Shipper, StoreSink, TrailWriter, WriterOptions, WriterState};

/// The signing key's file in the journal's directory, where none is configured.
const SIGNING_KEY: &str = "signing-key.pem";
/// The redaction key's file there.
const REDACTION_KEY: &str = "redaction-key";
/// How long the last records may take to be written, whatever the configuration says.
const FINISH_MIN: Duration = Duration::from_secs(2);

/// The trail of this process.
#[derive(Debug)]
pub(super) struct OpenTrail {
    pub(super) writer: TrailWriter,
    /// Where records are read: in the store, where all replicas' are; else in the journal.
    pub(super) records: Option<Arc<dyn RecordSource>>,
    tasks: Option<Tasks>,
}

#[derive(Debug)]
struct Tasks {
    thread: TrailThread,
    shipper: Option<JoinHandle<()>>,
    stop_shipper: CancellationToken,
    retention: Option<JoinHandle<()>>,
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
    store: Option<Arc<dyn TrailStore>>,
    clock: &Clock,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<OpenTrail> {
    let trail = &config.trail;
    if trail.ack == TrailAck::Off {
        let records = store.map(|store| store as Arc<dyn RecordSource>);
        return Ok(OpenTrail { writer: TrailWriter::off(), records, tasks: None });
    }
    let state = WriterState::new(Arc::clone(metrics));
    let (directory, temporary) = directory(config)?;
    let key = signing_key(config, &directory)?;
    let redaction_key = redaction_key(config, &directory, clock)?;
    let keep = match (trail.ack, &store) {
        (TrailAck::Store, Some(store)) => Keep::Sink(Box::new(StoreSink {
            store: Arc::clone(store),
            replica: replica.to_owned(),
            runtime: Handle::current(),
        })),
        (TrailAck::Store, None) => anyhow::bail!("--trail-ack store needs PostgreSQL"),
        (TrailAck::Durable | TrailAck::Enqueued | TrailAck::Off, _) => Keep::Journal(JournalOptions {
            directory,
            segment_bytes_max: trail.segment_bytes,
            quota_bytes: trail.quota_bytes,
        }),
    };
    let options = TrailOptions {
        keep,
        queue_bytes_max: trail.queue_bytes,
        checkpoint_interval: trail.checkpoint_interval,
        observer: Arc::new(state.clone()),
        ..TrailOptions::journal("")
    };
    let identity = Identity { replica: replica.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let new_chain = ChainId::new(clock.uuid());
    let now: chaperone_trail::Clock = {
        let clock = clock.clone();
        Arc::new(move || clock.now())
    };
    let started = tokio::task::spawn_blocking(move || Trail::start(options, identity, key, new_chain, now)).await?;
    let (chain, thread) = started.context(match trail.ack {
        TrailAck::Store => "the trail cannot be written to the store, which --trail-ack store needs from the start",
        TrailAck::Durable | TrailAck::Enqueued | TrailAck::Off => {
            "the trail cannot be written; --trail-dir says where, and must be this process's own"
        }
    })?;
    tracing::info!(trail.chain = %chain.chain(), trail.key = %chain.key(), "the trail is open");
    let segments = chain.segments().cloned();
    let stop_shipper = CancellationToken::new();
    let shipper = segments.clone().zip(store.clone()).map(|(segments, store)| {
        let (replica, clock, metrics) = (replica.to_owned(), clock.clone(), Arc::clone(metrics));
        tokio::spawn(Shipper { segments, store, replica, clock, metrics }.run(stop_shipper.clone()))
    });
    let kept = store.clone().map(Kept::Store).or(segments.clone().map(Kept::Journal));
    let retention = kept.map(|records| {
        let keep = Some(trail.retention).filter(|keep| !keep.is_zero());
        let retention = Retention { keep, records, clock: clock.clone(), metrics: Arc::clone(metrics) };
        tokio::spawn(retention.run(stop_shipper.clone()))
    });
    let records = match (store, segments) {
        (Some(store), _) => Some(store as Arc<dyn RecordSource>),
        (None, Some(segments)) => Some(Arc::new(JournalSource::new(segments)) as Arc<dyn RecordSource>),
        (None, None) => None,
    };
    let is_awaited = trail.ack != TrailAck::Enqueued;
    let options =
        WriterOptions { is_awaited, quota_bytes: trail.quota_bytes, redaction_key, limits: config.memory.limits() };
    let writer = TrailWriter::new(chain, state, Arc::clone(metrics), options);
    let tasks = Tasks { thread, shipper, stop_shipper, retention, _temporary: temporary };
    Ok(OpenTrail { writer, records, tasks: Some(tasks) })
}

/// Where the journal lies.
fn directory(config: &ServeConfig) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    let url = config.store.url().map_err(|problem| anyhow::anyhow!("{problem}"))?;
    match config.trail.place(&url) {
        TrailDir::At(directory) => Ok((directory, None)),
        TrailDir::Temporary => {
            let temporary = tempfile::Builder::new().prefix("chaperone-trail-").tempdir();
            let temporary = temporary.context("a temporary directory for the trail")?;
            Ok((temporary.path().to_owned(), Some(temporary)))
        }
    }
}

fn signing_key(config: &ServeConfig, directory: &Path) -> anyhow::Result<SigningKey> {
    match &config.trail.signing_key_file {
        Some(path) => SigningKey::load(path).context("--trail-signing-key-file"),
        None => SigningKey::load_or_create(&made_in(directory)?.join(SIGNING_KEY)).with_context(|| advice(directory)),
    }
}

fn redaction_key(config: &ServeConfig, directory: &Path, clock: &Clock) -> anyhow::Result<RedactionKey> {
    match &config.trail.redaction_key_file {
        Some(path) => RedactionKey::load(path).context("--trail-redaction-key-file"),
        None => RedactionKey::load_or_create(&made_in(directory)?.join(REDACTION_KEY), clock.random_32())
            .with_context(|| advice(directory)),
    }
}

/// The directory, which is made for its owner alone when it is not there.
fn made_in(directory: &Path) -> anyhow::Result<&Path> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).with_context(|| advice(directory))?;
    Ok(directory)
}

fn advice(directory: &Path) -> String {
    let directory = directory.display();
    format!("the trail's directory `{directory}` cannot be used; --trail-dir names another, which must be writable")
}

impl OpenTrail {
    /// Writes what waits, signs the end of the chain, stops, and ships what is left, until `deadline` at the latest.
    pub(super) async fn finish(self, deadline: Instant) {
        let Some(Tasks { thread, shipper, stop_shipper, retention, _temporary }) = self.tasks else { return };
        let deadline = deadline.max(Instant::now() + FINISH_MIN);
        if let Some(retention) = retention {
            retention.abort();
        }
        let stopped = tokio::task::spawn_blocking(move || thread.stop());
        match tokio::time::timeout_at(deadline, stopped).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                let error = causes(&error);
                tracing::error!(error, "the trail did not end in order; what was answered is on record all the same");
            }
            Ok(Err(_)) | Err(_) => {
                tracing::error!("the last records were not written in time; nobody was answered by them");
            }
        }
        stop_shipper.cancel();
        let Some(mut shipper) = shipper else { return };
        if tokio::time::timeout_at(deadline, &mut shipper).await.is_err() {
            shipper.abort();
            tracing::warn!(
                "some records are still in the journal only; they are shipped after the next start from its directory"
            );
        }
    }
}
