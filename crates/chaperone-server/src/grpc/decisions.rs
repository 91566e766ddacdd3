//! `chaperone.v1.DecisionService`: reads the questions, asks, and builds the answers. It does not judge.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chaperone_api::chaperone::v1 as api;
use chaperone_policy::mapping::{Caller, Mapped, Mapping, Undecodable};
use chaperone_policy::{Bundle, Request};
use prost::Message;
use tonic::{Response, Status};

use super::convert;
use super::decision_codec::Reply;
use super::decision_message::{ActionFields, BatchQuestion, CheckQuestion, PayloadFields, PresenterFields, Reads as _};
use super::decision_stream::Answers;
use super::ext_authz::grpc_timeout;
use super::last::Last;
use super::questions::Questions;
use super::report;
use super::wire::keep_last;
use crate::admin::AdminError;
use crate::listener::PeerInfo;
use crate::pdp::{self, Answer, Claim, Consistency, Pdp, Protocol, Question};
use crate::presenter::{Address, Certificate, Evidence};
use crate::shutdown::Shutdown;
use crate::spiffe::parse_spiffe_id;
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
    pub(super) fn of<T>(request: &tonic::Request<T>) -> Self {
        Self {
            timeout: grpc_timeout(request.metadata().as_ref()),
            parent: convert::parent_context(request.metadata().as_ref()),
            peer: request.extensions().get::<PeerInfo>().cloned(),
        }
    }

    /// The presenter that the caller vouches for; when it names none, the caller presents the session itself.
    fn evidence<'a>(
        &'a self,
        presenter: Option<&PresenterFields<'a>>,
        spiffe_id: impl FnOnce(&'a str) -> Option<&'a str>,
    ) -> Result<Evidence<'a>, AdminError> {
        let (id, certificate, address) = match presenter {
            Some(presenter) => {
                let certificate = convert::digest("presenter.certificate_sha256", presenter.certificate_sha256)?;
                (Some(presenter.spiffe_id), certificate, Address::Text(presenter.address))
            }
            None => {
                let identity = self.peer.as_ref().and_then(|peer| peer.identity.as_ref());
                let certificate = identity.map(|identity| identity.certificate_sha256);
                let address = self.peer.as_ref().map_or(Address::Unknown, |peer| Address::Peer(peer.remote_addr.ip()));
                (identity.and_then(|identity| identity.spiffe_id.as_deref()), certificate, address)
            }
        };
        let certificate = certificate.map_or(Certificate::Absent, Certificate::Sha256);
        Ok(Evidence { spiffe_id: id.and_then(spiffe_id), certificate, address })
    }
}

/// A question, read: what [`Question`] borrows from.
pub(super) struct Asked<'a> {
    claim: Claim,
    evidence: Evidence<'a>,
    wanted: Wanted<'a>,
    consistency: Consistency,
}

/// What a question asks for.
enum Wanted<'a> {
    Action(&'a Request),
    /// What the mapping makes of a payload.
    Payload(Box<Result<Mapped<'a>, Undecodable>>),
}

impl<'a> Asked<'a> {
    pub(super) fn read(
        bundle: &'a Arc<Bundle>,
        call: &'a Call,
        question: CheckQuestion<'a>,
        last: &'a mut Last,
    ) -> Result<Self, AdminError> {
        let evidence = call.evidence(question.presenter.as_ref(), |id| last.spiffe_id(id))?;
        let claim = last.claim(question.session_handle);
        let wanted = match (question.action, question.payload) {
            (Some(_), Some(_)) => {
                return Err(convert::invalid("payload", "stands in place of `action`, not beside it"));
            }
            (None, None) => return Err(convert::invalid("action", "is required where there is no `payload`")),
            (Some(action), None) => Wanted::Action(last.request(bundle, action, &evidence.address)?),
            (None, Some(payload)) => Wanted::Payload(Box::new(mapped(bundle.mapping(), &payload, &evidence)?)),
        };
        Ok(Self { claim, evidence, wanted, consistency: consistency(question.consistency)? })
    }

    pub(super) fn question(&mut self) -> Question<'_, 'a> {
        let asked = match &mut self.wanted {
            Wanted::Action(action) => pdp::Asked::Actions(std::slice::from_ref(*action)),
            Wanted::Payload(mapped) => pdp::Asked::of(mapped),
        };
        Question { claim: self.claim, evidence: self.evidence, asked, consistency: self.consistency }
    }
}

/// What a payload comes to, or that it cannot be read, which is a denial.
///
/// # Errors
/// When the question is not as it must be: it names no decoder of the mapping, or nothing to decode.
fn mapped<'a>(
    mapping: &'a Mapping,
    payload: &PayloadFields<'a>,
    evidence: &Evidence<'a>,
) -> Result<Result<Mapped<'a>, Undecodable>, AdminError> {
    if !mapping.has_decoder(payload.decoder) {
        return Err(convert::invalid("payload.decoder", "is no decoder of the bundle's mapping"));
    }
    let content = payload.content.as_ref();
    let content = content.ok_or_else(|| convert::invalid("payload", "has one of `text`, `arguments` and `message`"))?;
    let caller = Caller { spiffe_id: evidence.spiffe_id, address: evidence.address.ip() };
    Ok(mapping.map_payload(payload.decoder, content.payload(), caller))
}

impl Decisions {
    /// An adapter over a PDP. Streams end when `shutdown` closes the doors, so that they do not hold up a drain.
    pub fn new(pdp: Arc<Pdp>, shutdown: Shutdown) -> Self {
        Self { pdp, shutdown }
    }

    /// Decides one action, or all of those that a payload comes to.
    ///
    /// # Errors
    /// When the question is not as it must be, or no decision can be made.
    pub async fn check(&self, request: tonic::Request<Bytes>) -> Result<Response<Reply>, Status> {
        let call = Call::of(&request);
        let message = request.into_inner();
        let question = CheckQuestion::read(&message).map_err(|_| malformed::<api::CheckRequest>(&message))?;
        let mut last = Last::default();
        let mut check = self.pdp.begin(Protocol::Grpc, call.timeout, call.parent)?;
        check.assign(last.claim(question.session_handle)).await;
        let mut asked = Asked::read(&check.snapshot.bundle, &call, question, &mut last)?;
        Ok(Response::new(Reply::Check(check.decide(asked.question()).await?)))
    }

    /// Decides several actions of one session.
    ///
    /// # Errors
    /// As [`Decisions::check`], for any of them.
    pub async fn check_batch(&self, request: tonic::Request<Bytes>) -> Result<Response<Reply>, Status> {
        let call = Call::of(&request);
        let message = request.into_inner();
        let question = BatchQuestion::read(&message).map_err(|_| malformed::<api::CheckBatchRequest>(&message))?;
        Ok(Response::new(Reply::Batch(self.check_each(&call, question).await?)))
    }

    /// Takes a report of what became of an allowed action.
    ///
    /// # Errors
    /// When it is not as it must be, or is not taken.
    pub async fn report(&self, request: tonic::Request<Bytes>) -> Result<Response<Reply>, Status> {
        let timeout = grpc_timeout(request.metadata().as_ref());
        let message = request.into_inner();
        let question = api::ReportRequest::decode(&*message).map_err(|error| Status::internal(error.to_string()))?;
        let (session, report) = report::report_from_api(question)?;
        let settlement = self.pdp.report(session, &report, timeout).await?;
        Ok(Response::new(Reply::Report(report::settlement_to_api(&settlement))))
    }

    /// Decides many questions, each by itself.
    pub(super) fn check_stream(&self, request: tonic::Request<Questions>) -> Answers {
        // The deadline of the call is the stream's, not that of each check in it.
        let call = Call { timeout: None, ..Call::of(&request) };
        let (pdp, shutdown) = (Arc::clone(&self.pdp), self.shutdown.clone());
        Answers::new(pdp, shutdown, call, request.into_inner())
    }

    async fn check_each(&self, call: &Call, question: BatchQuestion<'_>) -> Result<Vec<Answer>, Status> {
        let count = question.actions.len();
        if count == 0 || count > BATCH_MAX {
            let message = format!("must have 1 to {BATCH_MAX} elements, not {count}");
            return Err(convert::invalid("actions", message).into());
        }
        let mut check = self.pdp.begin(Protocol::Grpc, call.timeout, call.parent)?;
        let claim = claim(question.session_handle);
        check.assign(claim).await;
        let evidence = call.evidence(question.presenter.as_ref(), parse_spiffe_id)?;
        let actions = question.actions.into_iter().enumerate().map(|(index, action)| {
            let bundle = &check.snapshot.bundle;
            let mut request = action_request(bundle, &format_args!("actions[{index}]"), action)?;
            bundle.place_zone(&mut request, || evidence.address.ip());
            Ok(request)
        });
        let actions = actions.collect::<Result<Vec<_>, AdminError>>()?;
        let consistency = consistency(question.consistency)?;
        Ok(check.decide_each(claim, evidence, consistency, &actions).await?)
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

/// What prost finds wrong with a message that cannot be read.
pub(super) fn malformed<M: Message + Default>(message: &[u8]) -> Status {
    let error = M::decode(message).err();
    Status::internal(error.map_or_else(|| "the message is malformed".to_owned(), |error| error.to_string()))
}

pub(super) fn action_request(
    bundle: &Bundle,
    field: &dyn Display,
    mut action: ActionFields<'_>,
) -> Result<Request, AdminError> {
    let resource = action.resource.map(|resource| (resource.kind, resource.id));
    let resource = convert::entity(&format_args!("{field}.resource"), resource)?;
    keep_last(&mut action.attributes);
    let attributes = convert::attributes(format_args!("{field}.attributes"), action.attributes)?;
    bundle
        .request(action.action, resource, attributes)
        .map_err(|error| convert::invalid(format!("{field}.{}", error.field), error.message))
}
