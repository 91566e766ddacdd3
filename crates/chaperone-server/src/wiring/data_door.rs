//! The data plane's door: who serves its connections, and how.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt as _;
use futures_util::future::FusedFuture as _;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;

use super::Parts;
use super::calls::{Calls, Turns};
use super::doors::{HEADER_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, reflection};
use crate::causes::causes;
use crate::config::{DataConfig, RuntimeMode};
use crate::grpc::data_plane::DataPlane;
use crate::grpc::decision_server::DecisionServer;
use crate::grpc::decisions::Decisions;
use crate::grpc::ext_authz::ExtAuthz;
use crate::listener::{Conn, ListenOptions, Listener, Workers};
use crate::shutdown::Shutdown;

/// Serves the data plane until shutdown closes its door. The tasks in `planes` end when what was in flight has ended.
pub(super) fn open(
    listener: Listener,
    options: ListenOptions,
    config: &DataConfig,
    parts: &Parts,
    health: HealthServer<HealthService>,
    planes: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let door = Door {
        plane: Arc::new(data_plane(config, parts, health)),
        shutdown: parts.shutdown.clone(),
        max_streams: config.max_streams,
        runtime: config.runtime,
    };
    let serve = move |conn| door.clone().serve(conn);
    let workers = match config.runtime {
        RuntimeMode::Shared => Workers::shared(serve, planes),
        RuntimeMode::PerCore => Workers::threads(config.worker_count(), &serve, planes)?,
    };
    let shutdown = parts.shutdown.clone();
    planes.spawn(listener.hand_to(workers, options, async move { shutdown.closing().await })?);
    Ok(())
}

fn data_plane(config: &DataConfig, parts: &Parts, health: HealthServer<HealthService>) -> DataPlane {
    let decisions = Decisions::new(Arc::clone(&parts.pdp), parts.shutdown.clone());
    let decisions = DecisionServer::new(decisions, config.max_message_bytes);
    let mut routes = Routes::builder();
    routes.add_service(decisions).add_service(health);
    if let Some(reflection) = reflection() {
        routes.add_service(reflection);
    }
    DataPlane {
        checks: ExtAuthz::new(Arc::clone(&parts.pdp)),
        routes: routes.routes().prepare(),
        message_bytes_max: config.max_message_bytes,
        default_deadline: config.default_deadline,
    }
}

/// How connections are served.
#[derive(Clone, Debug)]
struct Door {
    plane: Arc<DataPlane>,
    shutdown: Shutdown,
    max_streams: u32,
    runtime: RuntimeMode,
}

impl Door {
    /// Serves one connection. After shutdown it takes no new calls, and ends with those in flight.
    async fn serve(self, conn: Conn) {
        let peer = conn.peer().clone();
        let remote_addr = peer.remote_addr;
        let called = Arc::new((self.plane, peer));
        let service = service_fn(move |request| {
            let called = Arc::clone(&called);
            async move {
                let (plane, peer) = &*called;
                Ok::<_, Infallible>(plane.call(request, peer).await)
            }
        });
        let calls = match self.runtime {
            RuntimeMode::Shared => Calls::Spawned,
            RuntimeMode::PerCore => Calls::Gathered(Arc::default()),
        };
        let mut turns = Turns::of(&calls);
        let mut connection = pin!(
            http2::Builder::new(calls)
                .timer(TokioTimer::new())
                .max_concurrent_streams(self.max_streams)
                .keep_alive_interval(KEEPALIVE_INTERVAL)
                .keep_alive_timeout(KEEPALIVE_TIMEOUT)
                .max_header_list_size(HEADER_BYTES_MAX)
                // gRPC has no use for the date.
                .auto_date_header(false)
                .serve_connection(TokioIo::new(conn), service)
        );
        let mut closing = pin!(self.shutdown.closing().fuse());
        let served = poll_fn(|cx| {
            if !closing.is_terminated() && closing.as_mut().poll(cx).is_ready() {
                connection.as_mut().graceful_shutdown();
            }
            loop {
                if let Poll::Ready(served) = connection.as_mut().poll(cx) {
                    return Poll::Ready(served);
                }
                // Whatever they answer is only written when the connection is asked again.
                if !turns.run(cx) {
                    return Poll::Pending;
                }
            }
        });
        if let Err(error) = served.await {
            tracing::debug!(door = "data", peer.address = %remote_addr, error = causes(&error), "a connection ended badly");
        }
    }
}
