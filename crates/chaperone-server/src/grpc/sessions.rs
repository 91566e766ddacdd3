//! `chaperone.v1.SessionService`.

use std::sync::Arc;

use chaperone_api::chaperone::v1 as api;
use chaperone_api::chaperone::v1::session_service_server::SessionService;
use chaperone_policy::{Binding, Grant, Life, SessionId, Task};
use chaperone_store::{RevokeTarget, SessionFilter};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::convert::{self, invalid};
use super::memories::memory_to_api;
use super::watch::{Watch, watch};
use crate::admin::AdminError;
use crate::admin::sessions::{NewScope, NewSession, SessionState, SessionView, Sessions};
use crate::admin::signals::{Signal, SignalRevoke, SignalTarget, Signals};
use crate::clock::Clock;
use crate::replica::Replica;

/// Serves session administration.
#[derive(Clone, Debug)]
pub struct SessionApi {
    sessions: Sessions,
    signals: Signals,
    replica: Arc<Replica>,
    clock: Clock,
    stop: CancellationToken,
}

impl SessionApi {
    /// Watches end when `stop` is cancelled, so that they do not hold up a drain.
    pub fn new(
        sessions: Sessions,
        signals: Signals,
        replica: Arc<Replica>,
        clock: Clock,
        stop: CancellationToken,
    ) -> Self {
        Self { sessions, signals, replica, clock, stop }
    }
}

#[tonic::async_trait]
impl SessionService for SessionApi {
    type WatchStream = Watch<api::SessionServiceWatchResponse>;

    async fn open(
        &self,
        request: Request<api::SessionServiceOpenRequest>,
    ) -> Result<Response<api::SessionServiceOpenResponse>, Status> {
        let by = convert::caller(&request);
        let (view, handle) = self.sessions.open(new_session(request.into_inner())?, &by).await?;
        let session = Some(session_to_api(&view));
        Ok(Response::new(api::SessionServiceOpenResponse { session, handle: handle.reveal() }))
    }

    async fn get(
        &self,
        request: Request<api::SessionServiceGetRequest>,
    ) -> Result<Response<api::SessionServiceGetResponse>, Status> {
        let view = self.sessions.get(session_id("session_id", &request.into_inner().session_id)?).await?;
        let memory = self.sessions.memory(&view.session).await?;
        Ok(Response::new(api::SessionServiceGetResponse {
            session: Some(session_to_api(&view)),
            memory: Some(memory_to_api(&memory)),
        }))
    }

    async fn list(
        &self,
        request: Request<api::SessionServiceListRequest>,
    ) -> Result<Response<api::SessionServiceListResponse>, Status> {
        let request = request.into_inner();
        let filter = self.filter(request.filter.unwrap_or_default())?;
        let page_size = convert::page_size(request.page_size)?;
        let limit = convert::read_limit(page_size);
        let mut views = self.sessions.list(&filter, convert::page_token(&request.page_token)?, limit).await?;
        let next_page_token = convert::next_page_token(&mut views, page_size, |view| view.session.id.to_string());
        let sessions = views.iter().map(session_to_api).collect();
        Ok(Response::new(api::SessionServiceListResponse { sessions, next_page_token }))
    }

    async fn renew(
        &self,
        request: Request<api::SessionServiceRenewRequest>,
    ) -> Result<Response<api::SessionServiceRenewResponse>, Status> {
        let by = convert::caller(&request);
        let request = request.into_inner();
        let lifetime = convert::duration("lifetime", request.lifetime)?;
        let lifetime = lifetime.ok_or_else(|| invalid("lifetime", "is required"))?;
        let view = self.sessions.renew(session_id("session_id", &request.session_id)?, lifetime, &by).await?;
        Ok(Response::new(api::SessionServiceRenewResponse { session: Some(session_to_api(&view)) }))
    }

    async fn complete(
        &self,
        request: Request<api::SessionServiceCompleteRequest>,
    ) -> Result<Response<api::SessionServiceCompleteResponse>, Status> {
        let by = convert::caller(&request);
        let request = request.into_inner();
        let id = session_id("session_id", &request.session_id)?;
        let view = self.sessions.complete(id, &request.reason, &by).await?;
        Ok(Response::new(api::SessionServiceCompleteResponse { session: Some(session_to_api(&view)) }))
    }

    async fn revoke(
        &self,
        request: Request<api::SessionServiceRevokeRequest>,
    ) -> Result<Response<api::SessionServiceRevokeResponse>, Status> {
        let by = convert::caller(&request);
        let request = request.into_inner();
        let target = revoke_target(request.target)?;
        let revoked_count = self.sessions.revoke(&target, &request.reason, &by).await?;
        Ok(Response::new(api::SessionServiceRevokeResponse { revoked_count }))
    }

    async fn signal(
        &self,
        request: Request<api::SessionServiceSignalRequest>,
    ) -> Result<Response<api::SessionServiceSignalResponse>, Status> {
        let by = convert::caller(&request);
        let signalled = self.signals.signal(&signal(request.into_inner())?, &by).await?;
        Ok(Response::new(api::SessionServiceSignalResponse {
            duplicate: signalled.duplicate,
            session: Some(session_to_api(&signalled.view)),
            memory: Some(memory_to_api(&signalled.memory)),
        }))
    }

    async fn watch(
        &self,
        request: Request<api::SessionServiceWatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let filter = self.filter(request.into_inner().filter.unwrap_or_default())?;
        let changes = self.replica.watch_sessions();
        let sessions = self.sessions.clone();
        let read = move |id| {
            let (sessions, filter) = (sessions.clone(), filter.clone());
            async move {
                let view = sessions.get(id).await?;
                Ok(matches(&filter, &view)
                    .then(|| api::SessionServiceWatchResponse { session: Some(session_to_api(&view)) }))
            }
        };
        Ok(Response::new(watch("sessions", changes, self.stop.clone(), read)))
    }
}

impl SessionApi {
    fn filter(&self, filter: api::SessionFilter) -> Result<SessionFilter, AdminError> {
        let life = match api::SessionState::try_from(filter.state) {
            Ok(api::SessionState::Unspecified) => None,
            Ok(api::SessionState::Active) => Some(Life::Active),
            Ok(api::SessionState::Expired) => Some(Life::Expired),
            Ok(api::SessionState::Idle) => Some(Life::Idle),
            Ok(api::SessionState::Completed) => Some(Life::Completed),
            Ok(api::SessionState::Revoked) => Some(Life::Revoked),
            Ok(api::SessionState::AncestorEnded) | Err(_) => {
                return Err(invalid("filter.state", "cannot be asked for"));
            }
        };
        Ok(SessionFilter {
            principal: filter.principal.map(|it| convert::entity_ref("filter.principal", Some(it))).transpose()?,
            owner: convert::name("filter.owner", filter.owner)?,
            task_id: convert::name("filter.task_id", filter.task_id)?,
            tree: convert::non_empty(filter.tree_id).map(|id| session_id("filter.tree_id", &id)).transpose()?,
            life: life.map(|life| (life, self.clock.now())),
        })
    }
}

fn matches(filter: &SessionFilter, view: &SessionView) -> bool {
    let session = &view.session;
    filter.principal.as_ref().is_none_or(|principal| *principal == session.principal)
        && filter.owner.as_ref().is_none_or(|owner| *owner == session.owner)
        && filter.task_id.as_ref().is_none_or(|id| *id == session.task.id)
        && filter.tree.is_none_or(|tree| tree == session.tree)
}

fn session_id(field: &str, text: &str) -> Result<SessionId, AdminError> {
    if text.starts_with("chp_") {
        return Err(invalid(field, "is a session's id, not its handle"));
    }
    text.parse().map_err(|_| invalid(field, "must be a UUID"))
}

fn new_session(request: api::SessionServiceOpenRequest) -> Result<NewSession, AdminError> {
    let task = request.task.unwrap_or_default();
    let binding = request.binding.unwrap_or_default();
    Ok(NewSession {
        principal: request.principal.map(|it| convert::entity_ref("principal", Some(it))).transpose()?,
        owner: convert::non_empty(request.owner),
        task: Task { id: task.id, purpose: task.purpose },
        parent: convert::non_empty(request.parent_id).map(|id| session_id("parent_id", &id)).transpose()?,
        act: request.act.map(|act| convert::actor(&act)).transpose()?,
        scope: new_scope(request.scope)?,
        labels: request.labels,
        binding: Binding {
            spiffe_id: convert::non_empty(binding.spiffe_id),
            certificate_sha256: convert::digest("binding.certificate_sha256", &binding.certificate_sha256)?,
            zones: binding.zones.into_iter().collect(),
        },
        lifetime: convert::duration("lifetime", request.lifetime)?,
        idle_timeout: convert::duration("idle_timeout", request.idle_timeout)?,
    })
}

fn new_scope(scope: Option<api::Scope>) -> Result<NewScope, AdminError> {
    match scope.map(|scope| scope.kind) {
        None => Ok(NewScope::Unrestricted),
        // A scope that says nothing is more likely a mistake than a wish for everything.
        Some(None) => Err(invalid("scope", "must have policies or grants; leave it out for no restriction")),
        Some(Some(api::scope::Kind::Cedar(text))) => Ok(NewScope::Cedar(text)),
        Some(Some(api::scope::Kind::Grants(grants))) => {
            if grants.grants.is_empty() {
                return Err(invalid("scope.grants", "must have at least one grant"));
            }
            let grant = |grant: api::ScopeGrant| {
                let resources =
                    grant.resources.into_iter().map(|it| convert::entity_ref("scope.grants.resources", Some(it)));
                Ok(Grant { actions: grant.actions, resources: resources.collect::<Result<_, AdminError>>()? })
            };
            Ok(NewScope::Grants(grants.grants.into_iter().map(grant).collect::<Result<_, AdminError>>()?))
        }
    }
}

fn revoke_target(target: Option<api::session_service_revoke_request::Target>) -> Result<RevokeTarget, AdminError> {
    use api::session_service_revoke_request::Target;
    match target {
        Some(Target::SessionId(id)) => Ok(RevokeTarget::Session(session_id("session_id", &id)?)),
        Some(Target::TreeId(id)) => Ok(RevokeTarget::Tree(session_id("tree_id", &id)?)),
        Some(Target::Principal(principal)) => {
            Ok(RevokeTarget::Principal(convert::entity_ref("principal", Some(principal))?))
        }
        Some(Target::Owner(owner)) => {
            convert::name("owner", owner)?.map(RevokeTarget::Owner).ok_or_else(|| invalid("owner", "must not be empty"))
        }
        Some(Target::TaskId(id)) => {
            convert::name("task_id", id)?.map(RevokeTarget::Task).ok_or_else(|| invalid("task_id", "must not be empty"))
        }
        None => Err(invalid("target", "is required")),
    }
}

fn signal(request: api::SessionServiceSignalRequest) -> Result<Signal, AdminError> {
    use api::session_service_signal_request::Target;
    let target = match &request.target {
        Some(Target::SessionId(id)) => SignalTarget::Session(session_id("session_id", id)?),
        Some(Target::TreeId(id)) => SignalTarget::Tree(session_id("tree_id", id)?),
        None => return Err(invalid("target", "is required")),
    };
    let revoke = match api::SignalRevoke::try_from(request.revoke) {
        Ok(api::SignalRevoke::Unspecified) => None,
        Ok(api::SignalRevoke::Session) => Some(SignalRevoke::Session),
        Ok(api::SignalRevoke::Tree) => Some(SignalRevoke::Tree),
        // What is to be revoked must not be guessed, nor left out.
        Err(_) => return Err(invalid("revoke", "is none that this server knows")),
    };
    Ok(Signal {
        target,
        event_id: request.event_id,
        source: request.source,
        reason: request.reason,
        risk: request.risk,
        labels: request.labels,
        tree_labels: request.tree_labels,
        revoke,
    })
}

fn session_to_api(view: &SessionView) -> api::Session {
    let session = &view.session;
    let state = match view.state {
        SessionState::Own(Life::Active) => api::SessionState::Active,
        SessionState::Own(Life::Expired) => api::SessionState::Expired,
        SessionState::Own(Life::Idle) => api::SessionState::Idle,
        SessionState::Own(Life::Completed) => api::SessionState::Completed,
        SessionState::Own(Life::Revoked) => api::SessionState::Revoked,
        SessionState::AncestorEnded => api::SessionState::AncestorEnded,
    };
    let ended = session.ended.as_ref();
    api::Session {
        id: session.id.to_string(),
        parent_id: session.parent.map(|id| id.to_string()).unwrap_or_default(),
        tree_id: session.tree.to_string(),
        delegation_depth: session.depth,
        principal: Some(convert::entity_ref_to_api(&session.principal)),
        owner: session.owner.clone(),
        task: Some(api::Task { id: session.task.id.clone(), purpose: session.task.purpose.clone() }),
        labels: session.labels.iter().cloned().collect(),
        scope_cedar: session.scope.source().unwrap_or_default().to_owned(),
        binding: Some(api::Binding {
            spiffe_id: session.binding.spiffe_id.clone().unwrap_or_default(),
            certificate_sha256: session.binding.certificate_sha256.map(Vec::from).unwrap_or_default(),
            zones: session.binding.zones.iter().cloned().collect(),
        }),
        opened_at: Some(convert::timestamp_to_api(session.opened_at)),
        expires_at: Some(convert::timestamp_to_api(session.expires_at)),
        idle_timeout: session.idle_timeout.map(convert::duration_to_api),
        last_used_at: Some(convert::timestamp_to_api(session.last_used_at)),
        state: i32::from(state),
        ended_at: ended.map(|ended| convert::timestamp_to_api(ended.at)),
        ended_reason: ended.map(|ended| ended.reason.clone()).unwrap_or_default(),
        ended_by: ended.map(|ended| ended.by.clone()).unwrap_or_default(),
        version: session.version,
        delegation: view.delegation.as_ref().map(convert::delegation_to_api),
    }
}
