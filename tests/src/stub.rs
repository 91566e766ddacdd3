//! A stand-in for Chaperone that answers what a test tells it: for what Envoy does with an answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use chaperone_api::envoy::service::auth::v3::authorization_server::{Authorization, AuthorizationServer};
use chaperone_api::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

type Answer = Box<dyn Fn(&CheckRequest) -> Result<CheckResponse, Status> + Send + Sync>;

/// An ext_authz server in this process.
pub struct Stub {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    answer: Answer,
    checks: Mutex<Vec<CheckRequest>>,
}

impl Stub {
    /// Starts a server that answers every check by `answer`.
    pub async fn start(
        answer: impl Fn(&CheckRequest) -> Result<CheckResponse, Status> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State { answer: Box::new(answer), checks: Mutex::default() });
        let service = AuthorizationServer::from_arc(Arc::new(Service(Arc::clone(&state))));
        // Envoy asks after its health.
        let (_reporter, health) = tonic_health::server::health_reporter();
        let task = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(health)
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("the stub serves");
        });
        Self { address, state, task }
    }

    /// The checks that it was asked, in order.
    pub fn checks(&self) -> Vec<CheckRequest> {
        self.state.checks.lock().expect("no test panics with the lock").clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Service(Arc<State>);

#[tonic::async_trait]
impl Authorization for Service {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        let answer = (self.0.answer)(&request);
        self.0.checks.lock().expect("no test panics with the lock").push(request);
        answer.map(Response::new)
    }
}
