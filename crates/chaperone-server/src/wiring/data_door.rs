//! The data plane's door: who serves its connections, and how.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;

use super::Parts;
use super::doors::{HEADER_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, reflection};
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
    let shutdown = parts.shutdown.clone();
    let plane = Arc::new(data_plane(config, parts, health));
    let max_streams = config.max_streams;
    let workers = match config.runtime {
        RuntimeMode::Shared => {
            let http2 = http2(max_streams, Spawning::Always);
            Workers::shared(move |conn| serve(conn, http2.clone(), Arc::clone(&plane), shutdown.clone()), planes)
        }
        RuntimeMode::PerCore => {
            let http2 = http2(max_streams, Spawning::WhenPending);
            let serve = move |conn| serve(conn, http2.clone(), Arc::clone(&plane), shutdown.clone());
            Workers::threads(config.worker_count(), &serve, planes)?
        }
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

fn http2(max_streams: u32, spawning: Spawning) -> http2::Builder<Spawning> {
    let mut http2 = http2::Builder::new(spawning);
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(max_streams)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_header_list_size(HEADER_BYTES_MAX)
        // gRPC has no use for the date.
        .auto_date_header(false);
    http2
}

/// Serves one connection. After shutdown it takes no new calls, and ends with those in flight.
async fn serve(conn: Conn, http2: http2::Builder<Spawning>, plane: Arc<DataPlane>, shutdown: Shutdown) {
    let peer = conn.peer().clone();
    let remote_addr = peer.remote_addr;
    let called = Arc::new((plane, peer));
    let service = service_fn(move |request| {
        let called = Arc::clone(&called);
        async move {
            let (plane, peer) = &*called;
            Ok::<_, Infallible>(plane.call(request, peer).await)
        }
    });
    let mut serving = pin!(http2.serve_connection(TokioIo::new(conn), service));
    let served = tokio::select! {
        biased;
        served = &mut serving => served,
        () = shutdown.closing() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        let error = &error as &dyn std::error::Error;
        tracing::debug!(door = "data", peer.address = %remote_addr, error, "a connection ended badly");
    }
}

/// Whether a call gets a task of its own.
#[derive(Clone, Copy, Debug)]
enum Spawning {
    /// Always, so that the calls of a connection are shared by threads.
    Always,
    /// Only when it has to wait. Most are answered at once, by the task that reads the connection: that is cheaper than a task each.
    WhenPending,
}

impl<F> Executor<F> for Spawning
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        match self {
            Self::Always => drop(tokio::spawn(call)),
            Self::WhenPending => {
                let mut call = Box::pin(call);
                // Nothing wakes it here: when it has to wait, its own task asks again at once, and waits.
                if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                    tokio::spawn(call);
                }
            }
        }
    }
}
