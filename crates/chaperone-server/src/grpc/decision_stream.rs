//! A stream of checks. What can be decided from memory is answered where it is read; what waits for the store holds up nothing else.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use chaperone_api::chaperone::v1 as api;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt as _};
use tokio::task::coop;
use tonic::{Status, Streaming};

use super::decision_codec::Reply;
use super::decisions::{Asked, Call, claim};
use super::status::draining;
use crate::pdp::{Claim, Pdp, Protocol};
use crate::shutdown::Shutdown;

/// How many checks of one stream wait for the store at once; further questions wait in the stream's own flow control.
const STREAM_IN_FLIGHT: usize = 64;

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
    Ready(Reply),
    Waiting(WaitingAnswer),
}

type WaitingAnswer = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The answers of one stream. Those that need no waiting are ready together, and so leave in one frame.
pub struct Answers {
    pdp: Arc<Pdp>,
    shutdown: Shutdown,
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
    /// The answers to these questions. They end when `shutdown` closes the doors, so that they do not hold up a drain.
    pub(super) fn new(
        pdp: Arc<Pdp>,
        shutdown: Shutdown,
        call: Call,
        questions: Streaming<api::CheckStreamRequest>,
    ) -> Self {
        let closing = Box::pin({
            let shutdown = shutdown.clone();
            async move { shutdown.closing().await }
        });
        Self {
            pdp,
            shutdown,
            call,
            claims: LastClaim::default(),
            questions: Some(questions),
            closing,
            waiting: FuturesUnordered::new(),
            is_over: false,
        }
    }

    /// Answers one question: at once from memory, or later where the store must be asked.
    fn answer(&mut self, question: api::CheckStreamRequest) -> StreamAnswer {
        let id = question.request_id;
        match self.begin_answer(question) {
            Ok(answer) => answer,
            Err(status) => StreamAnswer::Ready(Reply::Stream(id, Err(failure(&status)))),
        }
    }

    fn begin_answer(&mut self, question: api::CheckStreamRequest) -> Result<StreamAnswer, Status> {
        let Self { pdp, call, claims, .. } = self;
        let id = question.request_id;
        let check = pdp.begin(Protocol::Grpc, call.timeout, call.parent)?;
        let asked = Asked::read(
            &check.snapshot.bundle,
            call,
            |handle| claims.read(handle),
            question.check.unwrap_or_default(),
        )?;
        if let Some(decided) = check.decide_from_memory(&mut asked.question()) {
            return Ok(StreamAnswer::Ready(Reply::Stream(id, Ok(decided?))));
        }
        let (pdp, suspended) = (Arc::clone(pdp), check.suspend());
        Ok(StreamAnswer::Waiting(Box::pin(async move {
            let decided = pdp.resume(suspended).decide_with_store(asked.question()).await;
            Reply::Stream(id, decided.map_err(|no_decision| failure(&no_decision.into())))
        })))
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
    type Item = Result<Reply, Status>;

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
                Some(Ok(question)) => match this.answer(question) {
                    StreamAnswer::Ready(answer) => return Poll::Ready(Some(Ok(answer))),
                    StreamAnswer::Waiting(answer) => this.waiting.push(answer),
                },
                Some(Err(status)) => {
                    (this.questions, this.is_over) = (None, true);
                    this.waiting.clear();
                    return Poll::Ready(Some(Err(status)));
                }
                None if this.waiting.is_empty() => {
                    let is_cut = !std::mem::replace(&mut this.is_over, true) && this.shutdown.is_closing();
                    return Poll::Ready(is_cut.then(|| Err(draining())));
                }
                None => this.questions = None,
            }
        }
    }
}

/// One question that cannot be answered does not end the stream for the others.
fn failure(status: &Status) -> api::CheckFailure {
    api::CheckFailure {
        status_code: i32::from(status.code()),
        code: tonic_types::StatusExt::get_details_error_info(status).map(|info| info.reason).unwrap_or_default(),
        message: status.message().to_owned(),
    }
}
