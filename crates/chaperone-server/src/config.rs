//! Every option: its flag, its `CHAPERONE_*` variable, its unit and its default.
//!
//! A value comes from the flag, else from the environment, else from the file that `--config` names, else it is the default. The
//! file's keys are the flags: `[data] listen = "…"` is `--data-listen`. Everything is read and checked once, at start; what comes
//! after has values, never the environment.

mod alerts;
mod bundles;
mod check;
mod file;
mod load;
mod memory;
mod parts;
mod planes;
mod trail;
mod values;

use std::path::PathBuf;

use clap::{Args, Parser};

pub use alerts::{AlertSeverity, AlertsConfig, OnTokenReuse, WebhookUrl};
pub use bundles::BundlesConfig;
pub use check::OptionProblem;
pub use file::{FileError, FileProblem};
pub use load::{ConfigError, Loaded, Setting, Source, parse};
pub use memory::MemoryConfig;
pub use parts::{DecisionsConfig, FeedConfig, LogConfig, ProcessConfig, SessionsConfig, StoreConfig, TelemetryConfig};
pub use planes::{AdminConfig, DataConfig, HttpConfig};
pub use trail::{TrailAck, TrailConfig, TrailDir};
pub use values::{
    EvaluatorMode, LogFormat, RuntimeMode, StoreBackend, StoreUrl, StoreUrlError, parse_duration, parse_ratio,
};

/// Where the configuration file is.
#[derive(Args, Clone, Debug)]
pub struct FileConfig {
    /// Configuration file in TOML; its keys are these options
    #[arg(id = "config", long, env = "CHAPERONE_CONFIG", value_name = "FILE")]
    pub path: Option<PathBuf>,
}

/// Everything that a server needs to know.
#[derive(Clone, Debug, Parser)]
#[command(name = "chaperone")]
pub struct ServeConfig {
    /// The configuration file.
    #[command(flatten)]
    pub file: FileConfig,
    /// The store.
    #[command(flatten)]
    pub store: StoreConfig,
    /// The change feed.
    #[command(flatten)]
    pub feed: FeedConfig,
    /// The data plane.
    #[command(flatten)]
    pub data: DataConfig,
    /// The admin plane.
    #[command(flatten)]
    pub admin: AdminConfig,
    /// Bundles.
    #[command(flatten)]
    pub bundles: BundlesConfig,
    /// The HTTP door.
    #[command(flatten)]
    pub http: HttpConfig,
    /// Sessions.
    #[command(flatten)]
    pub sessions: SessionsConfig,
    /// What is remembered.
    #[command(flatten)]
    pub memory: MemoryConfig,
    /// Decisions.
    #[command(flatten)]
    pub decisions: DecisionsConfig,
    /// The trail.
    #[command(flatten)]
    pub trail: TrailConfig,
    /// Alerts.
    #[command(flatten)]
    pub alerts: AlertsConfig,
    /// Traces.
    #[command(flatten)]
    pub telemetry: TelemetryConfig,
    /// Logs.
    #[command(flatten)]
    pub log: LogConfig,
    /// The process.
    #[command(flatten)]
    pub process: ProcessConfig,
}

/// What `chaperone migrate` needs to know. It reads the same file as the server and takes its part.
#[derive(Clone, Debug, Parser)]
#[command(name = "chaperone")]
pub struct MigrateConfig {
    /// The configuration file.
    #[command(flatten)]
    pub file: FileConfig,
    /// The store.
    #[command(flatten)]
    pub store: StoreConfig,
    /// Logs.
    #[command(flatten)]
    pub log: LogConfig,
}
