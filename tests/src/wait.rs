//! Waiting for a fact, with a deadline.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long anything may take to come about on a slow, shared machine. A test that passes never waits that long.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// Looks until `probe` finds something; panics with `what` after [`PATIENCE`].
pub async fn until<T>(what: impl Display, probe: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, probe).await
}

/// Looks until `probe` finds something; panics with `what` after `limit`.
pub async fn within<T>(limit: Duration, what: impl Display, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain: {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// As [`until`], for code that is not asynchronous.
pub fn until_blocking<T>(what: impl Display, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(INTERVAL);
    }
}
