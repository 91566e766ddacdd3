//! What waits to be written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chaperone_policy::Timestamp;

use crate::error::AppendError;
use crate::options::RECORD_BYTES_MAX;
use crate::space::Space;
use crate::ticket::Ticket;
use crate::trail::TrailStatus;

/// What a record in the journal has more than its body, at most: its place in the chain, and its frame.
const OVERHEAD_BYTES: u64 = 256;

/// Bodies of records, in the order of their tickets.
#[derive(Debug)]
pub(crate) struct Queue {
    len_max: usize,
    bytes_max: usize,
    space: Arc<Space>,
    inner: Mutex<Inner>,
    wake: Condvar,
    /// How often what was taken may not have become durable. Changed under the lock.
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Batch,
    last: u64,
    sleep: Sleep,
    failing: bool,
    stopping: bool,
}

/// What the writer waits for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Sleep {
    /// Nothing: it will look by itself.
    #[default]
    Awake,
    /// Any record.
    UntilAny,
    /// So many.
    UntilMany(usize),
}

/// Bodies that are written together: one allocation for all.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// The last ticket of those here and before.
    pub through: Ticket,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    end: usize,
    at: Timestamp,
}

/// Why the writer was woken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wake {
    /// There is work.
    Work,
    /// The time has come.
    Time,
    /// Nothing will come any more; what waited is in the batch.
    Stop,
}

impl Queue {
    pub fn new(len_max: usize, bytes_max: usize, space: Arc<Space>) -> Self {
        Self { len_max, bytes_max, space, inner: Mutex::default(), wake: Condvar::new(), generation: AtomicU64::new(0) }
    }

    /// How often what was taken may not have become durable.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Queues a body; where `generation` is given, only behind all that was queued in it.
    pub fn push(&self, at: Timestamp, body: &[u8], generation: Option<u64>) -> Result<Ticket, AppendError> {
        if body.len() as u64 + OVERHEAD_BYTES > RECORD_BYTES_MAX as u64 {
            return Err(AppendError::TooLarge);
        }
        let mut inner = self.inner();
        if inner.stopping {
            return Err(AppendError::Stopped);
        }
        if inner.failing {
            return Err(AppendError::Failing);
        }
        if generation.is_some_and(|generation| generation != self.generation()) {
            return Err(AppendError::Interrupted);
        }
        let batch = &inner.waiting;
        // A record that is longer than the queue is taken when nothing else waits.
        if batch.entries.len() >= self.len_max
            || !batch.entries.is_empty() && batch.bytes.len() + body.len() > self.bytes_max
        {
            return Err(AppendError::QueueFull);
        }
        if !self.space.reserve(body.len() as u64 + OVERHEAD_BYTES) {
            return Err(AppendError::QuotaReached);
        }
        inner.last += 1;
        let ticket = Ticket(inner.last);
        inner.waiting.push(at, body);
        inner.waiting.through = ticket;
        let wakes = match inner.sleep {
            Sleep::Awake => false,
            Sleep::UntilAny => true,
            Sleep::UntilMany(enough) => self.are_many(&inner.waiting, enough),
        };
        if wakes {
            inner.sleep = Sleep::Awake;
        }
        drop(inner);
        if wakes {
            self.wake.notify_one();
        }
        Ok(ticket)
    }

    /// Lets records come until `until`: those that come together are written together. Ends when `enough` have come, or the queue could
    /// become full.
    pub fn gather(&self, until: Instant, enough: usize) {
        let mut inner = self.inner();
        while !inner.stopping && !self.are_many(&inner.waiting, enough) {
            let patience = until.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                break;
            }
            inner.sleep = Sleep::UntilMany(enough);
            inner = self.wake.wait_timeout(inner, patience).unwrap_or_else(PoisonError::into_inner).0;
            inner.sleep = Sleep::Awake;
        }
    }

    /// Whether `enough` wait, or half of what may.
    fn are_many(&self, waiting: &Batch, enough: usize) -> bool {
        waiting.entries.len() >= enough.min(self.len_max.div_ceil(2))
            || waiting.bytes.len() >= self.bytes_max.div_ceil(2)
    }

    /// Takes all that waits into `batch`, which is empty; waits until `until` where nothing does.
    pub fn take(&self, batch: &mut Batch, until: Option<Instant>) -> Wake {
        let mut inner = self.inner();
        loop {
            if inner.stopping || !inner.waiting.entries.is_empty() {
                std::mem::swap(&mut inner.waiting, batch);
                inner.waiting.through = batch.through;
                return if inner.stopping { Wake::Stop } else { Wake::Work };
            }
            let patience = match until {
                None => Duration::MAX,
                Some(until) => until.saturating_duration_since(Instant::now()),
            };
            if patience.is_zero() {
                return Wake::Time;
            }
            inner.sleep = Sleep::UntilAny;
            inner = if patience == Duration::MAX {
                self.wake.wait(inner).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.wake.wait_timeout(inner, patience).unwrap_or_else(PoisonError::into_inner).0
            };
            inner.sleep = Sleep::Awake;
        }
    }

    /// Takes no more, and wakes the writer.
    pub fn stop(&self) {
        self.inner().stopping = true;
        self.wake.notify_one();
    }

    /// Gives back what was reserved for `batch`: it is written, or never will be.
    pub fn written(&self, batch: &Batch) {
        self.space.remove(batch.reserved_bytes());
    }

    /// Takes no more until [`resume`](Self::resume), and drops what waits. Tells the last ticket that was given out.
    pub fn fail(&self) -> Ticket {
        let mut inner = self.inner();
        inner.failing = true;
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.space.remove(inner.waiting.reserved_bytes());
        inner.waiting.clear();
        Ticket(inner.last)
    }

    /// Takes records again.
    pub fn resume(&self) {
        self.inner().failing = false;
    }

    /// Waits until `until`, or until the trail is to stop, which it tells.
    pub fn rest(&self, until: Instant) -> bool {
        let mut inner = self.inner();
        while !inner.stopping {
            let patience = until.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                break;
            }
            inner = self.wake.wait_timeout(inner, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.stopping
    }

    pub fn status(&self) -> TrailStatus {
        let inner = self.inner();
        TrailStatus {
            queue_len: inner.waiting.entries.len(),
            queue_bytes: inner.waiting.bytes.len(),
            failing: inner.failing,
            journal_bytes: self.space.used_bytes(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    pub fn push(&mut self, at: Timestamp, body: &[u8]) {
        self.bytes.extend_from_slice(body);
        self.entries.push(Entry { end: self.bytes.len(), at });
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// What its records may need in the journal.
    fn reserved_bytes(&self) -> u64 {
        self.bytes.len() as u64 + OVERHEAD_BYTES * self.entries.len() as u64
    }

    pub fn bodies(&self) -> impl Iterator<Item = (Timestamp, &[u8])> {
        let mut begin = 0;
        self.entries.iter().filter_map(move |entry| {
            let body = self.bytes.get(begin..entry.end);
            begin = entry.end;
            body.map(|body| (entry.at, body))
        })
    }
}
