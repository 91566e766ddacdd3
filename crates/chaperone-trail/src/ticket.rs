//! Tickets: what a caller holds until its record is durable.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::error::AppendError;
use crate::relay::{Registered, Relay, Waiting, wake_all};

/// Stands for a record that was appended. Later records have greater tickets; a ticket means nothing after the process.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(pub(crate) u64);

/// Failed ranges that are remembered. A range is one outage, and a ticket is waited for only briefly.
const FAILURES_MAX: usize = 256;

/// Which tickets are settled, and who waits for the others.
#[derive(Debug, Default)]
pub(crate) struct Settlement {
    /// Every ticket up to here is settled.
    settled: AtomicU64,
    /// No ticket after this one has failed.
    last_failed: AtomicU64,
    book: Mutex<Book>,
    /// Those of each runtime in which somebody waits. Changed under the book's lock.
    relays: ArcSwap<Vec<Relay>>,
}

#[derive(Debug, Default)]
struct Book {
    /// Those without a runtime are woken by whoever settles.
    alone: Waiting,
    /// First and last tickets that failed, in their order.
    failures: VecDeque<(u64, u64)>,
    /// Ranges up to here were forgotten: whoever asks about such a ticket is told that it failed.
    forgotten: u64,
}

impl Settlement {
    /// Whether `ticket` is settled, and how; the task is woken when it is, or when it is `until`, if its runtime has timers.
    pub(crate) fn poll(
        &self,
        cx: &Context<'_>,
        ticket: Ticket,
        until: Option<Instant>,
    ) -> Poll<Result<(), AppendError>> {
        if ticket.0 > self.settled.load(Ordering::Acquire) && self.register(ticket, cx.waker(), until) {
            return Poll::Pending;
        }
        Poll::Ready(self.outcome(ticket))
    }

    /// Whether there is something to wait for: then the waker is where it is found when that has come.
    fn register(&self, ticket: Ticket, waker: &Waker, until: Option<Instant>) -> bool {
        // Asked with the list locked: who is not settled then is in the list before the next look through it.
        let is_open = || ticket.0 > self.settled.load(Ordering::Acquire);
        if let Ok(runtime) = Handle::try_current() {
            // Nearly every check comes by here, and by no lock that those of other runtimes take.
            let relays = self.relays.load();
            let registered = match relays.iter().find(|relay| relay.is_of(&runtime)) {
                Some(relay) => relay.register(ticket, waker, until, is_open),
                None => self.relay(&runtime).register(ticket, waker, until, is_open),
            };
            match registered {
                Registered::Waits => return true,
                Registered::Settled => return false,
                Registered::Ended => {}
            }
        }
        let mut book = self.book();
        let waits = is_open();
        if waits {
            book.alone.register(ticket, waker, None);
        }
        waits
    }

    /// That of a runtime, which is started where there is none.
    fn relay(&self, runtime: &Handle) -> Relay {
        let _book = self.book();
        let relays = self.relays.load();
        if let Some(relay) = relays.iter().find(|relay| relay.is_of(runtime)) {
            return relay.clone();
        }
        let relay = Relay::start(runtime);
        self.relays.store(Arc::new(relays.iter().chain([&relay]).cloned().collect()));
        relay
    }

    /// Settles every ticket up to `through`.
    pub(crate) fn settle(&self, through: Ticket, durable: bool) {
        let mut book = self.book();
        let settled = self.settled.load(Ordering::Acquire);
        if through.0 <= settled {
            return;
        }
        if !durable {
            book.fail(settled + 1, through.0);
            self.last_failed.store(through.0, Ordering::Release);
        }
        self.settled.store(through.0, Ordering::Release);
        let alone: Vec<_> = book.alone.settled(through).collect();
        // After that was stored, and under the lock under which relays are made: whoever waits in one that is not here sees that it is settled.
        let relays = self.relays.load_full();
        if relays.iter().any(Relay::is_done) {
            self.relays.store(Arc::new(relays.iter().filter(|relay| !relay.is_done()).cloned().collect()));
        }
        drop(book);
        wake_all(alone);
        for relay in &*relays {
            relay.settle(through);
        }
    }

    fn outcome(&self, ticket: Ticket) -> Result<(), AppendError> {
        if ticket.0 > self.last_failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let book = self.book();
        let failed = ticket.0 <= book.forgotten
            || book.failures.iter().any(|(first, last)| (*first..=*last).contains(&ticket.0));
        if failed { Err(AppendError::NotDurable) } else { Ok(()) }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn fail(&mut self, first: u64, last: u64) {
        match self.failures.back_mut() {
            Some(range) if range.1 + 1 == first => range.1 = last,
            _ => self.failures.push_back((first, last)),
        }
        if self.failures.len() > FAILURES_MAX
            && let Some((_, last)) = self.failures.pop_front()
        {
            self.forgotten = last;
        }
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        for relay in &**self.relays.load() {
            relay.end();
        }
    }
}
