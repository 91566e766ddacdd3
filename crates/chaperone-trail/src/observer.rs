//! What the writer tells about itself, for metrics and logs.

use std::fmt::Debug;
use std::time::Duration;

use crate::error::TrailError;

/// Is told what the writer does. It is called from the writer's thread and must not block.
pub trait Observer: Debug + Send + Sync + 'static {
    /// A batch is durable.
    fn committed(&self, commit: &Commit) {
        let _ = commit;
    }

    /// Writing failed: the trail is closed until [`recovered`](Self::recovered).
    fn failed(&self, error: &TrailError) {
        let _ = error;
    }

    /// Writing is possible again.
    fn recovered(&self) {}

    /// The last segment ended in the middle of a write, as after a crash: this many bytes, which nobody was told were durable,
    /// were cut off at the start.
    fn repaired(&self, bytes: u64) {
        let _ = bytes;
    }
}

/// A batch that was made durable.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Commit {
    /// Its records.
    pub records: u64,
    /// Their bytes, without frames.
    pub bytes: u64,
    /// How long writing took.
    pub write: Duration,
    /// How long the disk took to make it durable; zero with a sink, whose time is all in `write`.
    pub sync: Duration,
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}
