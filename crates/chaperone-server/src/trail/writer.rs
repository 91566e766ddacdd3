//! This replica's chain of records, as the rest of the server writes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use chaperone_policy::recorded::BundleState;
use chaperone_policy::{DecisionId, MemoryLimits, Timestamp};
use chaperone_trail::{AppendError, DecisionText, Event, EventKind, State, Ticket, Trail};
use tokio::time::Instant;

use super::decided;
use super::observer::WriterState;
use super::redaction::RedactionKey;
use super::states::{self, KnownStates};
use crate::causes::causes;
use crate::no_decision::NoDecision;
use crate::pdp::Answer;
use crate::recorder::{Refused, Subject};
use crate::telemetry::Metrics;

/// How long to wait for room before looking again. The queue empties with every write of the disk.
const ROOM_PAUSE: Duration = Duration::from_millis(1);

/// Writes records. Clones share the chain.
#[derive(Clone, Debug)]
pub struct TrailWriter(Option<Arc<Chain>>);

#[derive(Debug)]
struct Chain {
    trail: Trail,
    state: WriterState,
    metrics: Arc<Metrics>,
    options: WriterOptions,
    /// Whether the last record found no room within the quota.
    is_over_quota: AtomicBool,
    states: KnownStates,
}

/// How records are written.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// Whether answers wait until their records are safe; else only until they are queued.
    pub is_awaited: bool,
    /// Bytes that the journal may take.
    pub quota_bytes: u64,
    /// For attributes that are recorded as a hash.
    pub redaction_key: RedactionKey,
    /// How much is remembered at most: decisions hang on it.
    pub limits: MemoryLimits,
}

/// How much room there must be for records to be begun again, in bytes.
const QUOTA_ROOM: u64 = 64 * 1024;

/// Why there is no record.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotRecorded {
    /// Too many wait to be written. There may be room in a moment.
    #[error("too many records wait to be written")]
    Full,
    /// The trail does not take it, or not certainly.
    #[error("the trail cannot be written")]
    Failed,
}

impl From<AppendError> for NotRecorded {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::QueueFull | AppendError::Interrupted => Self::Full,
            AppendError::QuotaReached
            | AppendError::Failing
            | AppendError::Stopped
            | AppendError::TooLarge
            | AppendError::NotDurable
            | AppendError::Unencodable => Self::Failed,
        }
    }
}

impl From<NotRecorded> for NoDecision {
    fn from(_: NotRecorded) -> Self {
        Self::TrailUnavailable
    }
}

/// What an answer waits for before it leaves: nothing, or a record.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Receipt(Option<Ticket>);

impl Receipt {
    /// Whether there is no record to wait for.
    pub const fn is_for_nothing(&self) -> bool {
        self.0.is_none()
    }

    /// For both: records become safe in their order.
    pub fn and(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}

impl TrailWriter {
    /// No records are made.
    pub const fn off() -> Self {
        Self(None)
    }

    /// To this chain.
    pub fn new(trail: Trail, state: WriterState, metrics: Arc<Metrics>, options: WriterOptions) -> Self {
        let is_over_quota = AtomicBool::new(false);
        Self(Some(Arc::new(Chain { trail, state, metrics, options, is_over_quota, states: KnownStates::default() })))
    }

    /// Whether no records are made.
    pub fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// Whether records cannot be written now: nothing should be begun that could not be recorded.
    pub fn has_failed(&self) -> bool {
        self.0.as_ref().is_some_and(|chain| chain.state.has_failed() || chain.is_over_quota())
    }

    /// Appends a decision. Never waits.
    ///
    /// # Errors
    /// When there is no record of it.
    pub fn decided(&self, answer: &Answer, subject: &Subject<'_>) -> Result<Receipt, NotRecorded> {
        let Some(chain) = &self.0 else { return Ok(Receipt::default()) };
        let generation = chain.trail.generation();
        let put = |state: State<'_>| chain.append_after(answer.at, &Event::State(state), generation).map(drop);
        let stretch = states::stretch(generation, answer.at);
        let bundle = || BundleState::new(&subject.snapshot.digest, &chain.options.limits).text();
        let states = chain.states.put(answer, subject, stretch, bundle, put)?;
        let key = &chain.options.redaction_key;
        let write = |text: &mut DecisionText<'_>| decided::write(text, answer, subject, &states, key);
        chain.appended(EventKind::Decision, chain.trail.append_decision(answer.at, generation, write))
    }

    /// Appends that there was no decision. Nobody waits for that, and where there is no record of it, that is counted.
    pub fn no_decision(&self, failure: NoDecision, refused: &Refused<'_>, at: Timestamp) {
        let Some(chain) = &self.0 else { return };
        let event = Event::NoDecision {
            id: refused.id,
            protocol: refused.protocol.as_str().into(),
            code: failure.code().into(),
            elapsed_us: u64::try_from(refused.elapsed.as_micros()).unwrap_or(u64::MAX),
            trace: refused.parent.map(decided::trace),
        };
        if chain.append(at, &event).is_err() {
            chain.metrics.trail().unrecorded();
        }
    }

    /// Appends what somebody did. Never waits.
    ///
    /// # Errors
    /// When there is no record of it.
    pub(super) fn append_act(&self, at: Timestamp, event: &Event<'_>) -> Result<Receipt, NotRecorded> {
        let Some(chain) = &self.0 else { return Ok(Receipt::default()) };
        chain.append(at, event).inspect_err(|_| chain.metrics.trail().unrecorded())
    }

    /// Appends what somebody did, and waits until that is safe.
    ///
    /// # Errors
    /// When it is not on record, or not certainly, within `patience`.
    pub(super) async fn acted(&self, at: Timestamp, event: &Event<'_>, patience: Duration) -> Result<(), NotRecorded> {
        let Some(chain) = &self.0 else { return Ok(()) };
        let recorded = async {
            loop {
                match chain.append(at, event) {
                    Ok(receipt) => return self.safe(receipt).await,
                    Err(NotRecorded::Full) => self.room().await,
                    Err(NotRecorded::Failed) => return Err(NotRecorded::Failed),
                }
            }
        };
        let recorded = tokio::time::timeout(patience, recorded).await.unwrap_or(Err(NotRecorded::Failed));
        recorded.inspect_err(|_| chain.metrics.trail().unrecorded())
    }

    /// Notes that there is no record of a decision that has left something behind. Nobody was answered by it.
    pub fn lost(&self, error: NotRecorded, decision: DecisionId) {
        let Some(chain) = &self.0 else { return };
        chain.metrics.trail().unrecorded();
        let error = causes(&error);
        tracing::error!(decision.id = %decision, error, "a decision that nobody was answered by is not on record");
    }

    /// Waits a moment, after which there may be room.
    pub async fn room(&self) {
        tokio::time::sleep(ROOM_PAUSE).await;
    }

    /// Whether the record is safe; the task is woken when that is known, or when it is `until`.
    pub fn poll_safe(
        &self,
        cx: &Context<'_>,
        receipt: &Receipt,
        until: Option<Instant>,
    ) -> Poll<Result<(), NotRecorded>> {
        match (&self.0, &receipt.0) {
            (Some(chain), Some(ticket)) => chain.trail.poll_durable(cx, *ticket, until).map_err(NotRecorded::from),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Brings the gauges to what is so now.
    pub fn note_gauges(&self) {
        if let Some(chain) = &self.0 {
            let status = chain.trail.status();
            chain.metrics.trail().queue_is(status.queue_len as u64);
            chain.metrics.trail().journal_is(status.journal_bytes);
        }
    }

    async fn safe(&self, receipt: Receipt) -> Result<(), NotRecorded> {
        std::future::poll_fn(|cx| self.poll_safe(cx, &receipt, None)).await
    }
}

impl Chain {
    fn append(&self, at: Timestamp, event: &Event<'_>) -> Result<Receipt, NotRecorded> {
        self.appended(event.kind(), self.trail.append(at, event))
    }

    /// As [`append`](Self::append), behind what was appended in this generation of the trail.
    fn append_after(&self, at: Timestamp, event: &Event<'_>, generation: u64) -> Result<Receipt, NotRecorded> {
        self.appended(event.kind(), self.trail.append_after(at, event, generation))
    }

    fn appended(&self, kind: EventKind, ticket: Result<Ticket, AppendError>) -> Result<Receipt, NotRecorded> {
        let ticket = ticket.inspect_err(|error| {
            if *error == AppendError::QuotaReached && !self.is_over_quota.swap(true, Ordering::Relaxed) {
                self.metrics.trail().failed("write");
                tracing::error!(
                    quota_bytes = self.options.quota_bytes,
                    "the journal has reached its quota; nothing is decided until records were shipped or dropped"
                );
            }
        })?;
        self.metrics.trail().appended(kind);
        Ok(Receipt(self.options.is_awaited.then_some(ticket)))
    }

    /// Whether there was no room, and is none yet.
    fn is_over_quota(&self) -> bool {
        if !self.is_over_quota.load(Ordering::Relaxed) {
            return false;
        }
        let has_room = self.trail.status().journal_bytes.saturating_add(QUOTA_ROOM) <= self.options.quota_bytes;
        if has_room && self.is_over_quota.swap(false, Ordering::Relaxed) {
            tracing::info!("the journal has room again");
        }
        !has_room
    }
}
