//! Options of what is behind the doors: store, feed, sessions, telemetry, logs and the process.
#![expect(clippy::doc_markdown, reason = "these texts are the options' help, which is read as it is")]

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::{EvaluatorMode, LogFormat, StoreUrl, StoreUrlParser, parse_duration, parse_ratio};
use crate::clock::Clock;

/// The store.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Store")]
pub struct StoreConfig {
    /// Where sessions and bundles are kept: postgres://…, embedded:PATH or embedded::memory:
    #[arg(
        id = "store-url",
        long,
        env = "CHAPERONE_STORE_URL",
        value_name = "URL",
        hide_env_values = true,
        value_parser = StoreUrlParser
    )]
    pub url: Option<StoreUrl>,
    /// File with the store's URL, for a URL that holds a password
    #[arg(id = "store-url-file", long, env = "CHAPERONE_STORE_URL_FILE", value_name = "FILE")]
    pub url_file: Option<PathBuf>,
    /// Connections to the store at most
    #[arg(
        id = "store-connections",
        long,
        env = "CHAPERONE_STORE_CONNECTIONS",
        value_name = "CONNECTIONS",
        default_value = "16",
        value_parser = clap::value_parser!(u32).range(1..=1_000)
    )]
    pub connections: u32,
    /// Time for one call to the store
    #[arg(
        id = "store-timeout",
        long,
        env = "CHAPERONE_STORE_TIMEOUT",
        value_name = "DURATION",
        default_value = "2s",
        value_parser = parse_duration
    )]
    pub timeout: Duration,
    /// Whether to listen for the store's notifications, which make changes arrive before the next poll
    #[arg(
        id = "store-notify",
        long,
        env = "CHAPERONE_STORE_NOTIFY",
        value_name = "BOOL",
        default_value = "true",
        action = clap::ArgAction::Set
    )]
    pub notify: bool,
}

/// The change feed.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Change feed")]
pub struct FeedConfig {
    /// Time between two reads of the feed
    #[arg(
        id = "feed-poll-interval",
        long,
        env = "CHAPERONE_FEED_POLL_INTERVAL",
        value_name = "DURATION",
        default_value = "100ms",
        value_parser = parse_duration
    )]
    pub poll_interval: Duration,
    /// Age of the last successful read from which no decision is made any more
    #[arg(
        id = "feed-max-staleness",
        long,
        env = "CHAPERONE_FEED_MAX_STALENESS",
        value_name = "DURATION",
        default_value = "1s",
        value_parser = parse_duration
    )]
    pub max_staleness: Duration,
    /// Time beyond that in which decisions are still made, from what may be out of date. A revocation may be missed
    #[arg(
        id = "feed-stale-grace",
        long,
        env = "CHAPERONE_FEED_STALE_GRACE",
        value_name = "DURATION",
        default_value = "0s",
        value_parser = parse_duration
    )]
    pub stale_grace: Duration,
}

/// Sessions.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Sessions")]
pub struct SessionsConfig {
    /// Lifetime of a session whose opener names none
    #[arg(
        id = "sessions-default-lifetime",
        long,
        env = "CHAPERONE_SESSIONS_DEFAULT_LIFETIME",
        value_name = "DURATION",
        default_value = "1h",
        value_parser = parse_duration
    )]
    pub default_lifetime: Duration,
    /// Longest lifetime that can be asked for, from now; 30 days at most
    #[arg(
        id = "sessions-max-lifetime",
        long,
        env = "CHAPERONE_SESSIONS_MAX_LIFETIME",
        value_name = "DURATION",
        default_value = "1d",
        value_parser = parse_duration
    )]
    pub max_lifetime: Duration,
    /// Whether a session without a binding is refused
    #[arg(
        id = "sessions-require-binding",
        long,
        env = "CHAPERONE_SESSIONS_REQUIRE_BINDING",
        value_name = "BOOL",
        default_value = "false",
        action = clap::ArgAction::Set
    )]
    pub require_binding: bool,
    /// Live sessions that one session may have been delegated to directly
    #[arg(
        id = "sessions-children-max",
        long,
        env = "CHAPERONE_SESSIONS_CHILDREN_MAX",
        value_name = "SESSIONS",
        default_value = "100"
    )]
    pub children_max: u32,
    /// Live sessions that one tree may have, its root included
    #[arg(
        id = "sessions-tree-max",
        long,
        env = "CHAPERONE_SESSIONS_TREE_MAX",
        value_name = "SESSIONS",
        default_value = "1000"
    )]
    pub tree_max: u32,
    /// Time between two writes of when sessions were last used. Idle time is only as exact as this
    #[arg(
        id = "sessions-touch-interval",
        long,
        env = "CHAPERONE_SESSIONS_TOUCH_INTERVAL",
        value_name = "DURATION",
        default_value = "5s",
        value_parser = parse_duration
    )]
    pub touch_interval: Duration,
    /// Sessions kept in memory at most
    #[arg(
        id = "sessions-cache-size",
        long,
        env = "CHAPERONE_SESSIONS_CACHE_SIZE",
        value_name = "SESSIONS",
        default_value = "100000"
    )]
    pub cache_size: usize,
}

/// Decisions.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Decisions")]
pub struct DecisionsConfig {
    /// What evaluates policies. Cedar's own evaluator decides the same, far slower: a fallback
    #[arg(id = "evaluator", long, env = "CHAPERONE_EVALUATOR", value_name = "MODE", default_value = "compiled")]
    pub evaluator: EvaluatorMode,
    /// Part of the decisions that are made again by Cedar's evaluator and compared, when that is to verify; from 0 to 1
    #[arg(
        id = "evaluator-verify-ratio",
        long,
        env = "CHAPERONE_EVALUATOR_VERIFY_RATIO",
        value_name = "RATIO",
        default_value = "0.01",
        value_parser = parse_ratio
    )]
    pub verify_ratio: f64,
}

/// Traces.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetryConfig {
    /// OpenTelemetry collector that receives a span per check by OTLP over gRPC, such as http://localhost:4317. Empty: none
    #[arg(
        id = "telemetry-otlp-endpoint",
        long,
        env = "CHAPERONE_TELEMETRY_OTLP_ENDPOINT",
        value_name = "URL",
        default_value = ""
    )]
    pub otlp_endpoint: String,
    /// Name of this service in traces
    #[arg(
        id = "telemetry-service-name",
        long,
        env = "CHAPERONE_TELEMETRY_SERVICE_NAME",
        value_name = "NAME",
        default_value = "chaperone"
    )]
    pub service_name: String,
    /// Part of the allowed checks without a caller's trace that are traced, from 0 to 1. Denials and errors always are
    #[arg(
        id = "telemetry-sample-ratio",
        long,
        env = "CHAPERONE_TELEMETRY_SAMPLE_RATIO",
        value_name = "RATIO",
        default_value = "1",
        value_parser = parse_ratio
    )]
    pub sample_ratio: f64,
    /// Spans that wait for the collector at most; more are dropped and counted
    #[arg(
        id = "telemetry-queue-size",
        long,
        env = "CHAPERONE_TELEMETRY_QUEUE_SIZE",
        value_name = "SPANS",
        default_value = "8192",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(512..=1_048_576)
    )]
    pub queue_size: usize,
}

/// Logs.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logs")]
pub struct LogConfig {
    /// How logs are written: auto is text on a terminal and JSON elsewhere
    #[arg(id = "log-format", long, env = "CHAPERONE_LOG_FORMAT", value_name = "FORMAT", default_value = "auto")]
    pub format: LogFormat,
    /// What is logged: a level, or levels by module such as `info,chaperone_server=debug`
    #[arg(id = "log-filter", long, env = "CHAPERONE_LOG_FILTER", value_name = "FILTER", default_value = "info")]
    pub filter: String,
}

/// The process.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Process")]
pub struct ProcessConfig {
    /// Name of this replica in traces, logs and records. Default: the host's name and a random part
    #[arg(id = "replica-id", long, env = "CHAPERONE_REPLICA_ID", value_name = "NAME")]
    pub replica_id: Option<String>,
    /// Time between the signal to stop and closing the doors, in which load balancers see that this replica is not ready
    #[arg(
        id = "drain-delay",
        long,
        env = "CHAPERONE_DRAIN_DELAY",
        value_name = "DURATION",
        default_value = "0s",
        value_parser = parse_duration
    )]
    pub drain_delay: Duration,
    /// Time for what is in flight to end after the doors are closed
    #[arg(
        id = "drain-timeout",
        long,
        env = "CHAPERONE_DRAIN_TIMEOUT",
        value_name = "DURATION",
        default_value = "20s",
        value_parser = parse_duration
    )]
    pub drain_timeout: Duration,
}

impl ProcessConfig {
    /// This replica's name: as configured, or the host's name and a random part, so that a restarted replica is another one.
    pub fn replica_name(&self, clock: &Clock) -> String {
        if let Some(id) = &self.replica_id {
            return id.clone();
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host: String = host.trim().chars().filter(char::is_ascii_graphic).take(64).collect();
        let [one, two, three, ..] = clock.random_32();
        let host = if host.is_empty() { "chaperone" } else { &host };
        format!("{host}-{one:02x}{two:02x}{three:02x}")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::config::ServeConfig;

    #[test]
    fn unnamed_replica_gets_another_name_each_time() {
        let mut process = ServeConfig::try_parse_from(["chaperone"]).expect("it parses").process;
        let clock = Clock::system();
        assert_ne!(process.replica_name(&clock), process.replica_name(&clock));
        process.replica_id = Some("pdp-1".to_owned());
        assert_eq!(process.replica_name(&clock), "pdp-1");
    }
}
