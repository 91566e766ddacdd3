//! `chaperone.v1.DecisionService`: reads the questions, asks, and builds the answers. It does not judge.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chaperone_api::chaperone::v1 as api;
use chaperone_api::chaperone::v1::decision_service_server::DecisionService;
use chaperone_policy::mapping::Credential;
use chaperone_policy::{Bundle, Request};
use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Response, Status, Streaming};

use super::convert;
use super::ext_authz::grpc_timeout;
use super::status::draining;
use crate::admin::AdminError;
use crate::listener::PeerInfo;
use crate::pdp::{Answer, Consistency, Pdp, Protocol, Question};
use crate::presenter::{Certificate, Evidence};
use crate::shutdown::Shutdown;
use crate::telemetry::ParentContext;

/// How many actions one batch may have.
const BATCH_MAX: usize = 1_000;
/// How many checks of one stream are under way at once; further ones wait in the stream's own flow control.
const STREAM_IN_FLIGHT: usize = 64;

/// Answers direct callers.
#[derive(Clone, Debug)]
pub struct Decisions {
    pdp: Arc<Pdp>,
    shutdown: Shutdown,
}

/// What belongs to a call and not to its message.
#[derive(Clone, Debug)]
struct Call {
    timeout: Option<Duration>,
    parent: Option<ParentContext>,
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

impl Decisions {
    /// An adapter over a PDP. Streams end when `shutdown` closes the doors, so that they do not hold up a drain.
    pub fn new(pdp: Arc<Pdp>, shutdown: Shutdown) -> Self {
        Self { pdp, shutdown }
    }

    async fn check_one(&self, call: &Call, request: api::CheckRequest) -> Result<api::Decision, Status> {
        let check = self.pdp.begin(Protocol::Grpc, call.timeout, call.parent)?;
        let presented = call.presenter(request.presenter)?;
        let action = action_request(&check.snapshot.bundle, "action", request.action)?;
        let question = Question {
            credential: credential(request.session_handle),
            evidence: presented.evidence(),
            requests: Ok(std::slice::from_ref(&action)),
            consistency: consistency(request.consistency)?,
        };
        Ok(decision_to_api(&check.decide(question).await?))
    }

    async fn check_each(&self, call: &Call, request: api::CheckBatchRequest) -> Result<Vec<api::Decision>, Status> {
        let count = request.actions.len();
        if count == 0 || count > BATCH_MAX {
            let message = format!("must have 1 to {BATCH_MAX} elements, not {count}");
            return Err(convert::invalid("actions", message).into());
        }
        let check = self.pdp.begin(Protocol::Grpc, call.timeout, call.parent)?;
        let presented = call.presenter(request.presenter)?;
        let actions =
            request.actions.into_iter().enumerate().map(|(index, action)| {
                action_request(&check.snapshot.bundle, &format!("actions[{index}]"), Some(action))
            });
        let actions = actions.collect::<Result<Vec<_>, _>>()?;
        let consistency = consistency(request.consistency)?;
        let answers =
            check.decide_each(credential(request.session_handle), presented.evidence(), consistency, &actions).await?;
        Ok(answers.iter().map(decision_to_api).collect())
    }
}

#[tonic::async_trait]
impl DecisionService for Decisions {
    type CheckStreamStream = Pin<Box<dyn Stream<Item = Result<api::CheckStreamResponse, Status>> + Send>>;

    async fn check(&self, request: tonic::Request<api::CheckRequest>) -> Result<Response<api::CheckResponse>, Status> {
        let call = Call::of(&request);
        let decision = self.check_one(&call, request.into_inner()).await?;
        Ok(Response::new(api::CheckResponse { decision: Some(decision) }))
    }

    async fn check_batch(
        &self,
        request: tonic::Request<api::CheckBatchRequest>,
    ) -> Result<Response<api::CheckBatchResponse>, Status> {
        let call = Call::of(&request);
        let decisions = self.check_each(&call, request.into_inner()).await?;
        Ok(Response::new(api::CheckBatchResponse { decisions }))
    }

    async fn check_stream(
        &self,
        request: tonic::Request<Streaming<api::CheckStreamRequest>>,
    ) -> Result<Response<Self::CheckStreamStream>, Status> {
        // The deadline of the call is the stream's, not that of each check in it.
        let call = Call { timeout: None, ..Call::of(&request) };
        let this = self.clone();
        let (closing, ending) = (self.shutdown.clone(), self.shutdown.clone());
        // What was read before the doors close is still answered.
        let asked = request.into_inner().take_until(async move { closing.closing().await });
        let answers = asked.map(move |asked| {
            let (this, call) = (this.clone(), call.clone());
            async move {
                let asked = asked?;
                let check = asked.check.unwrap_or_default();
                Ok(stream_answer(asked.request_id, this.check_one(&call, check).await))
            }
        });
        let end = stream::once(async move { ending.is_closing().then(|| Err(draining())) });
        let end = end.filter_map(std::future::ready);
        Ok(Response::new(Box::pin(answers.buffer_unordered(STREAM_IN_FLIGHT).chain(end))))
    }
}

/// One question that cannot be answered does not end the stream for the others.
fn stream_answer(request_id: u64, answer: Result<api::Decision, Status>) -> api::CheckStreamResponse {
    use api::check_stream_response::Result as Answer;
    let result = match answer {
        Ok(decision) => Answer::Decision(decision),
        Err(status) => Answer::Failure(api::CheckFailure {
            status_code: i32::from(status.code()),
            code: tonic_types::StatusExt::get_details_error_info(&status).map(|info| info.reason).unwrap_or_default(),
            message: status.message().to_owned(),
        }),
    };
    api::CheckStreamResponse { request_id, result: Some(result) }
}

fn credential(handle: String) -> Credential {
    convert::non_empty(handle).map_or(Credential::Absent, Credential::Handle)
}

fn consistency(value: i32) -> Result<Consistency, AdminError> {
    match api::Consistency::try_from(value) {
        Ok(api::Consistency::Unspecified | api::Consistency::Bounded) => Ok(Consistency::Bounded),
        Ok(api::Consistency::Strict) => Ok(Consistency::Strict),
        Err(_) => Err(convert::invalid("consistency", format!("{value} is not known"))),
    }
}

fn action_request(bundle: &Bundle, field: &str, action: Option<api::ActionRequest>) -> Result<Request, AdminError> {
    let action = action.ok_or_else(|| convert::invalid(field, "is required"))?;
    let resource = convert::entity_ref(&format!("{field}.resource"), action.resource)?;
    let attributes = convert::attributes(&format!("{field}.attributes"), action.attributes)?;
    bundle
        .request(&action.action, resource, attributes)
        .map_err(|error| convert::invalid(format!("{field}.{}", error.field), error.message))
}

fn decision_to_api(answer: &Answer) -> api::Decision {
    let decision = &answer.decision;
    let outcome = match decision.outcome {
        chaperone_policy::Outcome::Allow => api::Outcome::Allow,
        chaperone_policy::Outcome::Deny => api::Outcome::Deny,
    };
    let policy = |policy: &chaperone_policy::DeterminingPolicy| api::DeterminingPolicy {
        id: policy.id.clone(),
        reason: policy.reason.clone().unwrap_or_default(),
    };
    api::Decision {
        outcome: i32::from(outcome),
        decision_id: answer.id.to_string(),
        code: decision.reason.code().to_owned(),
        reason: decision.sentence().to_owned(),
        policies: decision.policies.iter().map(policy).collect(),
        session_id: answer.session.as_ref().map(|session| session.id.to_string()).unwrap_or_default(),
        bundle_number: answer.bundle.get(),
        decided_at: Some(convert::timestamp_to_api(answer.at)),
    }
}
