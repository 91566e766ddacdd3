//! Wakes tasks where they run.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Handle, Id};
use tokio::time::{Instant, Sleep};

use crate::ticket::Ticket;

/// Tasks of one runtime, which one task of that runtime wakes.
///
/// To wake a task from another thread is to queue it where all threads look and to ring for its runtime, each by itself; and a runtime takes
/// such tasks one at a time, after all that they bring about. From within its runtime a task is just put behind the others, so
/// that the answers of a whole batch leave together.
///
/// It has one timer for all of them: to set one for each that waits a millisecond costs more than to wait.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    runtime: Id,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Waiting,
    /// Who is to be woken.
    ready: Vec<Waker>,
    /// The task that wakes them.
    task: Option<Waker>,
    /// No later than the first of those who wait wants to be woken.
    alarm: Option<Instant>,
    /// Whether there is no such task any more, or need be none.
    has_ended: bool,
}

/// What became of somebody who wants to wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Registered {
    /// It is woken.
    Waits,
    /// There is nothing to wait for.
    Settled,
    /// The runtime has ended: nobody is woken here any more who was not here before.
    Ended,
}

/// Who waits, in the order of their tickets.
#[derive(Debug, Default)]
pub(crate) struct Waiting(VecDeque<Waiter>);

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    waker: Waker,
    until: Option<Instant>,
}

impl Relay {
    /// Starts the task, in this runtime.
    pub fn start(handle: &Handle) -> Self {
        let relay = Self { runtime: handle.id(), shared: Arc::default() };
        let end = End(relay.clone());
        let mut timer = None;
        handle.spawn(std::future::poll_fn(move |cx| end.0.poll(cx, &mut timer)));
        relay
    }

    /// Whether it wakes the tasks of this runtime.
    pub fn is_of(&self, handle: &Handle) -> bool {
        self.runtime == handle.id()
    }

    /// Whether its runtime has ended, and nobody waits any more.
    pub fn is_done(&self) -> bool {
        let shared = self.shared();
        shared.has_ended && shared.waiting.0.is_empty()
    }

    /// Wakes the task when `ticket` is settled, or it is `until`; where `is_open` says, with the list locked, that it is not settled yet.
    pub fn register(
        &self,
        ticket: Ticket,
        waker: &Waker,
        until: Option<Instant>,
        is_open: impl FnOnce() -> bool,
    ) -> Registered {
        let mut shared = self.shared();
        if shared.has_ended {
            return Registered::Ended;
        }
        if !is_open() {
            return Registered::Settled;
        }
        shared.waiting.register(ticket, waker, until);
        if let Some(until) = until
            && shared.alarm.is_none_or(|alarm| until < alarm)
        {
            shared.alarm = Some(until);
            let task = shared.task.take();
            drop(shared);
            task.into_iter().for_each(Waker::wake);
        }
        Registered::Waits
    }

    /// Wakes those whose tickets are settled, from within their runtime if there still is one.
    pub fn settle(&self, through: Ticket) {
        let mut shared = self.shared();
        let Shared { waiting, ready, .. } = &mut *shared;
        ready.extend(waiting.settled(through));
        if ready.is_empty() {
            return;
        }
        let task = shared.task.take();
        let left = if shared.has_ended { std::mem::take(&mut shared.ready) } else { Vec::new() };
        drop(shared);
        task.into_iter().for_each(Waker::wake);
        wake_all(left);
    }

    /// Ends its task.
    pub fn end(&self) {
        let mut shared = self.shared();
        shared.has_ended = true;
        let (left, task) = (std::mem::take(&mut shared.ready), shared.task.take());
        drop(shared);
        wake_all(left);
        task.into_iter().for_each(Waker::wake);
    }

    fn poll(&self, cx: &mut Context<'_>, timer: &mut Option<Pin<Box<Sleep>>>) -> Poll<()> {
        loop {
            let mut shared = self.shared();
            if shared.has_ended {
                return Poll::Ready(());
            }
            let ready = std::mem::take(&mut shared.ready);
            shared.task = Some(cx.waker().clone());
            let alarm = shared.alarm;
            drop(shared);
            wake_all(ready);
            let Some(alarm) = alarm else { return Poll::Pending };
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(alarm)));
            if timer.deadline() != alarm {
                timer.as_mut().reset(alarm);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.shared().sound();
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// It is time for the first of those who wait, unless that one was woken long ago: then for another, later.
    fn sound(&mut self) {
        let Self { waiting: Waiting(waiting), ready, alarm, .. } = self;
        let now = Instant::now();
        let is_over = |waiter: &Waiter| waiter.until.is_some_and(|until| until <= now);
        ready.extend(waiting.iter().filter(|waiter| is_over(waiter)).map(|waiter| waiter.waker.clone()));
        waiting.retain(|waiter| !is_over(waiter));
        *alarm = waiting.iter().filter_map(|waiter| waiter.until).min();
    }
}

impl Waiting {
    /// Puts somebody there who waits.
    ///
    /// Whoever is woken asks for all that it waits for, and so comes here again for what is not settled then: as long as it is woken for a
    /// ticket before this one, and no later than it wants to be, that is enough.
    pub fn register(&mut self, ticket: Ticket, waker: &Waker, until: Option<Instant>) {
        let wakes_in_time = |known: &Waiter| {
            let is_in_time = until.is_none_or(|until| known.until.is_some_and(|earlier| earlier <= until));
            known.ticket <= ticket && is_in_time && known.waker.will_wake(waker)
        };
        if self.0.back().is_some_and(wakes_in_time) {
            return;
        }
        // Nearly always at the end: who waits has just appended.
        let end = self.0.partition_point(|other| other.ticket <= ticket);
        let begin = self.0.partition_point(|other| other.ticket < ticket);
        if !self.0.range(begin..end).any(wakes_in_time) {
            self.0.insert(end, Waiter { ticket, waker: waker.clone(), until });
        }
    }

    /// Takes out those whose tickets are settled.
    pub fn settled(&mut self, through: Ticket) -> impl Iterator<Item = Waker> {
        let ready = self.0.partition_point(|waiter| waiter.ticket <= through);
        self.0.drain(..ready).map(|waiter| waiter.waker)
    }
}

/// The end of a relay's task, which may be that of its runtime.
struct End(Relay);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Wakes each task once that waits for many tickets of a batch.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let mut last: Option<Waker> = None;
    for waker in wakers {
        if !last.as_ref().is_some_and(|last| last.will_wake(&waker)) {
            waker.wake_by_ref();
            last = Some(waker);
        }
    }
}
