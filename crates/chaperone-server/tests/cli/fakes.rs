//! Stand-ins for the services, on a port of their own: they answer by the resource's id, and remember what they were asked.

use std::sync::{Arc, Mutex, MutexGuard};

use chaperone_api::chaperone::v1::decision_service_server::{DecisionService, DecisionServiceServer};
use chaperone_api::chaperone::v1::policy_service_server::{PolicyService, PolicyServiceServer};
use chaperone_api::chaperone::v1::session_service_server::{SessionService, SessionServiceServer};
use chaperone_api::chaperone::v1::trail_service_server::TrailServiceServer;
use chaperone_api::chaperone::v1::*;
use chaperone_api::google::rpc;
use chaperone_policy::BundleSource;
use chaperone_server::admin::trail::TrailReading;
use chaperone_server::grpc::trail::TrailApi;
use chaperone_trail::{MemorySource, Record, RecordSource, Sealed};
use prost::Message as _;
use prost_types::Timestamp;
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

pub const HANDLE: &str = "chp_handle";
pub const SESSION: &str = "0198c0de-0000-7000-8000-000000000001";

/// What the trail holds.
pub const STORY: &str = include_str!("../../../chaperone-trail/fixtures/story.jsonl");

type Answer<T> = Result<Response<T>, Status>;
type BoxStream<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What the services were asked.
#[derive(Default)]
pub struct Seen {
    pub checks: Vec<CheckRequest>,
    pub opens: Vec<SessionServiceOpenRequest>,
    pub revokes: Vec<(SessionServiceRevokeRequest, Option<String>)>,
    pub signals: Vec<SessionServiceSignalRequest>,
}

/// Running stand-ins; they stop when this is dropped.
pub struct Fakes {
    pub url: String,
    /// What the trail's service, which is the real one, reads.
    pub trail: Arc<MemorySource>,
    /// Ends the trail's streams.
    pub stop: CancellationToken,
    seen: Arc<Mutex<Seen>>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Clone)]
struct Fake(Arc<Mutex<Seen>>);

impl Fakes {
    pub fn start() -> Self {
        Self::start_with("http", Server::builder())
    }

    /// With TLS, for clients whose certificate the same authority made.
    pub fn start_with_tls(authority: &str, certificate: &str, key: &str) -> Self {
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(certificate, key))
            .client_ca_root(Certificate::from_pem(authority));
        Self::start_with("https", Server::builder().tls_config(tls).expect("a configuration"))
    }

    fn start_with(scheme: &str, mut server: Server) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("{scheme}://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let fake = Fake(Arc::clone(&seen));
        let (trail, stop) = (Arc::new(story()), CancellationToken::new());
        let source: Arc<dyn RecordSource> = trail.clone();
        let server = server
            .add_service(DecisionServiceServer::new(fake.clone()))
            .add_service(SessionServiceServer::new(fake.clone()))
            .add_service(PolicyServiceServer::new(fake))
            .add_service(TrailServiceServer::new(TrailApi::new(TrailReading::new(Some(source)), stop.clone())))
            .serve_with_incoming(TcpListenerStream::new(listener));
        runtime.spawn(server);
        Self { url, trail, stop, seen, _runtime: runtime }
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no test panicked in it")
    }
}

/// One chain of a session, of a child, and of somebody else.
fn story() -> MemorySource {
    STORY.lines().map(|line| sealed(line.as_bytes())).collect()
}

/// The bundle of every number: one that does not compile.
pub fn broken_bundle() -> BundleSource {
    BundleSource { files: [("policies/main.cedar".to_owned(), "permit (".to_owned())].into() }
}

/// A record from its bytes.
pub fn sealed(bytes: &[u8]) -> Sealed {
    let record = Record::parse(bytes).expect("a record");
    Sealed { chain: record.chain, seq: record.seq, bytes: bytes.to_vec() }
}

fn decision(outcome: i32, code: &str, policy: &str, reason: &str) -> Decision {
    Decision {
        outcome,
        decision_id: "0198c0de-0000-7000-8000-000000000009".to_owned(),
        code: code.to_owned(),
        reason: reason.to_owned(),
        policies: vec![DeterminingPolicy { id: policy.to_owned(), reason: reason.to_owned(), failure: String::new() }],
        session_id: SESSION.to_owned(),
        bundle_number: 7,
        decided_at: Some(Timestamp { seconds: 1_769_860_800, nanos: 0 }),
        effects: Vec::new(),
        challenge: None,
        delegation: None,
        report_until: None,
    }
}

fn session(state: SessionState) -> Session {
    Session {
        id: SESSION.to_owned(),
        tree_id: SESSION.to_owned(),
        state: state.into(),
        version: 1,
        ..Session::default()
    }
}

/// Of a session with a label, a risk and a counter.
fn memory() -> SessionMemory {
    let window = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let amount = Some(Value { kind: Some(value::Kind::Long(3)) });
    let session = Memory {
        labels: vec!["pii".to_owned()],
        risk: 20,
        counts: vec![MemoryCount { name: "exports/1h".to_owned(), amount, window }],
        version: 2,
        ..Memory::default()
    };
    SessionMemory { session: Some(session), risk: 20, ..SessionMemory::default() }
}

#[tonic::async_trait]
impl DecisionService for Fake {
    async fn check(&self, request: Request<CheckRequest>) -> Answer<CheckResponse> {
        let request = request.into_inner();
        let resource = request.action.as_ref().and_then(|action| action.resource.clone()).unwrap_or_default();
        self.0.lock().expect("no panic").checks.push(request);
        let decision = match resource.id.as_str() {
            "secret" => decision(Outcome::Deny.into(), "forbidden", "no-secrets", "secrets stay here"),
            "asks" => decision(Outcome::Challenge.into(), "step_up_required", "p", "r"),
            "unknown-outcome" => decision(4, "other", "p", "r"),
            "slow" => std::future::pending().await,
            "stale" => {
                let details = ErrorDetails::with_error_info("STALE", "chaperone", [] as [(String, String); 0]);
                return Err(Status::with_error_details(Code::Unavailable, "state is too old to decide with", details));
            }
            _ => decision(Outcome::Allow.into(), "permitted", "agents-read", "agents may read"),
        };
        Ok(Response::new(CheckResponse { decision: Some(decision) }))
    }

    async fn report(&self, _: Request<ReportRequest>) -> Answer<ReportResponse> {
        Err(Status::unimplemented(""))
    }

    async fn check_batch(&self, _: Request<CheckBatchRequest>) -> Answer<CheckBatchResponse> {
        Err(Status::unimplemented(""))
    }

    type CheckStreamStream = BoxStream<CheckStreamResponse>;

    async fn check_stream(&self, _: Request<Streaming<CheckStreamRequest>>) -> Answer<Self::CheckStreamStream> {
        Err(Status::unimplemented(""))
    }
}

#[tonic::async_trait]
impl SessionService for Fake {
    async fn open(&self, request: Request<SessionServiceOpenRequest>) -> Answer<SessionServiceOpenResponse> {
        let request = request.into_inner();
        if request.principal.as_ref().is_some_and(|principal| principal.r#type == "Robot") {
            let mut details = ErrorDetails::with_error_info("INVALID_FIELD", "chaperone", [] as [(String, String); 0]);
            details.add_bad_request_violation("principal.type", "not in the schema");
            return Err(Status::with_error_details(Code::InvalidArgument, "a field is not valid", details));
        }
        self.0.lock().expect("no panic").opens.push(request);
        let session = Some(session(SessionState::Active));
        Ok(Response::new(SessionServiceOpenResponse { session, handle: HANDLE.to_owned() }))
    }

    async fn get(&self, _: Request<SessionServiceGetRequest>) -> Answer<SessionServiceGetResponse> {
        let session = Some(session(SessionState::Active));
        Ok(Response::new(SessionServiceGetResponse { session, memory: Some(memory()) }))
    }

    async fn list(&self, _: Request<SessionServiceListRequest>) -> Answer<SessionServiceListResponse> {
        Ok(Response::new(SessionServiceListResponse::default()))
    }

    async fn renew(&self, _: Request<SessionServiceRenewRequest>) -> Answer<SessionServiceRenewResponse> {
        Err(Status::unimplemented(""))
    }

    async fn complete(&self, _: Request<SessionServiceCompleteRequest>) -> Answer<SessionServiceCompleteResponse> {
        Err(Status::unimplemented(""))
    }

    async fn revoke(&self, request: Request<SessionServiceRevokeRequest>) -> Answer<SessionServiceRevokeResponse> {
        let authorization = request.metadata().get("authorization");
        let authorization = authorization.map(|value| value.to_str().expect("ASCII").to_owned());
        self.0.lock().expect("no panic").revokes.push((request.into_inner(), authorization));
        Ok(Response::new(SessionServiceRevokeResponse { revoked_count: 3 }))
    }

    async fn signal(&self, request: Request<SessionServiceSignalRequest>) -> Answer<SessionServiceSignalResponse> {
        let request = request.into_inner();
        let duplicate = request.event_id == "known";
        self.0.lock().expect("no panic").signals.push(request);
        let session = Some(session(SessionState::Active));
        Ok(Response::new(SessionServiceSignalResponse { duplicate, session, memory: Some(memory()) }))
    }

    type WatchStream = BoxStream<SessionServiceWatchResponse>;

    async fn watch(&self, request: Request<SessionServiceWatchRequest>) -> Answer<Self::WatchStream> {
        if request.metadata().contains_key("grpc-timeout") {
            return Err(Status::invalid_argument("a watch has no deadline"));
        }
        let changes = [SessionState::Active, SessionState::Revoked];
        let changes = changes.map(|state| Ok(SessionServiceWatchResponse { session: Some(session(state)) }));
        Ok(Response::new(Box::pin(tokio_stream::iter(changes))))
    }
}

#[tonic::async_trait]
impl PolicyService for Fake {
    async fn upload(&self, request: Request<PolicyServiceUploadRequest>) -> Answer<PolicyServiceUploadResponse> {
        let file = request.into_inner().files.pop().unwrap_or_default();
        let problem =
            chaperone_policy::Problem::at(&file.path, &file.content, 17, 1, "policy_syntax", "unexpected `)`");
        let problem = Problem {
            file: problem.file,
            line: problem.line,
            column: problem.column,
            code: problem.code.to_owned(),
            message: problem.message,
            excerpt: problem.excerpt,
            help: String::new(),
        };
        // So many that they do not fit into headers of the usual size.
        let problems = vec![problem; 500];
        let response = PolicyServiceValidateResponse { problems, ..PolicyServiceValidateResponse::default() };
        let detail = prost_types::Any {
            type_url: "type.googleapis.com/chaperone.v1.PolicyServiceValidateResponse".to_owned(),
            value: response.encode_to_vec(),
        };
        let status = rpc::Status { code: 3, message: String::new(), details: vec![detail] };
        Err(Status::with_details(Code::InvalidArgument, "the bundle has problems", status.encode_to_vec().into()))
    }

    async fn validate(&self, _: Request<PolicyServiceValidateRequest>) -> Answer<PolicyServiceValidateResponse> {
        Err(Status::unimplemented(""))
    }

    async fn activate(&self, _: Request<PolicyServiceActivateRequest>) -> Answer<PolicyServiceActivateResponse> {
        Err(Status::unimplemented(""))
    }

    async fn rollback(&self, _: Request<PolicyServiceRollbackRequest>) -> Answer<PolicyServiceRollbackResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list(&self, _: Request<PolicyServiceListRequest>) -> Answer<PolicyServiceListResponse> {
        Err(Status::unimplemented(""))
    }

    async fn history(&self, _: Request<PolicyServiceHistoryRequest>) -> Answer<PolicyServiceHistoryResponse> {
        Err(Status::unimplemented(""))
    }

    async fn diff(&self, _: Request<PolicyServiceDiffRequest>) -> Answer<PolicyServiceDiffResponse> {
        Err(Status::unimplemented(""))
    }

    async fn rollout(&self, _: Request<PolicyServiceRolloutRequest>) -> Answer<PolicyServiceRolloutResponse> {
        Err(Status::unimplemented(""))
    }

    async fn get(&self, _: Request<PolicyServiceGetRequest>) -> Answer<PolicyServiceGetResponse> {
        let files = broken_bundle().files.into_iter().map(|(path, content)| BundleFile { path, content }).collect();
        Ok(Response::new(PolicyServiceGetResponse { files, ..PolicyServiceGetResponse::default() }))
    }
}
