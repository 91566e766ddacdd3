//! A stream of checks. What can be decided from memory is answered where it is read; what waits for the store holds up nothing else.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use chaperone_api::chaperone::v1 as api;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::task::coop;
use tonic::Status;

use super::decision_codec::{Reply, ReplyEncoder};
use super::decision_message::{CheckQuestion, Reads as _, StreamQuestion};
use super::decisions::{Asked, Call, malformed};
use super::last::Last;
use super::questions::Questions;
use super::status::draining;
use super::wire::Writer;
use crate::clock::Moment;
use crate::pdp::{Decided, Pdp, Protocol, SuspendedCheck};
use crate::shutdown::Shutdown;

/// How many checks of one stream wait for the store at once; further questions wait in the stream's own flow control.
const STREAM_IN_FLIGHT: usize = 64;

/// How many bytes of answers leave at once, and for how many there is room. HTTP/2 cuts longer frames than this in two.
const FRAME_BYTES: usize = FRAME_BYTES_MAX - 1024;
const FRAME_BYTES_MAX: usize = 16 * 1024;

/// An answer to a question of a stream.
#[expect(clippy::large_enum_variant, reason = "most answers are ready, and are not worth an allocation each")]
enum StreamAnswer {
    Ready(Reply),
    Waiting(WaitingAnswer),
}

type WaitingAnswer = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The answers of one stream. Those that need no waiting are ready together, and so leave in one frame.
pub struct Answers {
    pdp: Arc<Pdp>,
    shutdown: Shutdown,
    call: Arc<Call>,
    last: Last,
    /// When the last check ended, where the next one follows at once: it begins then.
    ended: Option<Moment>,
    /// `None` when no more are read.
    questions: Option<Questions>,
    closing: Pin<Box<dyn Future<Output = ()> + Send>>,
    waiting: FuturesUnordered<WaitingAnswer>,
    /// Answers that have not left yet, each framed as gRPC does.
    written: Writer,
    encoder: ReplyEncoder,
    end: End,
}

/// How far a stream is from its end.
#[derive(Debug)]
enum End {
    /// It goes on.
    Open,
    /// This is what is still to be told.
    Reached(Status),
    /// It was told.
    Told,
}

impl Answers {
    /// The answers to these questions. They end when `shutdown` closes the doors, so that they do not hold up a drain.
    pub(super) fn new(pdp: Arc<Pdp>, shutdown: Shutdown, call: Call, questions: Questions) -> Self {
        let closing = Box::pin({
            let shutdown = shutdown.clone();
            async move { shutdown.closing().await }
        });
        Self {
            pdp,
            shutdown,
            call: Arc::new(call),
            last: Last::default(),
            ended: None,
            questions: Some(questions),
            closing,
            waiting: FuturesUnordered::new(),
            written: Writer::default(),
            encoder: ReplyEncoder::default(),
            end: End::Open,
        }
    }

    /// Answers one question: at once from memory, or later where the store must be asked.
    ///
    /// # Errors
    /// When it cannot be read, which ends the stream: whose question it is, is not known then.
    fn answer(&mut self, message: &Bytes) -> Result<StreamAnswer, Status> {
        let Ok(StreamQuestion { request_id, check }) = StreamQuestion::read(message) else {
            return Err(malformed::<api::CheckStreamRequest>(message));
        };
        let answer = self.begin_answer(message, request_id, check);
        Ok(answer.unwrap_or_else(|status| StreamAnswer::Ready(Reply::Stream(request_id, Err(failure(&status))))))
    }

    fn begin_answer(&mut self, message: &Bytes, id: u64, question: CheckQuestion<'_>) -> Result<StreamAnswer, Status> {
        let Self { pdp, call, last, ended, .. } = self;
        let now = ended.take().unwrap_or_else(|| pdp.now());
        let check = pdp.begin_at(now, Protocol::Grpc, call.timeout, call.parent)?;
        let asked = Asked::read(&check.snapshot.bundle, call, question, last)?;
        if let Some(Decided { outcome, at }) = check.decide_from_memory(&mut asked.question()) {
            *ended = Some(at);
            return Ok(StreamAnswer::Ready(Reply::Stream(id, Ok(outcome?))));
        }
        let (pdp, call, suspended) = (Arc::clone(pdp), Arc::clone(call), check.suspend());
        Ok(StreamAnswer::Waiting(Box::pin(decide_later(pdp, call, suspended, message.clone()))))
    }

    /// The next question that has come; `None` when there will be none.
    fn poll_question(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        let Some(questions) = &mut self.questions else { return Poll::Ready(None) };
        // A caller who never stops asking must let others have their turn. Answers that are ready leave meanwhile.
        if let Poll::Ready(turn) = coop::poll_proceed(cx) {
            turn.made_progress();
            if let Poll::Ready(question) = questions.poll_next(cx) {
                return Poll::Ready(question);
            }
        }
        // Looked at only here: what came before the doors close is still answered.
        self.closing.as_mut().poll(cx).map(|()| None)
    }
}

impl Answers {
    /// The next answer; an error is the end of the stream, and so is `None`, which is a good one.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Reply>, Status>> {
        loop {
            if !self.waiting.is_empty() {
                // These take time of their own.
                self.ended = None;
                if let Poll::Ready(Some(answer)) = self.waiting.poll_next_unpin(cx) {
                    return Poll::Ready(Ok(Some(answer)));
                }
                if self.questions.is_none() || self.waiting.len() >= STREAM_IN_FLIGHT {
                    return Poll::Pending;
                }
            }
            match ready!(self.poll_question(cx)).map(|message| self.answer(&message?)) {
                Some(Ok(StreamAnswer::Ready(answer))) => return Poll::Ready(Ok(Some(answer))),
                Some(Ok(StreamAnswer::Waiting(answer))) => self.waiting.push(answer),
                Some(Err(status)) => return Poll::Ready(Err(status)),
                None if self.waiting.is_empty() => {
                    let is_cut = self.shutdown.is_closing();
                    return Poll::Ready(if is_cut { Err(draining()) } else { Ok(None) });
                }
                None => self.questions = None,
            }
        }
    }

    /// Writes answers until there are no more for now, or enough for a frame.
    fn write_answers(&mut self, cx: &mut Context<'_>) {
        // Time has passed since this was last asked for answers.
        self.ended = None;
        while matches!(self.end, End::Open) && self.written.bytes().len() < FRAME_BYTES {
            self.end = match self.poll_answer(cx) {
                Poll::Ready(Ok(Some(reply))) => {
                    self.written.prepare(FRAME_BYTES_MAX);
                    self.encoder.frame(&reply, &mut self.written);
                    continue;
                }
                Poll::Ready(Ok(None)) => End::Reached(Status::ok("")),
                Poll::Ready(Err(status)) => End::Reached(status),
                Poll::Pending => return,
            };
            // Whatever still waits is answered by the end.
            self.questions = None;
            self.waiting.clear();
        }
    }
}

/// The answers as gRPC sends them: messages, and at the end the status as trailers. Tonic would ask for each answer by itself, and
/// move it several times.
impl Body for Answers {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        this.write_answers(cx);
        if !this.written.bytes().is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(this.written.take()))));
        }
        match std::mem::replace(&mut this.end, End::Told) {
            End::Open => {
                this.end = End::Open;
                Poll::Pending
            }
            End::Reached(status) => {
                let mut trailers = HeaderMap::with_capacity(3);
                Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
            }
            End::Told => Poll::Ready(None),
        }
    }
}

/// Goes on with a check that must ask the store. Its message is read again: that costs less than keeping copies of what each check
/// borrows from its message, when hardly one of them gets here.
async fn decide_later(pdp: Arc<Pdp>, call: Arc<Call>, suspended: SuspendedCheck, message: Bytes) -> Reply {
    // It was read before.
    let StreamQuestion { request_id, check: question } = StreamQuestion::read(&message).unwrap_or_default();
    let check = pdp.resume(suspended);
    let mut last = Last::default();
    let decided = match Asked::read(&check.snapshot.bundle, &call, question, &mut last) {
        Ok(asked) => check.decide_with_store(asked.question()).await.map_err(Status::from),
        Err(error) => Err(error.into()),
    };
    Reply::Stream(request_id, decided.map_err(|status| failure(&status)))
}

/// One question that cannot be answered does not end the stream for the others.
fn failure(status: &Status) -> api::CheckFailure {
    api::CheckFailure {
        status_code: i32::from(status.code()),
        code: tonic_types::StatusExt::get_details_error_info(status).map(|info| info.reason).unwrap_or_default(),
        message: status.message().to_owned(),
    }
}

#[cfg(test)]
#[path = "decision_stream_tests.rs"]
mod tests;
