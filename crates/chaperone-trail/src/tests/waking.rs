//! Who wakes those that wait for their records.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet, yield_now};
use tokio::time::{Instant, timeout};

use crate::ticket::{Settlement, Ticket};

/// Tells which thread wakes it.
struct Bell(Mutex<Sender<ThreadId>>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.lock().unwrap().send(thread::current().id());
    }
}

fn bell() -> (Waker, Receiver<ThreadId>) {
    let (sender, woken) = channel();
    (Waker::from(Arc::new(Bell(Mutex::new(sender)))), woken)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// As the writer does, in its own thread, whose id this tells.
fn settle(settlement: &Arc<Settlement>, through: u64) -> ThreadId {
    let settlement = Arc::clone(settlement);
    let writer = thread::spawn(move || settlement.settle(Ticket(through), true));
    let id = writer.thread().id();
    writer.join().unwrap();
    id
}

fn wait(settlement: &Settlement, waker: &Waker, ticket: u64) {
    assert!(settlement.poll(&Context::from_waker(waker), Ticket(ticket), None).is_pending());
}

#[test]
fn task_is_woken_from_within_its_runtime() {
    let settlement = Arc::new(Settlement::default());
    let (waker, woken) = bell();
    runtime().block_on(async {
        for ticket in 1..=3 {
            wait(&settlement, &waker, ticket);
            settle(&settlement, ticket);
            assert!(woken.try_recv().is_err(), "the writer wakes the relay alone");
            let mut turns = 0;
            let by = loop {
                match woken.try_recv() {
                    Ok(by) => break by,
                    Err(_) if turns < 100 => turns += 1,
                    Err(error) => panic!("{error}"),
                }
                yield_now().await;
            };
            assert_eq!(by, thread::current().id());
        }
    });
}

#[test]
fn who_waits_without_a_runtime_or_after_it_is_woken_all_the_same() {
    let settlement = Arc::new(Settlement::default());
    let (waker, woken) = bell();
    wait(&settlement, &waker, 1);
    assert_eq!(settle(&settlement, 1), woken.try_recv().unwrap());

    let ended = runtime();
    ended.block_on(async { wait(&settlement, &waker, 2) });
    drop(ended);
    assert_eq!(settle(&settlement, 2), woken.try_recv().unwrap());

    // What was settled is told, though the runtime ends before it tells.
    let ended = runtime();
    ended.block_on(async { wait(&settlement, &waker, 3) });
    settle(&settlement, 3);
    drop(ended);
    woken.try_recv().unwrap();

    // A thread may stand in a runtime that has ended: whether somebody waited there before, or nobody did.
    let ended = runtime();
    ended.block_on(async { wait(&settlement, &waker, 4) });
    let handle = ended.handle().clone();
    drop(ended);
    assert_eq!(settle(&settlement, 4), woken.try_recv().unwrap());
    let _in_it = handle.enter();
    for ticket in 5..8 {
        wait(&settlement, &waker, ticket);
        assert_eq!(settle(&settlement, ticket), woken.try_recv().unwrap());
    }
}

/// Waits in a task of its own, which nothing else wakes: whether its ticket was settled before its time was over.
fn waits(settlement: &Arc<Settlement>, ticket: u64, until: Instant) -> JoinHandle<bool> {
    let (settlement, mut has_waited) = (Arc::clone(settlement), false);
    tokio::spawn(std::future::poll_fn(move |cx| match settlement.poll(cx, Ticket(ticket), Some(until)) {
        Poll::Ready(settled) => Poll::Ready(settled.is_ok()),
        Poll::Pending if std::mem::replace(&mut has_waited, true) && until <= Instant::now() => Poll::Ready(false),
        Poll::Pending => Poll::Pending,
    }))
}

async fn is_settled(waiting: JoinHandle<bool>) -> bool {
    timeout(Duration::from_secs(10), waiting).await.expect("it is woken").unwrap()
}

#[test]
fn who_waits_is_woken_when_its_time_is_over() {
    let settlement = Arc::new(Settlement::default());
    Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let after = |milliseconds| Instant::now() + Duration::from_millis(milliseconds);
        let patient = waits(&settlement, 1, after(3_600_000));
        yield_now().await;
        // Nearer than what the timer is set to.
        assert!(!is_settled(waits(&settlement, 2, after(5))).await);
        // And after it went off.
        assert!(!is_settled(waits(&settlement, 3, after(5))).await);
        // It goes off for one that does not wait any more, and then for the next.
        let (settled, next) = (waits(&settlement, 1, after(5)), waits(&settlement, 4, after(10)));
        yield_now().await;
        settle(&settlement, 1);
        assert!(is_settled(settled).await && is_settled(patient).await);
        assert!(!is_settled(next).await);
        // Its time was over before it waited.
        assert!(!is_settled(waits(&settlement, 4, Instant::now())).await);
    });
}

/// Else each answer would leave in a packet of its own.
#[test]
fn tasks_of_a_batch_run_before_what_they_bring_about() {
    const TASKS: u64 = 200;
    let settlement = Arc::new(Settlement::default());
    let (written, writes) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    runtime().block_on(async {
        let (answers, count) = (Arc::clone(&written), Arc::clone(&writes));
        tokio::spawn(async move {
            loop {
                answers.notified().await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut tasks = JoinSet::new();
        for ticket in 1..=TASKS {
            let (settlement, written) = (Arc::clone(&settlement), Arc::clone(&written));
            tasks.spawn(async move {
                std::future::poll_fn(|cx| settlement.poll(cx, Ticket(ticket), None)).await.unwrap();
                written.notify_one();
            });
        }
        yield_now().await;
        settle(&settlement, TASKS);
        while tasks.join_next().await.is_some() {}
    });
    let writes = writes.load(Ordering::Relaxed);
    assert!((1..20).contains(&writes), "{writes} writes of {TASKS} answers");
}
