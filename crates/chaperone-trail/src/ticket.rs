//! Tickets: what a caller holds until its record is durable.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::error::AppendError;
use crate::relay::{Relay, Waiting, wake_all};

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
}

#[derive(Debug, Default)]
struct Book {
    /// Those without a runtime are woken by whoever settles.
    alone: Waiting,
    /// Those of each runtime that has any.
    relays: Vec<Relay>,
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
        if ticket.0 > self.settled.load(Ordering::Acquire) {
            let mut book = self.book();
            // It is stored under the lock: who finds it unsettled here is in the list before the next look through it.
            if ticket.0 > self.settled.load(Ordering::Acquire) {
                book.register(ticket, cx.waker(), until);
                return Poll::Pending;
            }
        }
        Poll::Ready(self.outcome(ticket))
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
        book.relays.retain(|relay| !relay.is_done());
        let relays = book.relays.clone();
        drop(book);
        wake_all(alone);
        for relay in relays {
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
    fn register(&mut self, ticket: Ticket, waker: &Waker, until: Option<Instant>) {
        let Ok(runtime) = Handle::try_current() else { return self.alone.register(ticket, waker, None) };
        if let Some(relay) = self.relays.iter().find(|relay| relay.is_of(&runtime)) {
            return relay.register(ticket, waker, until);
        }
        let relay = Relay::start(&runtime);
        relay.register(ticket, waker, until);
        self.relays.push(relay);
    }

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
        for relay in &self.book().relays {
            relay.end();
        }
    }
}
