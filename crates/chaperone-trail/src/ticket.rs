//! Tickets: what a caller holds until its record is durable.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::AppendError;

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
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// In the order of their tickets.
    wakers: VecDeque<(Ticket, Waker)>,
    /// First and last tickets that failed, in their order.
    failures: VecDeque<(u64, u64)>,
    /// Ranges up to here were forgotten: whoever asks about such a ticket is told that it failed.
    forgotten: u64,
}

impl Settlement {
    /// Whether `ticket` is settled, and how; the task is woken when it is.
    pub(crate) fn poll(&self, cx: &Context<'_>, ticket: Ticket) -> Poll<Result<(), AppendError>> {
        if ticket.0 > self.settled.load(Ordering::Acquire) {
            let mut waiting = self.waiting();
            // It is stored under the lock: who finds it unsettled here is in the list before the next look through it.
            if ticket.0 > self.settled.load(Ordering::Acquire) {
                waiting.register(ticket, cx.waker());
                return Poll::Pending;
            }
        }
        Poll::Ready(self.outcome(ticket))
    }

    /// Settles every ticket up to `through`.
    pub(crate) fn settle(&self, through: Ticket, durable: bool) {
        let mut waiting = self.waiting();
        let settled = self.settled.load(Ordering::Acquire);
        if through.0 <= settled {
            return;
        }
        if !durable {
            waiting.fail(settled + 1, through.0);
            self.last_failed.store(through.0, Ordering::Release);
        }
        self.settled.store(through.0, Ordering::Release);
        let ready = waiting.wakers.partition_point(|(ticket, _)| *ticket <= through);
        let woken: Vec<(Ticket, Waker)> = waiting.wakers.drain(..ready).collect();
        drop(waiting);
        let mut last: Option<Waker> = None;
        for (_, waker) in woken {
            // A task that waits for many tickets of a batch is woken once.
            if !last.as_ref().is_some_and(|last| last.will_wake(&waker)) {
                waker.wake_by_ref();
                last = Some(waker);
            }
        }
    }

    fn outcome(&self, ticket: Ticket) -> Result<(), AppendError> {
        if ticket.0 > self.last_failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let waiting = self.waiting();
        let failed = ticket.0 <= waiting.forgotten
            || waiting.failures.iter().any(|(first, last)| (*first..=*last).contains(&ticket.0));
        if failed { Err(AppendError::NotDurable) } else { Ok(()) }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn register(&mut self, ticket: Ticket, waker: &Waker) {
        // Nearly always at the end: who waits has just appended.
        let end = self.wakers.partition_point(|(other, _)| *other <= ticket);
        let begin = self.wakers.partition_point(|(other, _)| *other < ticket);
        if !self.wakers.range(begin..end).any(|(_, known)| known.will_wake(waker)) {
            self.wakers.insert(end, (ticket, waker.clone()));
        }
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
