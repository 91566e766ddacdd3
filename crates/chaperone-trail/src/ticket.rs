//! Tickets: what a caller holds until its record is durable.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;

use crate::error::AppendError;
use crate::relay::{Relay, wake_all};

/// Stands for a record that was appended. Later records have greater tickets; a ticket means nothing after the process.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(pub(crate) u64);

/// In the order of their tickets.
#[derive(Debug, Default)]
struct Wakers(VecDeque<(Ticket, Waker)>);

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
    /// Those without a runtime are woken by whoever settles.
    alone: Wakers,
    /// Those of each runtime that has any.
    groups: Vec<(Relay, Wakers)>,
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
        let alone = waiting.alone.settled(through);
        let groups: Vec<_> =
            waiting.groups.iter_mut().map(|(relay, wakers)| (relay.clone(), wakers.settled(through))).collect();
        waiting.groups.retain(|(relay, wakers)| !relay.has_ended() || !wakers.0.is_empty());
        drop(waiting);
        wake_all(alone);
        for (relay, wakers) in groups {
            relay.wake(wakers);
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
        match Handle::try_current() {
            Ok(runtime) => self.group(&runtime).register(ticket, waker),
            Err(_) => self.alone.register(ticket, waker),
        }
    }

    /// Those of a runtime, of which there are a few.
    fn group(&mut self, runtime: &Handle) -> &mut Wakers {
        let place = self.groups.iter().position(|(relay, _)| relay.is_of(runtime));
        let place = place.unwrap_or_else(|| {
            self.groups.push((Relay::start(runtime), Wakers::default()));
            self.groups.len() - 1
        });
        self.groups.get_mut(place).map_or(&mut self.alone, |(_, wakers)| wakers)
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

impl Wakers {
    fn register(&mut self, ticket: Ticket, waker: &Waker) {
        // Nearly always at the end: who waits has just appended.
        let end = self.0.partition_point(|(other, _)| *other <= ticket);
        let begin = self.0.partition_point(|(other, _)| *other < ticket);
        if !self.0.range(begin..end).any(|(_, known)| known.will_wake(waker)) {
            self.0.insert(end, (ticket, waker.clone()));
        }
    }

    /// Takes out those whose tickets are settled.
    fn settled(&mut self, through: Ticket) -> Vec<Waker> {
        let ready = self.0.partition_point(|(ticket, _)| *ticket <= through);
        self.0.drain(..ready).map(|(_, waker)| waker).collect()
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        for (relay, _) in &self.waiting().groups {
            relay.end();
        }
    }
}
