//! Options of the trail: where records go, and what an answer waits for.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::OptionProblem;
use super::values::{StoreBackend, StoreUrl, parse_duration};

/// Where a replica over PostgreSQL keeps its journal when nothing is said.
const DEFAULT_DIR: &str = "/var/lib/chaperone/trail";
/// What the name of the embedded store's file is followed by in that of its journal's directory.
const BESIDE: &str = "-trail";

/// The trail.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Trail")]
pub struct TrailConfig {
    /// What an answer waits for
    #[arg(id = "trail-ack", long, env = "CHAPERONE_TRAIL_ACK", value_name = "ACK", default_value = "durable")]
    pub ack: TrailAck,
    /// Directory of this replica's journal, which no other process may use. Default: beside the embedded store's file, else
    /// /var/lib/chaperone/trail; a temporary one for a store in memory
    #[arg(id = "trail-dir", long, env = "CHAPERONE_TRAIL_DIR", value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Bytes that the journal may take on its disk; when they are used up, nothing is decided
    #[arg(
        id = "trail-quota-bytes",
        long,
        env = "CHAPERONE_TRAIL_QUOTA_BYTES",
        value_name = "BYTES",
        default_value = "8589934592"
    )]
    pub quota_bytes: u64,
    /// Bytes of records that wait to be written at most; when there is no room, checks wait
    #[arg(
        id = "trail-queue-bytes",
        long,
        env = "CHAPERONE_TRAIL_QUEUE_BYTES",
        value_name = "BYTES",
        default_value = "16777216"
    )]
    pub queue_bytes: usize,
    /// Bytes of one file of the journal
    #[arg(
        id = "trail-segment-bytes",
        long,
        env = "CHAPERONE_TRAIL_SEGMENT_BYTES",
        value_name = "BYTES",
        default_value = "67108864"
    )]
    pub segment_bytes: u64,
    /// How long records are kept; 0s is for ever
    #[arg(
        id = "trail-retention",
        long,
        env = "CHAPERONE_TRAIL_RETENTION",
        value_name = "DURATION",
        default_value = "90d",
        value_parser = parse_duration
    )]
    pub retention: Duration,
    /// Time between two signed checkpoints
    #[arg(
        id = "trail-checkpoint-interval",
        long,
        env = "CHAPERONE_TRAIL_CHECKPOINT_INTERVAL",
        value_name = "DURATION",
        default_value = "1m",
        value_parser = parse_duration
    )]
    pub checkpoint_interval: Duration,
    /// File with the Ed25519 key that checkpoints are signed with, in PKCS#8 PEM. Default: one that is made in the journal's directory
    #[arg(id = "trail-signing-key-file", long, env = "CHAPERONE_TRAIL_SIGNING_KEY_FILE", value_name = "FILE")]
    pub signing_key_file: Option<PathBuf>,
    /// File with the key that redacted attributes are hashed with, of at least 32 bytes. Default: one that is made in the journal's directory
    #[arg(id = "trail-redaction-key-file", long, env = "CHAPERONE_TRAIL_REDACTION_KEY_FILE", value_name = "FILE")]
    pub redaction_key_file: Option<PathBuf>,
}

/// What an answer waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum TrailAck {
    /// Its record is on this replica's disk.
    Durable,
    /// Its record is on the way there. A crash may lose the last ones.
    Enqueued,
    /// Its record is in PostgreSQL. Nothing is lost with this replica's disk.
    Store,
    /// Nothing: no records are made.
    Off,
}

/// Where a journal lies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TrailDir {
    /// Here.
    At(PathBuf),
    /// Wherever there is room while the process runs, as long as its store.
    Temporary,
}

impl TrailConfig {
    /// Where the journal lies.
    pub fn place(&self, store: &StoreUrl) -> TrailDir {
        if let Some(dir) = &self.dir {
            return TrailDir::At(dir.clone());
        }
        match store.backend() {
            StoreBackend::File(path) => {
                let mut dir = path.as_os_str().to_owned();
                dir.push(BESIDE);
                TrailDir::At(dir.into())
            }
            StoreBackend::Postgres(_) => TrailDir::At(DEFAULT_DIR.into()),
            StoreBackend::Memory => TrailDir::Temporary,
        }
    }

    pub(super) fn check(&self, store: Option<&StoreUrl>, problems: &mut Vec<OptionProblem>) {
        let mut problem = |option, message: &str| problems.push(OptionProblem { option, message: message.to_owned() });
        let over_postgres = store.is_none_or(|url| matches!(url.backend(), StoreBackend::Postgres(_)));
        if self.ack == TrailAck::Store && !over_postgres {
            let message = "`store` needs PostgreSQL; with the embedded store, `durable` is the safest there is";
            problem("trail-ack", message);
        }
        if self.segment_bytes < 64 * 1024 {
            problem("trail-segment-bytes", "it must be at least 65536");
        }
        if self.quota_bytes / 2 < self.segment_bytes {
            problem(
                "trail-quota-bytes",
                "it must be at least twice --trail-segment-bytes: only whole files are dropped",
            );
        }
        if self.queue_bytes < 1024 * 1024 {
            problem("trail-queue-bytes", "it must be at least 1048576: one record may be that long");
        }
        if self.checkpoint_interval.is_zero() {
            problem("trail-checkpoint-interval", "it must be longer than zero");
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::config::ServeConfig;

    fn trail(options: &[&str]) -> TrailConfig {
        ServeConfig::try_parse_from([&["chaperone"], options].concat()).expect("it parses").trail
    }

    #[test]
    fn journal_lies_beside_the_embedded_store_and_never_inside_of_another_process() {
        let place = |store: &str, options: &[&str]| trail(options).place(&store.parse().expect("a store"));
        let at = |dir: &str| TrailDir::At(dir.into());
        assert_eq!(place("embedded:/data/chaperone.db", &[]), at("/data/chaperone.db-trail"));
        assert_eq!(place("postgres://db/chaperone", &[]), at("/var/lib/chaperone/trail"));
        assert_eq!(place("embedded::memory:", &[]), TrailDir::Temporary);
        for store in ["embedded::memory:", "embedded:/data/chaperone.db", "postgres://db/chaperone"] {
            assert_eq!(place(store, &["--trail-dir=/journal"]), at("/journal"), "{store}");
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let problems = |store: &str, options: &[&str]| {
            let mut problems = Vec::new();
            trail(options).check(Some(&store.parse().expect("a store")), &mut problems);
            problems.into_iter().map(|problem| problem.option).collect::<Vec<_>>()
        };
        let embedded = "embedded:/data/chaperone.db";
        assert_eq!(problems(embedded, &[]), [] as [&str; 0]);
        assert_eq!(problems(embedded, &["--trail-ack=store"]), ["trail-ack"]);
        assert_eq!(problems("postgres://db/chaperone", &["--trail-ack=store"]), [] as [&str; 0]);
        assert_eq!(problems(embedded, &["--trail-quota-bytes=100000000"]), ["trail-quota-bytes"]);
        assert_eq!(problems(embedded, &["--trail-segment-bytes=1"]), ["trail-segment-bytes"]);
        assert_eq!(problems(embedded, &["--trail-queue-bytes=1"]), ["trail-queue-bytes"]);
        assert_eq!(problems(embedded, &["--trail-checkpoint-interval=0s"]), ["trail-checkpoint-interval"]);
    }
}
