//! Streams that are made a message at a time.

use tokio_util::sync::CancellationToken;

use crate::admin::AdminError;
use crate::grpc::status::draining;
use crate::grpc::watch::Watch;

/// What gives one message after the other.
pub(super) trait Steps: Send + 'static {
    /// A message.
    type Item: Send + 'static;

    /// The next message; `None` after the last. Only asked for when the one before was taken, so a slow reader slows the work down.
    fn next(&mut self) -> impl Future<Output = Result<Option<Self::Item>, AdminError>> + Send;
}

/// The messages, until the last, the first error, or when `stop` is cancelled.
pub(super) fn stream<S: Steps>(steps: S, stop: CancellationToken) -> Watch<S::Item> {
    Box::pin(futures_util::stream::unfold(Some(steps), move |steps| {
        let stop = stop.clone();
        async move {
            let mut steps = steps?;
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => Err(draining()),
                next = steps.next() => next.map_err(Into::into),
            };
            let item = next.transpose()?;
            let rest = item.is_ok().then_some(steps);
            Some((item, rest))
        }
    }))
}
