//! Real upstreams: HTTP, gRPC and TCP. Each tells what reached it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Interceptor;

/// How much of a body comes back.
const BODY_SHOWN_BYTES_MAX: usize = 1024;

/// A server in this process that ends with the test, and counts what reaches it.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    count: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Upstream {
    /// An HTTP server that answers every request with what it received: `method`, `target`, `headers` (names and values in order, as a list of
    /// pairs), `body` and `body_bytes`.
    pub async fn http() -> Self {
        let (listener, address, count) = listen().await;
        let router = Router::new()
            .fallback(echo)
            .layer(axum::extract::DefaultBodyLimit::max(16 * 1024 * 1024))
            .with_state(Arc::clone(&count));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("the upstream serves") });
        Self { address, count, task }
    }

    /// A gRPC server with the standard health service.
    pub async fn grpc() -> Self {
        let (listener, address, count) = listen().await;
        let (_reporter, health) = tonic_health::server::health_reporter();
        let counter = Counter(Arc::clone(&count));
        let task = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .layer(tonic::service::InterceptorLayer::new(counter))
                .add_service(health)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("the upstream serves");
        });
        Self { address, count, task }
    }

    /// A TCP server that sends back what it receives.
    pub async fn tcp() -> Self {
        let (listener, address, count) = listen().await;
        let connections = Arc::clone(&count);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    // Either side may go at any time.
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                });
            }
        });
        Self { address, count, task }
    }

    /// How many requests, calls or connections reached it.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The values of a header that the HTTP upstream says it received.
pub fn received(echo: &Value, name: &str) -> Vec<String> {
    let headers = echo["headers"].as_array().expect("the echo has headers");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    headers.iter().filter(|pair| pair[0] == name).map(|pair| text(&pair[1])).collect()
}

/// Sends `bytes` and reads as many back; `None` when the connection closes before.
pub async fn echo_over<S>(mut stream: S, bytes: &[u8]) -> Option<Vec<u8>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut back = vec![0; bytes.len()];
    stream.write_all(bytes).await.ok()?;
    stream.flush().await.ok()?;
    stream.read_exact(&mut back).await.ok()?;
    Some(back)
}

#[derive(Clone)]
struct Counter(Arc<AtomicU64>);

impl Interceptor for Counter {
    fn call(&mut self, request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(request)
    }
}

async fn listen() -> (TcpListener, SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address, Arc::new(AtomicU64::new(0)))
}

async fn echo(
    State(count): State<Arc<AtomicU64>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    count.fetch_add(1, Ordering::SeqCst);
    let headers: Vec<[String; 2]> = headers
        .iter()
        .map(|(name, value)| [name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()])
        .collect();
    let shown = &body[..body.len().min(BODY_SHOWN_BYTES_MAX)];
    let echo = json!({
        "method": method.as_str(),
        "target": uri.path_and_query().map(ToString::to_string),
        "headers": headers,
        "body": String::from_utf8_lossy(shown),
        "body_bytes": body.len(),
    });
    axum::response::Response::builder()
        .header("content-type", "application/json")
        .body(axum::body::Body::from(echo.to_string()))
        .expect("a response")
}
