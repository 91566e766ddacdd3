//! What loads have in common that h2load cannot make: their session, their connections, and what they report.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use chaperone_api::chaperone::v1::SessionServiceOpenRequest;
use chaperone_api::envoy::service::auth::v3::CheckResponse;
use chaperone_policy::{Binding, EntityRef, HandleHash, Scope, Session, SessionHandle, SessionId, Task, Timestamp};
use h2::client::SendRequest;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::{admin, frame};

/// The target of the request that is checked.
pub const PATH: &str = "/documents/42?format=csv&rows=250&cost=12.50";

/// Where Envoy asks.
pub const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// How long a session lasts that was put into a store: longer than a bench.
const STORED_FOR: Duration = Duration::from_hours(24);

/// Connections that a load has open.
pub const CONNECTIONS: usize = 8;

/// How much may be received on a connection and not be read yet, in bytes.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Ends the program at the first panic, of whatever task: one check that fails makes the figures worthless.
pub fn fail_fast() {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        std::process::exit(1);
    }));
}

/// A session that may do what the loads ask for.
pub fn session() -> SessionServiceOpenRequest {
    SessionServiceOpenRequest {
        binding: Some(admin::bound_to(frame::CALLER)),
        labels: ["internal", "pii"].map(str::to_owned).into(),
        ..admin::agent("reader")
    }
}

/// The same session as [`session`] opens, one of many, as a store keeps it; and what presents it. For a store that nobody can reach:
/// the handle is no secret.
#[expect(
    clippy::disallowed_methods,
    reason = "no clock of the server is at hand where a store is filled before it starts"
)]
pub fn stored_session(number: u32) -> (Session, HandleHash, String) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let now = Timestamp::from_micros(i64::try_from(now.as_micros()).expect("it is before the year 294000"));
    let id = SessionId::new(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + u128::from(number)));
    let request = session();
    let task = request.task.expect("it has a task");
    let principal = request.principal.expect("it has a principal");
    let handle = SessionHandle::from_random(Sha256::digest(number.to_be_bytes()).into());
    let session = Session {
        id,
        tree: id,
        parent: None,
        depth: 0,
        principal: EntityRef::new(&principal.r#type, &principal.id),
        owner: request.owner,
        task: Task { id: task.id, purpose: task.purpose },
        labels: request.labels.into_iter().collect(),
        scope: Scope::Unrestricted,
        binding: Binding { spiffe_id: request.binding.map(|binding| binding.spiffe_id), ..Binding::default() },
        opened_at: now,
        expires_at: now.plus(STORED_FOR),
        idle_timeout: None,
        last_used_at: now,
        ended: None,
        version: 1,
    };
    (session, handle.hash(), handle.reveal())
}

/// A connection that carries checks as Envoy sends them.
#[derive(Clone)]
pub struct Caller {
    requests: SendRequest<Bytes>,
    uri: http::Uri,
}

impl Caller {
    /// Connects in plain text.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP connection");
        let mut settings = h2::client::Builder::new();
        // Answers are small, and many may wait to be read: with the default window, h2 takes that for an attack.
        settings.initial_connection_window_size(CONNECTION_WINDOW);
        let (requests, connection) = settings.handshake(stream).await.expect("the server speaks HTTP/2");
        // Should it fail, then so do its requests.
        tokio::spawn(connection);
        let uri = format!("http://{address}{CHECK}");
        Self { requests, uri: uri.parse().expect("a URI") }
    }

    /// Sends a framed check, and waits for its answer, which must be an allow.
    pub async fn check(&self, frame: Bytes) {
        let request = http::Request::post(self.uri.clone())
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", "10S")
            .body(())
            .expect("a request");
        let mut requests = self.requests.clone().ready().await.expect("the connection holds");
        let (answer, mut stream) = requests.send_request(request, false).expect("the connection holds");
        stream.send_data(frame, true).expect("the connection holds");
        let mut body = answer.await.expect("an answer").into_body();
        let mut message = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data.expect("the connection holds");
            body.flow_control().release_capacity(data.len()).expect("it was received");
            message.extend_from_slice(&data);
        }
        let trailers = body.trailers().await.expect("the connection holds").unwrap_or_default();
        let message = message.get(5..).unwrap_or_else(|| panic!("no answer but {trailers:?}"));
        let status = CheckResponse::decode(message).expect("a CheckResponse").status.expect("a status");
        assert_eq!(status.code, 0, "{}", status.message);
    }
}

/// So many connections to one server.
pub async fn connect(address: SocketAddr) -> Vec<Caller> {
    let mut callers = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        callers.push(Caller::connect(address).await);
    }
    callers
}

/// Prints how long a load took, and the percentiles of these latencies, as one line of JSON.
pub fn report(mut latencies: Vec<Duration>, elapsed: Duration) {
    latencies.sort_unstable();
    let micros = |percent| percentile(&latencies, percent).map(|latency| latency.as_micros());
    let line = serde_json::json!({
        "elapsed_s": elapsed.as_secs_f64(),
        "p50_us": micros(50),
        "p99_us": micros(99),
    });
    println!("{line}");
}

/// Of times that are sorted; `None` where there are none.
pub fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied()
}
