//! The calls of one connection, run by the task that serves it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use hyper::rt::Executor;

/// How often a call is asked here before it gets a task of its own: asking all that wait for every one that need not any more is cheap only
/// as long as they wait for the same. What waits for its record is woken once for its batch, and at most once for the one before.
const TURNS_MAX: u8 = 8;

type BoxedFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the connection puts its calls.
#[derive(Clone)]
pub(super) enum Calls {
    /// Each into a task of its own, so that threads share the calls of a connection.
    Spawned,
    /// For [`Turns::run`].
    Gathered(Arc<Mutex<Vec<Call>>>),
}

/// One call.
pub(super) struct Call {
    future: BoxedFuture,
    /// How often it was asked.
    turns: u8,
}

/// Runs the calls of a connection in the task that reads it, after it has read all there is: the answers of many calls then leave together,
/// and those that wait for the same batch of records go on together.
pub(super) struct Turns {
    gathered: Option<Arc<Mutex<Vec<Call>>>>,
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
    waiting: Vec<Call>,
}

/// What wakes any call of a connection.
#[derive(Default)]
struct Bell {
    has_rung: AtomicBool,
    connection: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.has_rung.swap(true, Ordering::AcqRel) {
            self.connection.wake();
        }
    }
}

impl<F> Executor<F> for Calls
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        match self {
            Self::Spawned => drop(tokio::spawn(call)),
            Self::Gathered(gathered) => {
                let call = Call { future: Box::pin(call), turns: 0 };
                gathered.lock().unwrap_or_else(PoisonError::into_inner).push(call);
            }
        }
    }
}

impl Turns {
    /// For the calls that are put there.
    pub fn of(calls: &Calls) -> Self {
        let gathered = match calls {
            Calls::Spawned => None,
            Calls::Gathered(gathered) => Some(Arc::clone(gathered)),
        };
        let bell = Arc::<Bell>::default();
        Self { gathered, waker: Waker::from(Arc::clone(&bell)), bell, waiting: Vec::new() }
    }

    /// Runs what was gathered, and what waited and was woken; false when there was nothing. The task is woken when there is more to run.
    pub fn run(&mut self, cx: &Context<'_>) -> bool {
        let Some(gathered) = &self.gathered else { return false };
        // Before it is asked whether the bell has rung.
        self.bell.connection.register(cx.waker());
        let mut waiting = std::mem::take(&mut self.waiting);
        let has_rung = self.bell.has_rung.swap(false, Ordering::AcqRel);
        if has_rung {
            waiting = waiting.into_iter().filter_map(|call| call.run(&self.waker)).collect();
        }
        let new = std::mem::take(&mut *gathered.lock().unwrap_or_else(PoisonError::into_inner));
        let is_new = !new.is_empty();
        waiting.extend(new.into_iter().filter_map(|call| call.run(&self.waker)));
        self.waiting = waiting;
        has_rung || is_new
    }
}

impl Drop for Turns {
    /// What the connection leaves behind goes on by itself: it finds out that nobody waits for it, and ends as it must.
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        for call in self.waiting.drain(..) {
            runtime.spawn(call.future);
        }
    }
}

impl Call {
    /// Asks it, and returns it if it is to be asked here again.
    fn run(mut self, waker: &Waker) -> Option<Self> {
        if self.turns == TURNS_MAX {
            drop(tokio::spawn(self.future));
            return None;
        }
        self.turns += 1;
        let asked = || self.future.as_mut().poll(&mut Context::from_waker(waker));
        match catch_unwind(AssertUnwindSafe(asked)) {
            Ok(Poll::Pending) => Some(self),
            // A panic ends one call, as it would in a task of its own, and not the connection with all the others.
            Ok(Poll::Ready(())) | Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::{Notify, mpsc, oneshot};

    use super::*;

    /// A connection that only runs its calls, until `served`.
    async fn serve(turns: &mut Turns, served: impl Future<Output = ()>) {
        let mut served = std::pin::pin!(served);
        poll_fn(|cx| {
            while turns.run(cx) {}
            served.as_mut().poll(cx)
        })
        .await;
    }

    fn gathered() -> (Calls, Turns) {
        let calls = Calls::Gathered(Arc::default());
        let turns = Turns::of(&calls);
        (calls, turns)
    }

    /// The task that runs this.
    fn task() -> Option<tokio::task::Id> {
        tokio::task::try_id()
    }

    #[tokio::test]
    async fn call_that_waits_goes_on_in_its_connections_task() {
        let connection = tokio::spawn(async {
            let (calls, mut turns) = gathered();
            let (tell, told) = oneshot::channel::<()>();
            let (done, is_done) = oneshot::channel();
            calls.execute(async move {
                told.await.expect("it is told");
                done.send(task()).expect("somebody waits");
            });
            tokio::spawn(async move { tell.send(()).expect("the call waits") });
            let mut ran_in = None;
            serve(&mut turns, async { ran_in = is_done.await.expect("the call ends") }).await;
            assert_eq!(ran_in, task());
        });
        connection.await.expect("it holds");
    }

    #[tokio::test]
    async fn call_that_waits_for_something_else_than_the_others_gets_its_own_task() {
        let connection = tokio::spawn(async {
            let (calls, mut turns) = gathered();
            let asked = Arc::new(AtomicUsize::new(0));
            let (release, released) = oneshot::channel::<()>();
            let (done, is_done) = oneshot::channel();
            let counted = Arc::clone(&asked);
            calls.execute(async move {
                let mut released = released;
                let waited = poll_fn(|cx| {
                    counted.fetch_add(1, Ordering::SeqCst);
                    Pin::new(&mut released).poll(cx)
                });
                waited.await.expect("it is released");
                done.send(task()).expect("somebody waits");
            });
            // Another call that is woken again and again.
            let (ring, mut bell) = mpsc::channel::<()>(1);
            let heard = Arc::new(Notify::new());
            let told = Arc::clone(&heard);
            calls.execute(async move {
                while bell.recv().await.is_some() {
                    told.notify_one();
                }
            });
            let mut ran_in = None;
            serve(&mut turns, async {
                // More than a call takes part in.
                for _ in 0..2 * TURNS_MAX {
                    // Whoever has a task of its own by now still hears it.
                    ring.send(()).await.expect("it listens");
                    heard.notified().await;
                }
                release.send(()).expect("the call waits");
                ran_in = is_done.await.expect("the call ends");
            })
            .await;
            assert_ne!(ran_in, task(), "it has a task of its own");
            assert!(asked.load(Ordering::SeqCst) <= usize::from(TURNS_MAX) + 2, "{asked:?}");
        });
        connection.await.expect("it holds");
    }

    #[tokio::test]
    async fn panic_of_a_call_that_waited_ends_it_alone() {
        let (calls, mut turns) = gathered();
        let go = Arc::new(Notify::new());
        let (done, is_done) = oneshot::channel();
        let told = Arc::clone(&go);
        calls.execute(async move {
            told.notified().await;
            // One that is not told.
            std::panic::resume_unwind(Box::new(()));
        });
        let told = Arc::clone(&go);
        calls.execute(async move {
            told.notified().await;
            done.send(()).expect("somebody waits");
        });
        serve(&mut turns, async {
            tokio::task::yield_now().await;
            go.notify_waiters();
            is_done.await.expect("the other call ends");
        })
        .await;
        assert!(turns.waiting.is_empty());
    }

    #[tokio::test]
    async fn call_outlives_its_connection() {
        let (calls, mut turns) = gathered();
        let (tell, told) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        calls.execute(async move {
            told.await.expect("it is told");
            done.send(()).expect("somebody waits");
        });
        serve(&mut turns, tokio::task::yield_now()).await;
        drop(turns);
        tell.send(()).expect("the call waits");
        is_done.await.expect("the call ends");
    }
}
