//! Stopping: not ready first, then the doors close, then what is in flight ends; a second signal ends it all.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Exit code after a second signal: as a shell tells of a process that SIGINT ended.
const EXIT_AT_ONCE: i32 = 130;

/// How far stopping has come. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    draining: CancellationToken,
    closing: CancellationToken,
}

/// How draining ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Drained {
    /// Everything in flight ended.
    Whole,
    /// Time was up; what was still in flight is lost.
    TimedOut,
}

impl Shutdown {
    /// Nothing has been asked to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to stop: from now on the process is not ready, and `delay` later the doors close.
    ///
    /// The delay is for load balancers to see that the process is not ready, before connections are refused.
    pub async fn begin(&self, delay: Duration) {
        self.draining.cancel();
        tokio::time::sleep(delay).await;
        self.closing.cancel();
    }

    /// Waits for SIGTERM or SIGINT and begins to stop; a second signal exits at once. Spawn it.
    ///
    /// # Errors
    /// When the process cannot listen for signals.
    pub async fn on_signal(self, delay: Duration) -> std::io::Result<()> {
        let mut signals = Signals::new()?;
        let signal = signals.next().await;
        tracing::info!(signal, "stopping; a second signal stops at once");
        let begin = async {
            self.begin(delay).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = begin => {}
            signal = signals.next() => {
                tracing::warn!(signal, "stopping at once");
                std::process::exit(EXIT_AT_ONCE);
            }
        }
        Ok(())
    }

    /// Whether stopping has begun: the process must say that it is not ready.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits until stopping has begun.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Whether the doors are to close.
    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Waits until the doors are to close: the signal for a server's graceful end.
    pub async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// Waits until the doors are to close, and then for `doors` to end, for `timeout` at most.
    pub async fn drain(&self, doors: impl Future<Output = ()>, timeout: Duration) -> Drained {
        let expiry = async {
            self.closing().await;
            tokio::time::sleep(timeout).await;
        };
        tokio::select! {
            () = doors => Drained::Whole,
            () = expiry => Drained::TimedOut,
        }
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "interrupt"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn process_is_not_ready_before_its_doors_close() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_draining());
        let begin = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.begin(Duration::from_hours(1)).await }
        });
        shutdown.draining().await;
        assert!(shutdown.is_draining() && !shutdown.closing.is_cancelled());
        begin.abort();
        shutdown.begin(Duration::ZERO).await;
        shutdown.closing().await;
    }

    #[tokio::test]
    async fn draining_waits_for_what_is_in_flight_and_no_longer_than_it_may() {
        let shutdown = Shutdown::new();
        shutdown.begin(Duration::ZERO).await;
        let (done, work) = tokio::sync::oneshot::channel();
        let drained = tokio::spawn({
            let shutdown = shutdown.clone();
            let work = async { work.await.expect("it is sent") };
            async move { shutdown.drain(work, Duration::from_hours(1)).await }
        });
        done.send(()).expect("it is awaited");
        assert_eq!(drained.await.expect("it ends"), Drained::Whole);
        assert_eq!(shutdown.drain(std::future::pending(), Duration::ZERO).await, Drained::TimedOut);
    }
}
