//! Wakes tasks where they run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Handle, Id};

/// Tasks of one runtime, which one task of that runtime wakes.
///
/// To wake a task from another thread is to queue it where all threads look and to ring for its runtime, each by itself; and a runtime takes
/// such tasks one at a time, after all that they bring about. From within its runtime a task is just put behind the others, so
/// that the answers of a whole batch leave together.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    runtime: Id,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Who is to be woken.
    ready: Vec<Waker>,
    /// The task that wakes them.
    task: Option<Waker>,
    /// Whether there is no such task any more, or need be none.
    has_ended: bool,
}

impl Relay {
    /// Starts the task, in this runtime.
    pub fn start(handle: &Handle) -> Self {
        let relay = Self { runtime: handle.id(), shared: Arc::default() };
        let end = End(relay.clone());
        handle.spawn(std::future::poll_fn(move |cx| end.0.poll(cx)));
        relay
    }

    /// Whether it wakes the tasks of this runtime.
    pub fn is_of(&self, handle: &Handle) -> bool {
        self.runtime == handle.id()
    }

    /// Whether its runtime has ended.
    pub fn has_ended(&self) -> bool {
        self.shared().has_ended
    }

    /// Wakes them, from within their runtime if there still is one.
    pub fn wake(&self, wakers: Vec<Waker>) {
        if wakers.is_empty() {
            return;
        }
        let mut shared = self.shared();
        shared.ready.extend(wakers);
        let task = shared.task.take();
        let left = if shared.has_ended { std::mem::take(&mut shared.ready) } else { Vec::new() };
        drop(shared);
        if let Some(task) = task {
            task.wake();
        }
        wake_all(left);
    }

    /// Ends its task.
    pub fn end(&self) {
        let mut shared = self.shared();
        shared.has_ended = true;
        let (left, task) = (std::mem::take(&mut shared.ready), shared.task.take());
        drop(shared);
        wake_all(left);
        if let Some(task) = task {
            task.wake();
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut shared = self.shared();
        if shared.has_ended {
            return Poll::Ready(());
        }
        let ready = std::mem::take(&mut shared.ready);
        shared.task = Some(cx.waker().clone());
        drop(shared);
        wake_all(ready);
        Poll::Pending
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
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
pub(crate) fn wake_all(wakers: Vec<Waker>) {
    let mut last: Option<Waker> = None;
    for waker in wakers {
        if !last.as_ref().is_some_and(|last| last.will_wake(&waker)) {
            waker.wake_by_ref();
            last = Some(waker);
        }
    }
}
