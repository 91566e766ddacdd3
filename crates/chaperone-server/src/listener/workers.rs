//! Who serves connections: one task of the runtime that everything shares, or threads that each have a runtime of their own.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Accepted, Conn};

/// Workers that connections are handed to. A connection stays with its worker; when this is dropped, the workers end once theirs have.
#[derive(Debug)]
pub struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    queue: mpsc::UnboundedSender<Assigned>,
    /// A clone for each connection that this worker has.
    load: Arc<()>,
}

#[derive(Debug)]
struct Assigned {
    accepted: Accepted,
    load: Arc<()>,
}

impl Workers {
    /// One worker, on the runtime that this is called on, whose threads share its connections. Its end is awaited with `ends`.
    pub fn shared<S, F>(serve: S, ends: &mut JoinSet<()>) -> Self
    where
        S: Fn(Conn) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (worker, queue) = Worker::new();
        ends.spawn(work(queue, serve));
        Self(vec![worker])
    }

    /// Threads with a runtime each: a connection then never moves between cores. Their ends are awaited with `ends`; a thread that is
    /// not awaited any more ends at once.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be had.
    pub fn threads<S, F>(count: usize, serve: &S, ends: &mut JoinSet<()>) -> io::Result<Self>
    where
        S: Fn(Conn) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut workers = Vec::new();
        for number in 0..count.max(1) {
            let (worker, queue) = Worker::new();
            workers.push(worker);
            let work = work(queue, serve.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let stop = CancellationToken::new();
            let (done, ended) = tokio::sync::oneshot::channel::<()>();
            let stopped = stop.clone();
            std::thread::Builder::new().name(format!("data-plane-{number}")).spawn(move || {
                runtime.block_on(stopped.run_until_cancelled_owned(work));
                // With the runtime ends what was still in flight.
                drop((runtime, done));
            })?;
            let stop = stop.drop_guard();
            ends.spawn(async move {
                // It ends by an error: nothing is ever sent.
                let _ = ended.await;
                drop(stop);
            });
        }
        Ok(Self(workers))
    }

    /// Hands a connection to the worker that has the fewest.
    pub(super) fn take(&self, accepted: Accepted) {
        let working = self.0.iter().filter(|worker| !worker.queue.is_closed());
        let Some(worker) = working.min_by_key(|worker| Arc::strong_count(&worker.load)) else { return };
        let load = Arc::clone(&worker.load);
        // A worker that has just gone takes none: the connection is closed.
        let _ = worker.queue.send(Assigned { accepted, load });
    }
}

impl Worker {
    fn new() -> (Self, mpsc::UnboundedReceiver<Assigned>) {
        let (queue, receiver) = mpsc::unbounded_channel();
        (Self { queue, load: Arc::default() }, receiver)
    }
}

/// Serves what is handed over until nobody hands over any more, and then what is still open.
async fn work<S, F>(mut queue: mpsc::UnboundedReceiver<Assigned>, serve: S)
where
    S: Fn(Conn) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let assigned = tokio::select! {
            assigned = queue.recv() => assigned,
            Some(_) = connections.join_next() => continue,
        };
        let Some(Assigned { accepted, load }) = assigned else { break };
        let serve = serve.clone();
        connections.spawn(async move {
            if let Some(conn) = accepted.admit().await {
                serve(conn).await;
            }
            drop(load);
        });
    }
    while connections.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread::ThreadId;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::super::{ListenOptions, Listener};
    use super::*;

    const LOCAL: std::net::SocketAddr =
        std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    /// Greets with a byte, notes its thread, and holds the connection until the client closes it.
    fn greet(
        threads: &Arc<Mutex<Vec<ThreadId>>>,
    ) -> impl Fn(Conn) -> futures_util::future::BoxFuture<'static, ()> + Clone + use<> {
        let threads = Arc::clone(threads);
        move |mut conn| {
            threads.lock().expect("no panic").push(std::thread::current().id());
            Box::pin(async move {
                conn.write_all(b"x").await.expect("the client reads");
                let _ = conn.read(&mut [0]).await;
            })
        }
    }

    async fn connect(address: std::net::SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("it connects");
        stream.read_exact(&mut [0]).await.expect("it is greeted");
        stream
    }

    #[tokio::test]
    async fn few_connections_are_spread_over_all_threads() {
        let threads = Arc::default();
        let mut ends = JoinSet::new();
        let workers = Workers::threads(3, &greet(&threads), &mut ends).expect("threads can be had");
        let listener = Listener::bind(LOCAL).expect("a free port");
        let address = listener.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let options = ListenOptions::new("test", None, 8);
        let accepting = listener.hand_to(workers, options, async { drop(stopped.await) }).expect("within a runtime");
        let accepting = tokio::spawn(accepting);
        let open = [connect(address).await, connect(address).await, connect(address).await];
        let distinct: std::collections::HashSet<_> = threads.lock().expect("no panic").iter().copied().collect();
        assert_eq!(distinct.len(), 3, "each has its own");
        // When nobody accepts any more, the threads end with their connections, and not before.
        stop.send(()).expect("it is awaited");
        accepting.await.expect("no panic");
        assert!(ends.try_join_next().is_none());
        drop(open);
        while let Some(ended) = ends.join_next().await {
            ended.expect("no panic");
        }
    }

    #[tokio::test]
    async fn freed_worker_gets_the_next_connection() {
        let threads = Arc::default();
        let mut ends = JoinSet::new();
        let workers = Workers::threads(2, &greet(&threads), &mut ends).expect("threads can be had");
        let loads: Vec<_> = workers.0.iter().map(|worker| Arc::downgrade(&worker.load)).collect();
        let listener = Listener::bind(LOCAL).expect("a free port");
        let address = listener.local_addr();
        let options = ListenOptions::new("test", None, 8);
        let accepting = listener.hand_to(workers, options, std::future::pending()).expect("within a runtime");
        let _accepting = tokio::spawn(accepting);
        let first = connect(address).await;
        let _second = connect(address).await;
        let _third = connect(address).await;
        let _fourth = connect(address).await;
        drop(first);
        while loads.iter().map(std::sync::Weak::strong_count).sum::<usize>() > 2 + 3 {
            tokio::task::yield_now().await;
        }
        let _fifth = connect(address).await;
        let threads = threads.lock().expect("no panic");
        assert_eq!(threads[4], threads[0]);
    }

    #[tokio::test]
    async fn threads_that_are_not_awaited_end_with_what_is_in_flight() {
        let threads = Arc::default();
        let mut ends = JoinSet::new();
        let workers = Workers::threads(1, &greet(&threads), &mut ends).expect("threads can be had");
        let listener = Listener::bind(LOCAL).expect("a free port");
        let address = listener.local_addr();
        let options = ListenOptions::new("test", None, 8);
        let accepting = listener.hand_to(workers, options, std::future::pending()).expect("within a runtime");
        let _accepting = tokio::spawn(accepting);
        let mut open = connect(address).await;
        ends.shutdown().await;
        assert_eq!(open.read(&mut [0]).await.unwrap_or_default(), 0, "it was closed");
    }
}
