//! How a trail is written.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::Timestamp;

use crate::error::TrailError;
use crate::observer::{NoObserver, Observer};
use crate::sink::Sink;

/// A record is never longer than this, in bytes.
pub(crate) const RECORD_BYTES_MAX: usize = 16 << 20;
/// A segment has room for some records.
const SEGMENT_BYTES_MIN: u64 = 4 << 10;
/// Offsets within a segment are kept in 32 bits.
const SEGMENT_BYTES_LIMIT: u64 = 1 << 30;

/// The present time; its home is the server's clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How a trail is written.
#[derive(Debug)]
pub struct TrailOptions {
    /// Where records are kept.
    pub keep: Keep,
    /// How many records may wait to be written.
    pub queue_len_max: usize,
    /// How many bytes of records may wait to be written.
    pub queue_bytes_max: usize,
    /// After it wrote some records together, the writer waits until as many have come again, at most for this long from when it began: what a
    /// write costs is then shared by more. A record that comes by itself is written at once, and so is what comes after a hundred.
    pub gather: Duration,
    /// A chain that grows is signed at least this often.
    pub checkpoint_interval: Duration,
    /// A chain is signed after at most this many records.
    pub checkpoint_records: u64,
    /// Who is told what the writer does.
    pub observer: Arc<dyn Observer>,
}

/// Where records are kept.
pub enum Keep {
    /// In segments in a directory.
    Journal(JournalOptions),
    /// Elsewhere: `ack = store`. Every start makes a new chain.
    Sink(Box<dyn Sink>),
}

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// The directory. It is made, for its owner alone, when it is not there.
    pub directory: PathBuf,
    /// A segment is not longer than this, in bytes: from 4 KiB to 1 GiB.
    pub segment_bytes_max: u64,
    /// The directory is not larger than this, in bytes, but for some checkpoints: at least two segments.
    pub quota_bytes: u64,
}

/// Who writes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The replica's name.
    pub replica: String,
    /// Its program's version.
    pub version: String,
}

impl TrailOptions {
    /// A journal in `directory`, with defaults: segments of 64 MiB, a quota of 8 GiB, a queue of 65 536 records and 64 MiB, half
    /// a millisecond to gather, and a checkpoint a minute or every 100 000 records.
    pub fn journal(directory: impl Into<PathBuf>) -> Self {
        Self::keep(Keep::Journal(JournalOptions {
            directory: directory.into(),
            segment_bytes_max: 64 << 20,
            quota_bytes: 8 << 30,
        }))
    }

    /// Records go to `sink`, with the same defaults.
    pub fn sink(sink: impl Sink) -> Self {
        Self::keep(Keep::Sink(Box::new(sink)))
    }

    fn keep(keep: Keep) -> Self {
        Self {
            keep,
            queue_len_max: 65_536,
            queue_bytes_max: 64 << 20,
            gather: Duration::from_micros(500),
            checkpoint_interval: Duration::from_mins(1),
            checkpoint_records: 100_000,
            observer: Arc::new(NoObserver),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), TrailError> {
        let refuse = |option, problem| Err(TrailError::Option { option, problem });
        if self.queue_len_max == 0 {
            return refuse("queue_len_max", "must be at least 1");
        }
        if self.queue_bytes_max == 0 {
            return refuse("queue_bytes_max", "must be at least 1");
        }
        if self.checkpoint_records == 0 {
            return refuse("checkpoint_records", "must be at least 1");
        }
        if self.checkpoint_interval.is_zero() {
            return refuse("checkpoint_interval", "must be longer than 0");
        }
        if let Keep::Journal(journal) = &self.keep {
            if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_LIMIT).contains(&journal.segment_bytes_max) {
                return refuse("segment_bytes_max", "must be from 4 KiB to 1 GiB");
            }
            if journal.quota_bytes / 2 < journal.segment_bytes_max {
                return refuse("quota_bytes", "must have room for two segments");
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(options) => f.debug_tuple("Journal").field(options).finish(),
            Self::Sink(_) => f.write_str("Sink"),
        }
    }
}
