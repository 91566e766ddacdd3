//! A stream of checks. What can be decided from memory is answered where it is read; what waits for the store holds up nothing else.

use std::collections::VecDeque;
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
use crate::no_decision::NoDecision;
use crate::pdp::{Answer, Pdp, Protocol, SuspendedCheck, Withheld};
use crate::shutdown::Shutdown;

/// How many checks of one stream wait for the store at once; further questions wait in the stream's own flow control.
const STREAM_IN_FLIGHT: usize = 64;

/// How many bytes of answers leave at once, and for how many there is room. HTTP/2 cuts longer frames than this in two.
const FRAME_BYTES: usize = FRAME_BYTES_MAX - 1024;
const FRAME_BYTES_MAX: usize = 16 * 1024;

/// How many answers of one stream wait for their records at once; further questions wait as above. More than come in while a disk
/// writes, so that it is the disk that is waited for.
const STREAM_HELD: usize = 4_096;

/// What comes of a question of a stream.
enum StreamAnswer {
    /// It has no decision.
    Ready(Reply),
    /// Its record may still be on the way.
    Held(HeldAnswer),
    /// The store must be asked.
    Waiting(WaitingAnswer),
}

/// A decision, with the question's id.
type HeldAnswer = (u64, Withheld<Box<Answer>>);

type WaitingAnswer = Pin<Box<dyn Future<Output = Result<HeldAnswer, Reply>> + Send>>;

/// The answers of one stream. Those that need no waiting are ready together, and so leave in one frame; so do those whose records became
/// safe together.
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
    /// Decisions whose records are on the way, nearly in the order in which they will be safe.
    held: VecDeque<HeldAnswer>,
    /// What ends the stream after those.
    ending: Option<Status>,
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
            held: VecDeque::new(),
            ending: None,
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
        let mut check = pdp.begin_at(now, Protocol::Grpc, call.timeout, call.parent)?;
        let withheld = if check.assign_from_memory(last.claim(question.session_handle)) {
            let mut asked = Asked::read(&check.snapshot.bundle, call, question, last)?;
            check.decide_from_memory(&mut asked.question())
        } else {
            None
        };
        if let Some(withheld) = withheld {
            *ended = Some(withheld.ended());
            return Ok(StreamAnswer::Held((id, withheld)));
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
    /// Writes answers until there are no more for now, or enough for a frame. The end follows the last of them.
    fn write_answers(&mut self, cx: &mut Context<'_>) {
        if !matches!(self.end, End::Open) {
            return;
        }
        // Time has passed since this was last asked for answers.
        self.ended = None;
        self.decide_questions(cx);
        while self.written.bytes().len() < FRAME_BYTES
            && let Poll::Ready(reply) = self.poll_held(cx)
        {
            self.write(&reply);
        }
        if self.questions.is_none() && self.waiting.is_empty() && self.held.is_empty() {
            let is_cut = self.ending.is_none() && self.shutdown.is_closing();
            self.end =
                End::Reached(if is_cut { draining() } else { self.ending.take().unwrap_or_else(|| Status::ok("")) });
        }
    }

    /// Decides what has come, before any of it is waited for: what is decided together is recorded together.
    fn decide_questions(&mut self, cx: &mut Context<'_>) {
        while self.written.bytes().len() < FRAME_BYTES
            && let Poll::Ready(question) = self.poll_open_question(cx)
        {
            match question.map(|message| self.answer(&message?)) {
                Some(Ok(StreamAnswer::Ready(reply))) => self.write(&reply),
                Some(Ok(StreamAnswer::Held(held))) => self.hold(cx, held),
                Some(Ok(StreamAnswer::Waiting(answer))) => self.waiting.push(answer),
                Some(Err(status)) => {
                    self.questions = None;
                    // What is decided is still answered, but nothing more is done.
                    self.waiting.clear();
                    self.ending = Some(status);
                }
                None => self.questions = None,
            }
        }
        while let Poll::Ready(Some(decided)) = self.waiting.poll_next_unpin(cx) {
            match decided {
                Ok(held) => self.hold(cx, held),
                Err(reply) => self.write(&reply),
            }
        }
    }

    /// Keeps a decision until its record is safe; one that waits for no record is written while it is at hand.
    fn hold(&mut self, cx: &mut Context<'_>, (id, mut withheld): HeldAnswer) {
        if withheld.is_free()
            && let Poll::Ready(released) = self.pdp.poll_release(cx, &mut withheld)
        {
            self.write(&reply(id, released));
        } else {
            self.held.push_back((id, withheld));
        }
    }

    fn write(&mut self, reply: &Reply) {
        self.written.prepare(FRAME_BYTES_MAX);
        self.encoder.frame(reply, &mut self.written);
    }

    /// As [`Self::poll_question`], while more may be under way.
    fn poll_open_question(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        let is_full = self.waiting.len() >= STREAM_IN_FLIGHT || self.held.len() >= STREAM_HELD;
        if is_full || self.questions.is_none() { Poll::Pending } else { self.poll_question(cx) }
    }

    /// The first decision that was recorded, once its record is safe or its time is over.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        let Some((id, withheld)) = self.held.front_mut() else { return Poll::Pending };
        let id = *id;
        let released = ready!(self.pdp.poll_release(cx, withheld));
        self.held.pop_front();
        Poll::Ready(reply(id, released))
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
async fn decide_later(
    pdp: Arc<Pdp>,
    call: Arc<Call>,
    suspended: SuspendedCheck,
    message: Bytes,
) -> Result<HeldAnswer, Reply> {
    // It was read before.
    let StreamQuestion { request_id, check: question } = StreamQuestion::read(&message).unwrap_or_default();
    let mut check = pdp.resume(suspended);
    let mut last = Last::default();
    check.assign(last.claim(question.session_handle)).await;
    match Asked::read(&check.snapshot.bundle, &call, question, &mut last) {
        Ok(mut asked) => Ok((request_id, check.decide_with_store(asked.question()).await)),
        Err(error) => Err(Reply::Stream(request_id, Err(failure(&error.into())))),
    }
}

fn reply(id: u64, released: Result<Box<Answer>, NoDecision>) -> Reply {
    Reply::Stream(id, released.map_err(|error| failure(&error.into())))
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
