//! Streams of changes, as watches answer them.

use std::pin::Pin;

use futures_util::Stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::status::{draining, with_reason};

/// What a watch answers.
pub(super) type Watch<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What `read` makes of each of `things` that changes; `None` is passed over. It ends with its first error, with changes that were missed,
/// and when `stop` is cancelled, so that it does not hold up a drain.
pub(super) fn watch<I, T, R>(
    things: &'static str,
    changes: Receiver<Option<I>>,
    stop: CancellationToken,
    read: impl Fn(I) -> R + Clone + Send + Sync + 'static,
) -> Watch<T>
where
    I: Clone + Send + 'static,
    T: Send + 'static,
    R: Future<Output = Result<Option<T>, Status>> + Send,
{
    Box::pin(futures_util::stream::unfold((changes, false), move |(mut changes, ended)| {
        let (stop, read) = (stop.clone(), read.clone());
        async move {
            if ended {
                return None;
            }
            let next = tokio::select! {
                () = stop.cancelled() => Err(draining()),
                next = next_change(things, &mut changes, &read) => next,
            };
            let ended = next.is_err();
            Some((next, (changes, ended)))
        }
    }))
}

async fn next_change<I: Clone, T, R: Future<Output = Result<Option<T>, Status>>>(
    things: &str,
    changes: &mut Receiver<Option<I>>,
    read: &impl Fn(I) -> R,
) -> Result<T, Status> {
    loop {
        match changes.recv().await {
            Ok(Some(id)) => {
                if let Some(change) = read(id).await? {
                    return Ok(change);
                }
            }
            Ok(None) => return Err(lagged("some", things)),
            Err(RecvError::Lagged(missed)) => return Err(lagged(&missed.to_string(), things)),
            Err(RecvError::Closed) => return Err(draining()),
        }
    }
}

fn lagged(missed: &str, things: &str) -> Status {
    let message = format!("{missed} changes were missed; list the {things} and watch again");
    with_reason(Code::DataLoss, "watch_lagged", message)
}
