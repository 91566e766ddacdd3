//! Why the trail cannot be written.

use std::path::PathBuf;

use crate::sink::SinkError;

/// A record is not in the trail, or not certainly: nothing that depends on it may be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AppendError {
    /// More records wait than may wait. The caller may try again.
    #[error("the queue of the trail is full")]
    QueueFull,
    /// The journal has reached its quota. It goes on when records were shipped or dropped.
    #[error("the journal has reached its quota")]
    QuotaReached,
    /// Writing failed after something was written that this record relies on. The caller writes that again, and then this.
    #[error("what the record relies on may not be in the trail")]
    Interrupted,
    /// Writing failed, and has not been possible since.
    #[error("the trail cannot be written")]
    Failing,
    /// The trail was stopped.
    #[error("the trail is stopped")]
    Stopped,
    /// The record is longer than a record may be.
    #[error("the record is too long for the trail")]
    TooLarge,
    /// The record was taken, and then could not be made durable. It may be in the trail, or not.
    #[error("the record could not be made durable")]
    NotDurable,
    /// The event cannot be written as JSON.
    #[error("the record cannot be encoded")]
    Unencodable,
}

impl AppendError {
    /// The stable code, whatever the reason.
    #[expect(
        clippy::unused_self,
        reason = "callers have an error and want its code; that all have one is no business of theirs"
    )]
    pub const fn code(self) -> &'static str {
        "trail_unavailable"
    }
}

/// The trail cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// An option makes no sense.
    #[error("`{option}` {problem}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried, such as `open`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Another process writes this journal.
    #[error("the journal `{path}` is in use by another process")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A file of the journal was changed, or is missing.
    #[error("the journal is damaged: `{path}` at byte {offset}: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        problem: &'static str,
    },
    /// There is no journal.
    #[error("there is no journal in `{path}`")]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// The key of the checkpoints cannot be used.
    #[error("the signing key cannot be used: {problem}")]
    Key {
        /// Why not.
        problem: &'static str,
    },
    /// The sink does not take records.
    #[error("records cannot be handed on")]
    Sink(#[source] SinkError),
    /// A record of the writer's own cannot be written as JSON.
    #[error("a record cannot be encoded")]
    Encode(#[source] serde_json::Error),
    /// No thread could be started.
    #[error("the writer of the trail cannot be started")]
    Thread(#[source] std::io::Error),
    /// The writer ended before everything was durable.
    #[error("the writer of the trail did not stop in order")]
    Unfinished,
}
