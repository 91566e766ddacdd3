//! How far long work is, for who watches it on a terminal.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use crate::cli::output;
use crate::count_text::count_text;

/// How often it is told.
const INTERVAL: Duration = Duration::from_secs(2);

/// What was told, and when.
#[derive(Debug)]
pub struct Progress {
    told: Instant,
}

impl Progress {
    /// From now on.
    pub fn begin() -> Self {
        Self { told: Instant::now() }
    }

    /// Tells it on standard error, where that is a terminal, and not too often.
    pub fn tell(&mut self, record_count: u64) {
        self.tell_as(|| count_text(record_count, "record", "records"));
    }

    /// As [`Progress::tell`], in other words.
    pub fn tell_as(&mut self, words: impl FnOnce() -> String) {
        if self.told.elapsed() >= INTERVAL && io::stderr().is_terminal() {
            self.told = Instant::now();
            output::note(&format!("{} …", words()));
        }
    }
}
