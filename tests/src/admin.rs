//! The admin plane through the generated clients.

use std::net::SocketAddr;
use std::time::Duration;

use chaperone_api::chaperone::v1::approval_service_client::ApprovalServiceClient;
use chaperone_api::chaperone::v1::entity_service_client::EntityServiceClient;
use chaperone_api::chaperone::v1::policy_service_client::PolicyServiceClient;
use chaperone_api::chaperone::v1::session_service_client::SessionServiceClient;
use chaperone_api::chaperone::v1::session_service_revoke_request::Target;
use chaperone_api::chaperone::v1::{
    Binding, EntityRef, PolicyServiceActivateRequest, PolicyServiceUploadRequest, Scope, ScopeGrant, ScopeGrants,
    Session, SessionFilter, SessionServiceCompleteRequest, SessionServiceOpenRequest, SessionServiceRevokeRequest,
    SessionServiceWatchRequest, SessionServiceWatchResponse, Task, Value, scope, value,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use crate::bundles::Bundle;
use crate::{client, wait};

/// A channel that presents the admin token.
pub type AdminChannel = InterceptedService<Channel, Token>;

/// Clients of the admin plane.
#[derive(Clone)]
pub struct Admin {
    /// Sessions.
    pub sessions: SessionServiceClient<AdminChannel>,
    /// Bundles.
    pub policies: PolicyServiceClient<AdminChannel>,
    /// Entities.
    pub entities: EntityServiceClient<AdminChannel>,
    /// Approvals.
    pub approvals: ApprovalServiceClient<AdminChannel>,
}

/// Adds the token to every call.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

/// A session that a test opened, and what presents it.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The session.
    pub session: Session,
    /// Its handle.
    pub handle: String,
}

/// Changes of sessions, as a replica applies them.
#[derive(Debug)]
pub struct SessionChanges(Streaming<SessionServiceWatchResponse>);

impl Admin {
    /// Connects in plain text.
    pub async fn connect(address: SocketAddr, token: &str) -> Self {
        Self::over(client::channel(address).await, token)
    }

    /// Over a connection.
    pub fn over(channel: Channel, token: &str) -> Self {
        let token = Token(format!("Bearer {token}").parse().expect("a token in ASCII"));
        Self {
            sessions: SessionServiceClient::with_interceptor(channel.clone(), token.clone()),
            // Tests send more than the server takes; the client must not be what refuses it.
            policies: PolicyServiceClient::with_interceptor(channel.clone(), token.clone())
                .max_encoding_message_size(usize::MAX),
            entities: EntityServiceClient::with_interceptor(channel.clone(), token.clone()),
            approvals: ApprovalServiceClient::with_interceptor(channel, token),
        }
    }

    /// Uploads and activates a bundle; returns its number.
    pub async fn push(&self, bundle: &Bundle) -> u64 {
        let request = PolicyServiceUploadRequest { files: bundle.files(), activate: true, ..Default::default() };
        let response =
            self.policies.clone().upload(request).await.unwrap_or_else(|status| panic!("upload: {status:?}"));
        response.into_inner().bundle.expect("an upload returns its bundle").number
    }

    /// Activates a stored bundle.
    pub async fn activate(&self, number: u64) {
        let request = PolicyServiceActivateRequest { number, ..Default::default() };
        self.policies.clone().activate(request).await.unwrap_or_else(|status| panic!("activate: {status:?}"));
    }

    /// Opens a session.
    pub async fn open(&self, request: SessionServiceOpenRequest) -> Opened {
        let response = self.sessions.clone().open(request).await.unwrap_or_else(|status| panic!("open: {status:?}"));
        let response = response.into_inner();
        Opened { session: response.session.expect("an open returns its session"), handle: response.handle }
    }

    /// Completes one session.
    pub async fn complete(&self, session_id: &str) {
        let request = SessionServiceCompleteRequest { session_id: session_id.to_owned(), reason: "done".to_owned() };
        self.sessions.clone().complete(request).await.unwrap_or_else(|status| panic!("complete: {status:?}"));
    }

    /// Revokes one session.
    pub async fn revoke(&self, session_id: &str) {
        let target = Some(Target::SessionId(session_id.to_owned()));
        let request = SessionServiceRevokeRequest { target, reason: "the test says so".to_owned() };
        let revoked = self.sessions.clone().revoke(request).await.unwrap_or_else(|status| panic!("revoke: {status:?}"));
        assert_eq!(revoked.into_inner().revoked_count, 1, "one session was revoked");
    }

    /// Watches the sessions that `filter` names.
    pub async fn watch(&self, filter: SessionFilter) -> SessionChanges {
        let request = SessionServiceWatchRequest { filter: Some(filter) };
        SessionChanges(self.sessions.clone().watch(request).await.expect("a watch").into_inner())
    }
}

impl SessionChanges {
    /// The session that changed next.
    pub async fn next(&mut self) -> Session {
        let change = tokio::time::timeout(wait::PATIENCE, self.0.message()).await.expect("a change in time");
        change.expect("the watch goes on").and_then(|change| change.session).expect("a session")
    }
}

/// What opens a session of `Agent::"<agent>"`, owned by `team-docs`, for an hour.
pub fn agent(agent: &str) -> SessionServiceOpenRequest {
    principal("Agent", agent)
}

/// The same, of a principal of this type.
pub fn principal(r#type: &str, id: &str) -> SessionServiceOpenRequest {
    SessionServiceOpenRequest {
        principal: Some(entity(r#type, id)),
        owner: "team-docs".to_owned(),
        task: Some(Task { id: "task-1".to_owned(), purpose: "summarise the documents".to_owned() }),
        lifetime: Some(Duration::from_hours(1).try_into().expect("an hour is a duration")),
        ..Default::default()
    }
}

/// What delegates from `parent`.
pub fn child_of(parent: &Session) -> SessionServiceOpenRequest {
    SessionServiceOpenRequest {
        parent_id: parent.id.clone(),
        task: Some(Task { id: "task-1.1".to_owned(), purpose: "one part of it".to_owned() }),
        ..Default::default()
    }
}

/// The same, with a scope of this one resource.
pub fn scoped_to(mut request: SessionServiceOpenRequest, r#type: &str, id: &str) -> SessionServiceOpenRequest {
    let grant = ScopeGrant { actions: Vec::new(), resources: vec![entity(r#type, id)] };
    request.scope = Some(Scope { kind: Some(scope::Kind::Grants(ScopeGrants { grants: vec![grant] })) });
    request
}

/// A binding to a SPIFFE ID.
pub fn bound_to(spiffe_id: &str) -> Binding {
    Binding { spiffe_id: spiffe_id.to_owned(), ..Binding::default() }
}

/// An entity's identity.
pub fn entity(r#type: &str, id: &str) -> EntityRef {
    EntityRef { r#type: r#type.to_owned(), id: id.to_owned() }
}

/// An attribute's value.
pub fn member(value: impl Into<Member>) -> Value {
    Value { kind: Some(value.into().0) }
}

/// What an attribute of a test can be.
pub struct Member(value::Kind);

impl From<&str> for Member {
    fn from(text: &str) -> Self {
        Self(value::Kind::String(text.to_owned()))
    }
}

impl From<i64> for Member {
    fn from(number: i64) -> Self {
        Self(value::Kind::Long(number))
    }
}

impl From<bool> for Member {
    fn from(truth: bool) -> Self {
        Self(value::Kind::Bool(truth))
    }
}

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}
