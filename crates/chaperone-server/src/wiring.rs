//! The one place where configuration becomes objects and tasks, in start-up order.

mod calls;
mod data_door;
mod doors;
mod store;
mod trail;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use store::{AppliedMigrations, migrate};

use crate::admin::approvals::Approvals;
use crate::admin::backfill::Backfill;
use crate::admin::bundles::Bundles;
use crate::admin::entities::Entities;
use crate::admin::rollouts::Rollouts;
use crate::admin::sessions::{SessionLimits, Sessions};
use crate::admin::signals::Signals;
use crate::admin::trail::TrailReading;
use crate::alerts::{Webhook, WebhookTask};
use crate::clock::Clock;
use crate::config::ServeConfig;
use crate::evaluator::Evaluator;
use crate::pdp::{Judge, Pdp};
use crate::recorder::{DecisionEvents, Recorder};
use crate::replica::{Age, Follower, FollowerTimes, Policies, Presence, Replica, StalenessLimits};
use crate::shadow::Shadow;
use crate::shutdown::{Drained, Shutdown};
use crate::telemetry::{Metrics, Telemetry};
use crate::trail::TrailWriter;

/// How long the last spans may take to be sent.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// A started server.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub addresses: Addresses,
    /// The session use cases.
    pub sessions: Sessions,
    /// The bundle use cases.
    pub bundles: Bundles,
    parts: Parts,
    recorder: Recorder,
    config: ServeConfig,
    telemetry: Telemetry,
    shutdown: Shutdown,
    doors: doors::Doors,
    webhook: Option<WebhookTask>,
    trail: trail::OpenTrail,
    follower: JoinHandle<anyhow::Result<()>>,
    presence: JoinHandle<()>,
    stop_follower: CancellationToken,
}

/// Where a server listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The data plane.
    pub data: SocketAddr,
    /// The admin plane.
    pub admin: SocketAddr,
    /// Health and metrics.
    pub http: SocketAddr,
}

/// What the doors give access to.
#[derive(Clone, Debug)]
struct Parts {
    pdp: Arc<Pdp>,
    replica: Arc<Replica>,
    sessions: Sessions,
    signals: Signals,
    approvals: Approvals,
    bundles: Bundles,
    rollouts: Rollouts,
    entities: Entities,
    trail: TrailReading,
    clock: Clock,
    writer: TrailWriter,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
}

/// Serves until a signal says to stop, then drains.
///
/// # Errors
/// When something that was configured cannot be had, or the store's schema is not this program's.
pub async fn serve(config: ServeConfig) -> anyhow::Result<()> {
    Server::start(config).await?.run().await
}

fn judge(config: &ServeConfig, evaluator: Evaluator) -> Judge {
    Judge { evaluator, limits: config.memory.limits(), on_token_reuse: config.alerts.on_token_reuse }
}

/// The bundle use cases, as configured.
///
/// # Errors
/// When a file or a solver that is named cannot be used.
fn with_rules(bundles: Bundles, config: &ServeConfig, trail: &TrailReading) -> anyhow::Result<Bundles> {
    let backfill = Backfill::new(trail.clone(), config.memory.limits(), config.bundles.backfill);
    let bundles = bundles.with_rules(config.bundles.rules().map_err(anyhow::Error::msg)?);
    Ok(bundles.with_analyzer(config.bundles.analyzer()).with_backfill(backfill))
}

impl Server {
    /// Starts everything. The doors are open when this returns; whether there is anything to decide with, `/readyz` tells.
    ///
    /// # Errors
    /// When something that was configured cannot be had.
    pub async fn start(config: ServeConfig) -> anyhow::Result<Self> {
        // Sockets first: a second server on the same address ends here, before it touches anything.
        let sockets = doors::Sockets::bind(&config)?;
        let clock = Clock::system();
        let replica_name = config.process.replica_name(&clock);
        let telemetry = Telemetry::init(&config.telemetry, &config.log, &replica_name)?;
        telemetry.metrics.observe_clock(&clock);
        for warning in config.warnings() {
            tracing::warn!(option = %warning.option, "{}", warning.message);
        }
        let store::OpenStore { store, trail: trail_store } = store::open(&config.store).await?;
        let limits = StalenessLimits { max: config.feed.max_staleness, grace: config.feed.stale_grace };
        let replica = Arc::new(Replica::new(store.clone(), config.sessions.cache_size, limits));
        let trail = trail::open(&config, &replica_name, trail_store, &clock, &telemetry.metrics).await?;
        let recorder = Recorder::new(Arc::clone(&telemetry.metrics), telemetry.spans.clone(), clock.clone())
            .with_trail(trail.writer.clone());
        let (recorder, webhook) = match config.alerts.webhook().map_err(anyhow::Error::msg)? {
            Some(options) => {
                let (webhook, task) = Webhook::start(options, &replica_name, &clock, &telemetry.metrics);
                (recorder.with_webhook(webhook), Some(task))
            }
            None => (recorder, None),
        };
        let shadow = Shadow::start(&replica, judge(&config, Evaluator::Compiled), &telemetry.metrics)?;
        let recorder = recorder.with_shadow(shadow.clone());
        let evaluator = Evaluator::start(&config.decisions, &telemetry.metrics)?;
        let pdp = Arc::new(Pdp::new(
            clock.clone(),
            Arc::clone(&replica),
            recorder.clone(),
            judge(&config, evaluator),
            config.data.concurrency,
            config.data.default_deadline,
        ));
        let session_limits = SessionLimits {
            default_lifetime: config.sessions.default_lifetime,
            max_lifetime: config.sessions.max_lifetime,
            require_binding: config.sessions.require_binding,
            tree: config.sessions.tree(),
        };
        let shutdown = Shutdown::new();
        let sessions = Sessions::new(Arc::clone(&replica), clock.clone(), trail.writer.clone(), session_limits);
        let reading = TrailReading::new(trail.records.clone());
        let bundles = Bundles::new(Arc::clone(&replica), clock.clone(), trail.writer.clone());
        let bundles = with_rules(bundles, &config, &reading)?;
        let parts = Parts {
            pdp,
            replica: Arc::clone(&replica),
            sessions: sessions.clone(),
            signals: Signals::new(sessions, config.memory.limits(), Arc::clone(&telemetry.metrics)),
            approvals: Approvals::new(
                Arc::clone(&replica),
                clock.clone(),
                trail.writer.clone(),
                config.memory.limits(),
                Arc::clone(&telemetry.metrics),
            ),
            rollouts: Rollouts::new(Arc::clone(&replica), bundles.clone(), shadow, clock.clone(), trail.writer.clone()),
            bundles,
            entities: Entities::new(Arc::clone(&replica), clock.clone(), trail.writer.clone()),
            trail: reading,
            clock: clock.clone(),
            writer: trail.writer.clone(),
            metrics: Arc::clone(&telemetry.metrics),
            shutdown: shutdown.clone(),
        };
        let times =
            FollowerTimes { poll_interval: config.feed.poll_interval, touch_interval: config.sessions.touch_interval };
        let stop_follower = CancellationToken::new();
        let presence = Presence::new(Arc::clone(&replica), clock.clone(), replica_name);
        let presence = tokio::spawn(presence.run(stop_follower.clone()));
        let follower = Follower::new(Arc::clone(&replica), clock, Arc::clone(&telemetry.metrics), times);
        let follower = tokio::spawn(store::follow(store, follower, stop_follower.clone()));
        let addresses = sockets.addresses();
        let doors = sockets.open(&config, &parts, &telemetry)?;
        tracing::info!(
            address.data = %addresses.data,
            address.admin = %addresses.admin,
            address.http = %addresses.http,
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );
        Ok(Self {
            addresses,
            sessions: parts.sessions.clone(),
            bundles: parts.bundles.clone(),
            parts,
            recorder,
            config,
            telemetry,
            shutdown,
            doors,
            webhook,
            trail,
            follower,
            presence,
            stop_follower,
        })
    }

    /// What is decided from now on.
    pub fn decisions(&self) -> DecisionEvents {
        self.recorder.events()
    }

    /// Waits until this replica has read its store once.
    pub async fn wait_until_loaded(&self) {
        self.parts.replica.loaded().await;
    }

    /// Serves until a signal says to stop, then drains: not ready, no new connections, what is in flight is answered, what is still to
    /// be stored is stored.
    ///
    /// # Errors
    /// When the store's schema is not this program's, or signals cannot be listened for.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut signals = tokio::spawn(self.shutdown.clone().on_signal(self.config.process.drain_delay));
        let closed = tokio::spawn({
            let shutdown = self.shutdown.clone();
            async move {
                shutdown.closing().await;
                tokio::time::Instant::now()
            }
        });
        let mut ended_early = None;
        let doors = async { while self.doors.planes.join_next().await.is_some() {} };
        tokio::select! {
            drained = self.shutdown.drain(doors, self.config.process.drain_timeout) => {
                if drained == Drained::TimedOut {
                    tracing::warn!("some calls were still in flight when the time to drain was over");
                }
            }
            ended = &mut self.follower => ended_early = Some(ended),
            Ok(Err(error)) = &mut signals => return Err(error).context("signals cannot be listened for"),
        }
        signals.abort();
        // What still runs could note uses after the last ones were stored.
        self.doors.abandon_planes().await;
        self.stop_follower.cancel();
        // It only ends by a panic otherwise, and nobody is served by it.
        let _ = self.presence.await;
        let outcome = match ended_early {
            Some(ended) => ended,
            None => self.follower.await,
        };
        let closed_at = if self.shutdown.is_closing() { closed.await.ok() } else { None };
        let deadline = closed_at.unwrap_or_else(tokio::time::Instant::now) + self.config.process.drain_timeout;
        if let Some(webhook) = self.webhook {
            webhook.finish(deadline).await;
        }
        // Nothing is decided any more: this is the end of the chain.
        self.trail.finish(deadline).await;
        self.doors.close_http().await;
        self.parts.replica.store().close().await;
        if !self.telemetry.shutdown(FLUSH_TIMEOUT).await {
            tracing::warn!("some spans could not be sent");
        }
        outcome.context("following the store")?
    }
}

impl crate::http::Readiness for Parts {
    fn conditions(&self) -> Vec<(&'static str, Result<(), String>)> {
        let bundle = match &**self.replica.policies() {
            Policies::Active(_) => Ok(()),
            Policies::None => Err("no bundle is active".to_owned()),
            Policies::Unusable(number) => Err(format!("bundle {number} cannot be used by this replica")),
        };
        let feed = match self.replica.freshness().judge(Instant::now()) {
            Age::Fresh | Age::Grace => Ok(()),
            Age::Stale => Err("the change feed was not read for too long".to_owned()),
        };
        let serving = if self.shutdown.is_draining() { Err("the server is stopping".to_owned()) } else { Ok(()) };
        vec![("bundle", bundle), ("feed", feed), ("serving", serving)]
    }
}

impl Parts {
    fn is_ready(&self) -> bool {
        crate::http::Readiness::conditions(self).iter().all(|(_, condition)| condition.is_ok())
    }

    /// Brings the gauges to what is so now.
    fn note_gauges(&self) {
        self.metrics.bundle_is(match &**self.replica.policies() {
            Policies::Active(snapshot) => Some(snapshot.number),
            Policies::None | Policies::Unusable(_) => None,
        });
        self.metrics.cached_sessions_are(self.replica.sessions().len());
        self.writer.note_gauges();
    }
}
