//! The task that listens to `NOTIFY` and passes it on as a hint.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Error, Executor as _};

use crate::wake::Wake;

const CHANNEL: &str = "chaperone_changes";
/// How long to wait before connecting again: first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// After how much silence the connection is asked for an answer: one that died unseen would stay silent for ever.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long connecting, and an answer, may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Listens for as long as it is polled. What fails costs latency, never truth: the feed is polled as well.
pub(super) async fn listen(options: PgConnectOptions, wake: Arc<Wake>) {
    let mut backoff = BACKOFF.0;
    loop {
        match connect(options.clone()).await {
            Ok(mut listener) => {
                backoff = BACKOFF.0;
                // What was sent while no one listened is lost.
                wake.hint();
                let error = follow(&mut listener, &wake).await;
                tracing::warn!(error = %error, "stopped listening for changes; connecting again");
            }
            Err(error) => tracing::warn!(error = %error, "cannot listen for changes; they are seen by polling only"),
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF.1);
    }
}

async fn connect(options: PgConnectOptions) -> Result<PgListener, Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ANSWER_MAX)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(options);
    let mut listener = within(ANSWER_MAX, PgListener::connect_with(&pool)).await?;
    listener.ignore_pool_close_event(true);
    within(ANSWER_MAX, listener.listen(CHANNEL)).await?;
    Ok(listener)
}

/// Passes hints on until the connection fails.
async fn follow(listener: &mut PgListener, wake: &Wake) -> Error {
    loop {
        match tokio::time::timeout(SILENCE_MAX, listener.try_recv()).await {
            // `None` is a connection that was lost and made again: some hints may be lost with it.
            Ok(Ok(Some(_) | None)) => wake.hint(),
            Ok(Err(error)) => return error,
            Err(_silence) => {
                if let Err(error) = within(ANSWER_MAX, listener.execute("SELECT 1")).await {
                    return error;
                }
            }
        }
    }
}

async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(limit, answer).await.unwrap_or(Err(Error::PoolTimedOut))
}
