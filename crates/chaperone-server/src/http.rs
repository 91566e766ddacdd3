//! The HTTP door: `/livez`, `/readyz` and `/metrics`.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use tokio_stream::StreamExt as _;

use crate::causes::causes;
use crate::listener::{Conn, Incoming};
use crate::telemetry::Metrics;

/// How long a client may take to send its request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// After how long an HTTP/2 client is asked whether it is still there, and how long it may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Concurrent streams of one HTTP/2 connection.
const STREAMS_MAX: u32 = 16;
/// How long requests in flight may take when the door closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What must hold for this process to take traffic.
pub trait Readiness: Send + Sync + 'static {
    /// Every condition, by name; one that does not hold says why. All must hold.
    fn conditions(&self) -> Vec<(&'static str, Result<(), String>)>;
}

#[derive(Clone)]
struct Shared {
    readiness: Arc<dyn Readiness>,
    metrics: Arc<Metrics>,
}

/// The answer of `/readyz`.
#[derive(Serialize)]
struct ReadyBody {
    ready: bool,
    conditions: Vec<ConditionBody>,
}

#[derive(Serialize)]
struct ConditionBody {
    name: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// The door's routes.
pub fn router(readiness: Arc<dyn Readiness>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .with_state(Shared { readiness, metrics })
}

/// Serves `router` until `end`, and then until what is in flight has ended, or a second has passed.
pub async fn serve(mut incoming: Incoming, router: Router, end: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let builder = connection_builder();
    let mut end = pin!(end);
    loop {
        let conn = tokio::select! {
            Some(conn) = incoming.next() => conn,
            () = &mut end => break,
            else => break,
        };
        if let Ok(conn) = conn {
            serve_connection(&builder, &graceful, conn, router.clone());
        }
    }
    drop(incoming);
    // What is not done by then is cut off with the runtime.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, graceful.shutdown()).await;
}

fn connection_builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .max_concurrent_streams(STREAMS_MAX);
    builder
}

fn serve_connection(builder: &auto::Builder<TokioExecutor>, graceful: &GracefulShutdown, conn: Conn, router: Router) {
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection(TokioIo::new(conn), service).into_owned();
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = causes(&*error), "an HTTP connection ended early");
        }
    });
}

async fn live() -> &'static str {
    "ok\n"
}

async fn ready(State(shared): State<Shared>) -> Response {
    let conditions: Vec<_> = shared
        .readiness
        .conditions()
        .into_iter()
        .map(|(name, result)| ConditionBody { name, ok: result.is_ok(), message: result.err() })
        .collect();
    let ready = conditions.iter().all(|condition| condition.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_vec_pretty(&ReadyBody { ready, conditions }) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn scrape(State(shared): State<Shared>) -> Response {
    match shared.metrics.text() {
        Ok(text) => {
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            tracing::error!(error = causes(&error), "metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests;
