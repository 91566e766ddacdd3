//! `chaperone.v1.DecisionService`: reads the questions, asks, and builds the answers. It does not judge.

use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use chaperone_api::chaperone::v1 as api;
use chaperone_api::chaperone::v1::decision_service_server::DecisionService;
use chaperone_policy::{Bundle, Request};
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt as _};
use tokio::task::coop;
use tonic::{Response, Status, Streaming};

use super::convert;
use super::ext_authz::grpc_timeout;
use super::status::draining;
use crate::admin::AdminError;
use crate::listener::PeerInfo;
use crate::pdp::{Answer, Claim, Consistency, Pdp, Protocol, Question};
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
            timeout: grpc_timeout(request.metadata()),
            parent: convert::parent_context(request.metadata()),
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
struct Asked {
    claim: Claim,
    presented: Presented,
    action: Request,
    consistency: Consistency,
}

impl Asked {
    fn read(
        bundle: &Bundle,
        call: &Call,
        claims: &mut LastClaim,
        request: api::CheckRequest,
    ) -> Result<Self, AdminError> {
        Ok(Self {
            presented: call.presenter(request.presenter)?,
            action: action_request(bundle, "action", request.action)?,
            claim: claims.read(request.session_handle),
            consistency: consistency(request.consistency)?,
        })
    }

    fn question(&self) -> Question<'_> {
        Question {
            claim: self.claim,
            evidence: self.presented.evidence(),
            requests: Ok(std::slice::from_ref(&self.action)),
            consistency: self.consistency,
        }
    }
}

/// What the last question of a stream claimed. Most streams speak for one session, whose handle has to be hashed only once.
///
/// Only the hash is remembered, which is the same whenever it is computed: what the session is, is looked up for every question.
#[derive(Default)]
struct LastClaim(Option<(String, Claim)>);

impl LastClaim {
    fn read(&mut self, handle: String) -> Claim {
        match &self.0 {
            Some((last, claim)) if *last == handle => *claim,
            _ => {
                let claim = claim(&handle);
                self.0 = Some((handle, claim));
                claim
            }
        }
    }
}

/// An answer to a question of a stream.
enum StreamAnswer {
    Ready(api::CheckStreamResponse),
    Waiting(WaitingAnswer),
}

type WaitingAnswer = Pin<Box<dyn Future<Output = api::CheckStreamResponse> + Send>>;

/// The answers of one stream. What can be decided from memory is answered where it is read, so that many answers leave together.
struct Answers {
    decisions: Decisions,
    call: Call,
    claims: LastClaim,
    /// `None` when no more are read.
    questions: Option<Streaming<api::CheckStreamRequest>>,
    closing: Pin<Box<dyn Future<Output = ()> + Send>>,
    waiting: FuturesUnordered<WaitingAnswer>,
    /// Whether its end was told.
    is_over: bool,
}

impl Answers {
    fn new(decisions: Decisions, call: Call, questions: Streaming<api::CheckStreamRequest>) -> Self {
        let shutdown = decisions.shutdown.clone();
        let closing = Box::pin(async move { shutdown.closing().await });
        Self {
            decisions,
            call,
            claims: LastClaim::default(),
            questions: Some(questions),
            closing,
            waiting: FuturesUnordered::new(),
            is_over: false,
        }
    }

    /// The next question that has come; `None` when there will be none.
    fn poll_question(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<api::CheckStreamRequest, Status>>> {
        let Some(questions) = &mut self.questions else { return Poll::Ready(None) };
        // A caller who never stops asking must let others have their turn. Answers that are ready leave meanwhile.
        if let Poll::Ready(turn) = coop::poll_proceed(cx) {
            turn.made_progress();
            if let Poll::Ready(question) = questions.poll_next_unpin(cx) {
                return Poll::Ready(question);
            }
        }
        // Looked at only here: what came before the doors close is still answered.
        self.closing.as_mut().poll(cx).map(|()| None)
    }
}

impl Stream for Answers {
    type Item = Result<api::CheckStreamResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if !this.waiting.is_empty() {
                if let Poll::Ready(Some(answer)) = this.waiting.poll_next_unpin(cx) {
                    return Poll::Ready(Some(Ok(answer)));
                }
                if this.questions.is_none() || this.waiting.len() >= STREAM_IN_FLIGHT {
                    return Poll::Pending;
                }
            }
            match ready!(this.poll_question(cx)) {
                Some(Ok(question)) => match this.decisions.answer(&this.call, &mut this.claims, question) {
                    StreamAnswer::Ready(answer) => return Poll::Ready(Some(Ok(answer))),
                    StreamAnswer::Waiting(answer) => this.waiting.push(answer),
                },
                Some(Err(status)) => {
                    (this.questions, this.is_over) = (None, true);
                    this.waiting.clear();
                    return Poll::Ready(Some(Err(status)));
                }
                None if this.waiting.is_empty() => {
                    let is_cut = !std::mem::replace(&mut this.is_over, true) && this.decisions.shutdown.is_closing();
                    return Poll::Ready(is_cut.then(|| Err(draining())));
                }
                None => this.questions = None,
            }
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
        let asked = Asked::read(&check.snapshot.bundle, call, &mut LastClaim::default(), request)?;
        Ok(decision_to_api(&check.decide(asked.question()).await?))
    }

    /// Answers one question of a stream: at once from memory, or later where the store must be asked.
    fn answer(&self, call: &Call, claims: &mut LastClaim, question: api::CheckStreamRequest) -> StreamAnswer {
        let id = question.request_id;
        match self.begin_answer(call, claims, question) {
            Ok(answer) => answer,
            Err(status) => StreamAnswer::Ready(stream_answer(id, Err(status))),
        }
    }

    fn begin_answer(
        &self,
        call: &Call,
        claims: &mut LastClaim,
        question: api::CheckStreamRequest,
    ) -> Result<StreamAnswer, Status> {
        let id = question.request_id;
        let check = self.pdp.begin(Protocol::Grpc, call.timeout, call.parent)?;
        let asked = Asked::read(&check.snapshot.bundle, call, claims, question.check.unwrap_or_default())?;
        if let Some(decided) = check.decide_from_memory(&asked.question()) {
            return Ok(StreamAnswer::Ready(stream_answer(id, Ok(decision_to_api(&decided?)))));
        }
        let (pdp, suspended) = (Arc::clone(&self.pdp), check.suspend());
        Ok(StreamAnswer::Waiting(Box::pin(async move {
            let decided = pdp.resume(suspended).decide_with_store(asked.question()).await;
            stream_answer(id, decided.map(|answer| decision_to_api(&answer)).map_err(Status::from))
        })))
    }

    async fn check_each(&self, call: &Call, request: api::CheckBatchRequest) -> Result<Vec<api::Decision>, Status> {
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
        let answers =
            check.decide_each(claim(&request.session_handle), presented.evidence(), consistency, &actions).await?;
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
        Ok(Response::new(Box::pin(Answers::new(self.clone(), call, request.into_inner()))))
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

fn claim(handle: &str) -> Claim {
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
