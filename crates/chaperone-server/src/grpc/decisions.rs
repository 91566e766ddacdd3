//! `chaperone.v1.DecisionService`: reads the questions, asks, and builds the answers. It does not judge.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use chaperone_api::chaperone::v1 as api;
use chaperone_policy::{Bundle, Request};
use tonic::{Response, Status, Streaming};

use super::convert;
use super::decision_codec::Reply;
use super::decision_stream::Answers;
use super::ext_authz::grpc_timeout;
use crate::admin::AdminError;
use crate::listener::PeerInfo;
use crate::pdp::{self, Answer, Claim, Consistency, Pdp, Protocol, Question};
use crate::presenter::{Certificate, Evidence};
use crate::shutdown::Shutdown;
use crate::telemetry::ParentContext;

/// How many actions one batch may have.
const BATCH_MAX: usize = 1_000;

/// Answers direct callers.
#[derive(Clone, Debug)]
pub struct Decisions {
    pdp: Arc<Pdp>,
    shutdown: Shutdown,
}

/// What belongs to a call and not to its message.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) timeout: Option<Duration>,
    pub(super) parent: Option<ParentContext>,
    peer: Option<PeerInfo>,
}

impl Call {
    fn of<T>(request: &tonic::Request<T>) -> Self {
        Self {
            timeout: grpc_timeout(request.metadata().as_ref()),
            parent: convert::parent_context(request.metadata().as_ref()),
            peer: request.extensions().get::<PeerInfo>().cloned(),
        }
    }

    /// The presenter that the caller vouches for; when it names none, the caller presents the session itself.
    fn presenter(&self, presenter: Option<api::Presenter>) -> Result<Presented, AdminError> {
        match presenter {
            Some(presenter) => Ok(Presented {
                certificate: convert::digest("presenter.certificate_sha256", &presenter.certificate_sha256)?,
                spiffe_id: presenter.spiffe_id,
            }),
            None => {
                let identity = self.peer.as_ref().and_then(|peer| peer.identity.as_ref());
                Ok(Presented {
                    spiffe_id: identity.and_then(|identity| identity.spiffe_id.clone()).unwrap_or_default(),
                    certificate: identity.map(|identity| identity.certificate_sha256),
                })
            }
        }
    }
}

struct Presented {
    spiffe_id: String,
    certificate: Option<[u8; 32]>,
}

impl Presented {
    fn evidence(&self) -> Evidence<'_> {
        Evidence {
            principal: &self.spiffe_id,
            certificate: self.certificate.map_or(Certificate::Absent, Certificate::Sha256),
        }
    }
}

/// A question, read: what [`Question`] borrows from.
pub(super) struct Asked {
    claim: Claim,
    presented: Presented,
    action: Request,
    consistency: Consistency,
}

impl Asked {
    pub(super) fn read(
        bundle: &Bundle,
        call: &Call,
        claim: impl FnOnce(String) -> Claim,
        request: api::CheckRequest,
    ) -> Result<Self, AdminError> {
        Ok(Self {
            presented: call.presenter(request.presenter)?,
            action: action_request(bundle, "action", request.action)?,
            claim: claim(request.session_handle),
            consistency: consistency(request.consistency)?,
        })
    }

    pub(super) fn question(&self) -> Question<'_, '_> {
        Question {
            claim: self.claim,
            evidence: self.presented.evidence(),
            asked: pdp::Asked::Actions(std::slice::from_ref(&self.action)),
            consistency: self.consistency,
        }
    }
}

impl Decisions {
    /// An adapter over a PDP. Streams end when `shutdown` closes the doors, so that they do not hold up a drain.
    pub fn new(pdp: Arc<Pdp>, shutdown: Shutdown) -> Self {
        Self { pdp, shutdown }
    }

    /// Decides one action.
    ///
    /// # Errors
    /// When the question is not as it must be, or no decision can be made.
    pub async fn check(&self, request: tonic::Request<api::CheckRequest>) -> Result<Response<Reply>, Status> {
        let call = Call::of(&request);
        let check = self.pdp.begin(Protocol::Grpc, call.timeout, call.parent)?;
        let asked = Asked::read(&check.snapshot.bundle, &call, |handle| claim(&handle), request.into_inner())?;
        Ok(Response::new(Reply::Check(check.decide(asked.question()).await?)))
    }

    /// Decides several actions of one session.
    ///
    /// # Errors
    /// As [`Decisions::check`], for any of them.
    pub async fn check_batch(
        &self,
        request: tonic::Request<api::CheckBatchRequest>,
    ) -> Result<Response<Reply>, Status> {
        let call = Call::of(&request);
        Ok(Response::new(Reply::Batch(self.check_each(&call, request.into_inner()).await?)))
    }

    /// Decides many actions, each by itself.
    pub fn check_stream(&self, request: tonic::Request<Streaming<api::CheckStreamRequest>>) -> Response<Answers> {
        // The deadline of the call is the stream's, not that of each check in it.
        let call = Call { timeout: None, ..Call::of(&request) };
        let (pdp, shutdown) = (Arc::clone(&self.pdp), self.shutdown.clone());
        Response::new(Answers::new(pdp, shutdown, call, request.into_inner()))
    }

    async fn check_each(&self, call: &Call, request: api::CheckBatchRequest) -> Result<Vec<Answer>, Status> {
        let count = request.actions.len();
        if count == 0 || count > BATCH_MAX {
            let message = format!("must have 1 to {BATCH_MAX} elements, not {count}");
            return Err(convert::invalid("actions", message).into());
        }
        let check = self.pdp.begin(Protocol::Grpc, call.timeout, call.parent)?;
        let presented = call.presenter(request.presenter)?;
        let actions = request.actions.into_iter().enumerate().map(|(index, action)| {
            action_request(&check.snapshot.bundle, format_args!("actions[{index}]"), Some(action))
        });
        let actions = actions.collect::<Result<Vec<_>, _>>()?;
        let consistency = consistency(request.consistency)?;
        let claim = claim(&request.session_handle);
        Ok(check.decide_each(claim, presented.evidence(), consistency, &actions).await?)
    }
}

pub(super) fn claim(handle: &str) -> Claim {
    if handle.is_empty() { Claim::Absent } else { Claim::of_handle(handle) }
}

fn consistency(value: i32) -> Result<Consistency, AdminError> {
    match api::Consistency::try_from(value) {
        Ok(api::Consistency::Unspecified | api::Consistency::Bounded) => Ok(Consistency::Bounded),
        Ok(api::Consistency::Strict) => Ok(Consistency::Strict),
        Err(_) => Err(convert::invalid("consistency", format!("{value} is not known"))),
    }
}

fn action_request(
    bundle: &Bundle,
    field: impl Display,
    action: Option<api::ActionRequest>,
) -> Result<Request, AdminError> {
    let action = action.ok_or_else(|| convert::invalid(field.to_string(), "is required"))?;
    let resource = convert::entity_ref(format_args!("{field}.resource"), action.resource)?;
    let attributes = convert::attributes(format_args!("{field}.attributes"), action.attributes)?;
    bundle
        .request(&action.action, resource, attributes)
        .map_err(|error| convert::invalid(format!("{field}.{}", error.field), error.message))
}
