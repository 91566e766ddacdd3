//! The three doors: sockets, TLS, services and their limits.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chaperone_api::FILE_DESCRIPTOR_SET;
use chaperone_api::chaperone::v1::approval_service_server::ApprovalServiceServer;
use chaperone_api::chaperone::v1::entity_service_server::EntityServiceServer;
use chaperone_api::chaperone::v1::rollout_service_server::RolloutServiceServer;
use chaperone_api::chaperone::v1::session_service_server::SessionServiceServer;
use chaperone_api::chaperone::v1::trail_service_server::TrailServiceServer;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::{Addresses, Parts, data_door};
use crate::admin_auth::AdminAuth;
use crate::causes::causes;
use crate::config::ServeConfig;
use crate::grpc::approvals::ApprovalApi;
use crate::grpc::entities::EntityApi;
use crate::grpc::policies::PolicyApi;
use crate::grpc::policy_server::PolicyServer;
use crate::grpc::rollouts::RolloutApi;
use crate::grpc::sessions::SessionApi;
use crate::grpc::trail::TrailApi;
use crate::listener::{ListenOptions, Listener};
use crate::shutdown::Shutdown;
use crate::telemetry::Telemetry;
use crate::tls::{Protocols, Tls, TlsFiles};

/// How often the health service and the gauges look at the state.
const STATE_INTERVAL: Duration = Duration::from_millis(200);
/// How often an idle HTTP/2 connection is asked whether it still lives, and how long it may take to answer.
pub(super) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
pub(super) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How large the headers of a call may be.
pub(super) const HEADER_BYTES_MAX: u32 = 64 * 1024;

/// Bound sockets that nobody is served on yet.
#[derive(Debug)]
pub(super) struct Sockets {
    data: Listener,
    admin: Listener,
    http: Listener,
}

/// Doors that are served on.
#[derive(Debug)]
pub(super) struct Doors {
    /// The data and the admin plane. They end when shutdown has closed them and what was in flight has ended.
    pub(super) planes: JoinSet<()>,
    http: JoinHandle<()>,
    stop_http: CancellationToken,
}

impl Doors {
    /// Ends what is still in flight on the planes.
    pub(super) async fn abandon_planes(&mut self) {
        self.planes.shutdown().await;
    }

    /// Closes the HTTP door, which is the last: while the planes drain, probes and scrapes still see it.
    pub(super) async fn close_http(self) {
        self.stop_http.cancel();
        // It bounds itself, and has no result.
        let _ = self.http.await;
    }
}

impl Sockets {
    /// Binds every socket.
    pub(super) fn bind(config: &ServeConfig) -> anyhow::Result<Self> {
        let data = Listener::bind(config.data.listen)?;
        let admin = Listener::bind(config.admin.listen)?;
        let http = Listener::bind(config.http.listen)?;
        Ok(Self { data, admin, http })
    }

    /// Where they are.
    pub(super) fn addresses(&self) -> Addresses {
        let [data, admin, http] = [&self.data, &self.admin, &self.http].map(Listener::local_addr);
        Addresses { data, admin, http }
    }

    /// Serves on them until shutdown closes the doors. The returned tasks end when what was in flight has ended.
    pub(super) fn open(self, config: &ServeConfig, parts: &Parts, telemetry: &Telemetry) -> anyhow::Result<Doors> {
        let mut planes = JoinSet::new();
        let reporter = HealthReporter::new();
        let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        tokio::spawn(report(parts.clone(), reporter));

        let tls = load_tls(config.data.tls(), Protocols::Grpc).context("data plane TLS")?;
        let options =
            ListenOptions::new("data", tls, config.data.max_connections).allowing(&config.data.allowed_clients);
        data_door::open(self.data, options, &config.data, parts, health.clone(), &mut planes)?;

        let tls = load_tls(config.admin.tls(), Protocols::Grpc).context("admin plane TLS")?;
        let options = ListenOptions::new("admin", tls, config.admin.max_connections);
        let incoming = self.admin.incoming(options)?;
        let auth = AdminAuth::new(&config.admin).context("admin plane authentication")?;
        tokio::spawn(auth.clone().watch());
        planes.spawn(serve_admin(config.clone(), parts.clone(), auth, health, incoming));

        let tls = load_tls(config.http.tls(), Protocols::Http).context("HTTP TLS")?;
        let options = ListenOptions::new("http", tls, config.http.max_connections);
        let incoming = self.http.incoming(options)?;
        let router = crate::http::router(Arc::new(parts.clone()), Arc::clone(&telemetry.metrics));
        let stop_http = CancellationToken::new();
        let http = tokio::spawn(crate::http::serve(incoming, router, stop_http.clone().cancelled_owned()));
        Ok(Doors { planes, http, stop_http })
    }
}

async fn serve_admin(
    config: ServeConfig,
    parts: Parts,
    auth: AdminAuth,
    health: HealthServer<HealthService>,
    incoming: crate::listener::Incoming,
) {
    let limit = config.admin.max_message_bytes;
    let stop = CancellationToken::new();
    let stop_watches = {
        let (shutdown, stop) = (parts.shutdown.clone(), stop.clone());
        async move {
            shutdown.closing().await;
            stop.cancel();
        }
    };
    tokio::spawn(stop_watches);
    let approvals = ApprovalApi::new(parts.approvals, Arc::clone(&parts.replica), stop.clone());
    let trail = TrailApi::new(parts.trail, stop.clone());
    let sessions = SessionApi::new(parts.sessions, parts.signals, parts.replica, parts.clock, stop);
    let served = server(config.admin.max_streams)
        .load_shed(true)
        .concurrency_limit_per_connection(config.admin.concurrency)
        .timeout(config.admin.timeout)
        .layer(auth)
        .add_service(SessionServiceServer::new(sessions).max_decoding_message_size(limit))
        .add_service(ApprovalServiceServer::new(approvals).max_decoding_message_size(limit))
        .add_service(PolicyServer::new(PolicyApi::new(parts.bundles), limit))
        .add_service(RolloutServiceServer::new(RolloutApi::new(parts.rollouts)).max_decoding_message_size(limit))
        .add_service(EntityServiceServer::new(EntityApi::new(parts.entities)).max_decoding_message_size(limit))
        .add_service(TrailServiceServer::new(trail).max_decoding_message_size(limit))
        .add_service(health)
        .add_optional_service(reflection())
        .serve_with_incoming_shutdown(incoming, closing(parts.shutdown))
        .await;
    if let Err(error) = served {
        tracing::error!(error = causes(&error), "the admin plane has ended");
    }
}

fn server(max_streams: u32) -> Server {
    Server::builder()
        .max_concurrent_streams(max_streams)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_header_list_size(HEADER_BYTES_MAX)
}

async fn closing(shutdown: Shutdown) {
    shutdown.closing().await;
}

pub(super) fn reflection()
-> Option<tonic_reflection::server::v1::ServerReflectionServer<impl tonic_reflection::server::v1::ServerReflection>> {
    let service = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    service.inspect_err(|error| tracing::error!(%error, "reflection is not served")).ok()
}

fn load_tls(files: Option<TlsFiles>, protocols: Protocols) -> anyhow::Result<Option<Tls>> {
    Ok(files.map(|files| Tls::load(files, protocols)).transpose()?)
}

/// Keeps the health service and the gauges as the state is.
async fn report(parts: Parts, mut reporter: HealthReporter) {
    const SERVICES: [&str; 9] = [
        "",
        "envoy.service.auth.v3.Authorization",
        "chaperone.v1.DecisionService",
        "chaperone.v1.SessionService",
        "chaperone.v1.ApprovalService",
        "chaperone.v1.PolicyService",
        "chaperone.v1.RolloutService",
        "chaperone.v1.EntityService",
        "chaperone.v1.TrailService",
    ];
    let mut last = None;
    loop {
        let status = match (parts.shutdown.is_closing(), parts.is_ready()) {
            // Those who watch a status would hold up the drain; they stop when there is none any more.
            (true, _) => None,
            (false, true) => Some(ServingStatus::Serving),
            (false, false) => Some(ServingStatus::NotServing),
        };
        if last != Some(status) {
            for service in SERVICES {
                match status {
                    Some(status) => reporter.set_service_status(service, status).await,
                    None => reporter.clear_service_status(service).await,
                }
            }
            last = Some(status);
        }
        parts.note_gauges();
        tokio::time::sleep(STATE_INTERVAL).await;
    }
}
