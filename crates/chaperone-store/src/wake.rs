//! Hints that the feed may have grown.

use tokio::sync::Notify;

/// Wakes whoever waits for changes, in this process.
#[derive(Debug, Default)]
pub(crate) struct Wake(Notify);

impl Wake {
    /// Wakes everyone who waits now, and the next one to come: who was still reading when the hint came must not miss it.
    pub(crate) fn hint(&self) {
        self.0.notify_waiters();
        self.0.notify_one();
    }

    /// Waits for a hint.
    pub(crate) async fn hinted(&self) {
        self.0.notified().await;
    }
}
