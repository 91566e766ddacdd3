//! The trail that a replica writes.

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Instant;

use chaperone_policy::Timestamp;

use crate::body;
use crate::chain::Chainer;
use crate::decision_text::DecisionText;
use crate::error::{AppendError, TrailError};
use crate::event::Event;
use crate::journal::{Disk, Journal, Segments, SystemDisk};
use crate::keeper::{Keeper, SinkKeeper};
use crate::key::{SigningKey, VerifyingKey};
use crate::options::{Clock, Identity, Keep, TrailOptions};
use crate::queue::Queue;
use crate::record::ChainId;
use crate::space::Space;
use crate::ticket::{Settlement, Ticket};
use crate::writer::{Draft, Signing, Writer};

/// Writes records. It is shared by all who write; clones are the same trail.
#[derive(Clone, Debug)]
pub struct Trail {
    shared: Arc<Shared>,
}

/// What callers and the writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub chain: ChainId,
    pub key: VerifyingKey,
    pub queue: Queue,
    pub segments: Option<Segments>,
    pub settlement: Settlement,
}

impl Shared {
    /// Takes no more records. What waits fails.
    pub fn fail(&self) {
        let through = self.queue.fail();
        self.settlement.settle(through, false);
    }
}

/// The thread that writes. Dropping it stops it in order, and waits for that.
#[derive(Debug)]
pub struct TrailThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<bool>>,
}

/// How a trail does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TrailStatus {
    /// Records that wait to be written.
    pub queue_len: usize,
    /// Their bytes.
    pub queue_bytes: usize,
    /// Whether writing fails just now.
    pub failing: bool,
    /// How large the journal is, in bytes, with room for what waits; with a sink that room alone.
    pub journal_bytes: u64,
}

thread_local! {
    static BODY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A thread keeps a buffer up to this size.
const BODY_BYTES_KEPT: usize = 64 << 10;

impl Trail {
    /// Opens the journal or takes the sink, and starts the thread that writes. What a crash left is repaired first. The first
    /// record of the new writer is `started`.
    ///
    /// `new_chain` is the id of the chain where none is there to go on with. It blocks.
    ///
    /// # Errors
    /// [`TrailError`].
    pub fn start(
        options: TrailOptions,
        identity: Identity,
        key: SigningKey,
        new_chain: ChainId,
        clock: Clock,
    ) -> Result<(Self, TrailThread), TrailError> {
        Self::start_on(Arc::new(SystemDisk), options, identity, key, new_chain, clock)
    }

    /// As [`start`](Self::start), on a file system.
    pub(crate) fn start_on(
        disk: Arc<dyn Disk>,
        options: TrailOptions,
        identity: Identity,
        key: SigningKey,
        new_chain: ChainId,
        clock: Clock,
    ) -> Result<(Self, TrailThread), TrailError> {
        options.validate()?;
        let (keeper, space, segments) = match options.keep {
            Keep::Journal(journal) => {
                let space = Arc::new(Space::new(journal.quota_bytes));
                let (journal, torn) = Journal::open(&journal, disk, Arc::clone(&space), new_chain)?;
                if torn > 0 {
                    options.observer.repaired(torn);
                }
                let segments = journal.segments().clone();
                (Keeper::Journal(Box::new(journal)), space, Some(segments))
            }
            Keep::Sink(sink) => {
                let keeper = SinkKeeper { chain: new_chain, sink, batch: Vec::new() };
                (Keeper::Sink(keeper), Arc::new(Space::unlimited()), None)
            }
        };
        let shared = Arc::new(Shared {
            chain: keeper.chain(),
            key: key.verifying_key(),
            segments,
            queue: Queue::new(options.queue_len_max, options.queue_bytes_max, space),
            settlement: Settlement::default(),
        });
        let mut writer = Writer {
            chainer: Chainer::new(keeper.chain(), keeper.head()),
            keeper,
            key,
            clock,
            observer: options.observer,
            shared: Arc::clone(&shared),
            signing: Signing {
                interval: options.checkpoint_interval,
                records_max: options.checkpoint_records,
                records: 0,
                since: Instant::now(),
            },
            gather: options.gather,
            draft: Draft::default(),
        };
        writer.begin(identity)?;
        let thread = std::thread::Builder::new()
            .name("trail".to_owned())
            .spawn(move || writer.run())
            .map_err(TrailError::Thread)?;
        Ok((Self { shared: Arc::clone(&shared) }, TrailThread { shared, thread: Some(thread) }))
    }

    /// Encodes the record and queues it. It never waits, and never drops: what cannot be taken is an error.
    ///
    /// # Errors
    /// [`AppendError`]: the record is not in the trail.
    pub fn append(&self, at: Timestamp, event: &Event<'_>) -> Result<Ticket, AppendError> {
        self.append_in(at, event, None)
    }

    /// Tells one time without failures of writing from another: what was appended in one is either all in the chain, in its order, or
    /// somebody was told that it is not.
    pub fn generation(&self) -> u64 {
        self.shared.queue.generation()
    }

    /// As [`append`](Self::append), for a record that relies on others that were appended in this [`generation`](Self::generation).
    ///
    /// # Errors
    /// [`AppendError`]; [`AppendError::Interrupted`] where those may not be in the trail.
    pub fn append_after(&self, at: Timestamp, event: &Event<'_>, generation: u64) -> Result<Ticket, AppendError> {
        self.append_in(at, event, Some(generation))
    }

    /// As [`append_after`](Self::append_after), of a decision that `write` writes.
    ///
    /// # Errors
    /// As [`append_after`](Self::append_after).
    pub fn append_decision(
        &self,
        at: Timestamp,
        generation: u64,
        write: impl FnOnce(&mut DecisionText<'_>),
    ) -> Result<Ticket, AppendError> {
        self.append_body(at, Some(generation), |body| body::encode_decision(body, at, write))
    }

    fn append_in(&self, at: Timestamp, event: &Event<'_>, generation: Option<u64>) -> Result<Ticket, AppendError> {
        self.append_body(at, generation, |body| body::encode(body, at, event))
    }

    fn append_body(
        &self,
        at: Timestamp,
        generation: Option<u64>,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), serde_json::Error>,
    ) -> Result<Ticket, AppendError> {
        let mut buffer = BODY.take();
        buffer.clear();
        let encoded = encode(&mut buffer).map_err(|_| AppendError::Unencodable);
        let ticket = encoded.and_then(|()| self.shared.queue.push(at, &buffer, generation));
        if buffer.capacity() <= BODY_BYTES_KEPT {
            BODY.set(buffer);
        }
        ticket
    }

    /// Whether the record of `ticket`, and so every one before it, is durable; the task is woken when that is known, or when it is `until`,
    /// which its runtime must have timers for.
    ///
    /// # Errors
    /// [`AppendError::NotDurable`]: nothing may be answered that depends on it.
    pub fn poll_durable(
        &self,
        cx: &Context<'_>,
        ticket: Ticket,
        until: Option<tokio::time::Instant>,
    ) -> Poll<Result<(), AppendError>> {
        self.shared.settlement.poll(cx, ticket, until)
    }

    /// Waits until the record of `ticket` is durable.
    ///
    /// # Errors
    /// As [`poll_durable`](Self::poll_durable).
    pub async fn durable(&self, ticket: Ticket) -> Result<(), AppendError> {
        std::future::poll_fn(|cx| self.poll_durable(cx, ticket, None)).await
    }

    /// The chain that is written.
    pub fn chain(&self) -> ChainId {
        self.shared.chain
    }

    /// The segments of the journal, to read, ship and remove; nothing with a sink.
    pub fn segments(&self) -> Option<&Segments> {
        self.shared.segments.as_ref()
    }

    /// The key that checkpoints are checked with.
    pub fn key(&self) -> VerifyingKey {
        self.shared.key
    }

    /// How it does.
    pub fn status(&self) -> TrailStatus {
        self.shared.queue.status()
    }
}

impl TrailThread {
    /// Stops in order: takes no more, writes what waits, signs, and ends with `stopped`. It blocks until that is durable.
    ///
    /// # Errors
    /// [`TrailError::Unfinished`] when it could not be made durable.
    pub fn stop(mut self) -> Result<(), TrailError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), TrailError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.shared.queue.stop();
        match thread.join() {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(TrailError::Unfinished),
        }
    }
}

impl Drop for TrailThread {
    fn drop(&mut self) {
        // Who wants to know calls `stop`.
        let _ = self.finish();
    }
}
