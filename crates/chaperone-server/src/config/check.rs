//! What clap cannot see: options that contradict each other, and files that do not hold what they should.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chaperone_store::TreeLimits;
use tracing_subscriber::EnvFilter;

use super::values::{EvaluatorMode, StoreBackend, StoreUrl};
use super::{AdminConfig, DataConfig, FeedConfig, ServeConfig, SessionsConfig, StoreConfig, TelemetryConfig, TrailAck};
use crate::admin_auth::TokenFile;
use crate::tls::{Protocols, Tls, TlsFiles, canonical_client_name};

/// The longest lifetime that `--sessions-max-lifetime` may be.
const SESSION_LIFETIME_MAX: Duration = Duration::from_hours(30 * 24);
/// How long a replica's name may be, in bytes.
const REPLICA_ID_BYTES_MAX: usize = 128;

/// An option, or several together, that cannot be run with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OptionProblem {
    /// The option, without dashes before it.
    pub option: &'static str,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for OptionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{}: {}", self.option, self.message)
    }
}

/// The TLS options of one door, with their names.
struct Door<'a> {
    cert: (&'static str, &'a Option<PathBuf>),
    key: (&'static str, &'a Option<PathBuf>),
    client_ca: Option<(&'static str, &'a Option<PathBuf>)>,
    files: Option<TlsFiles>,
    protocols: Protocols,
}

type Problems = Vec<OptionProblem>;

fn problem(problems: &mut Problems, option: &'static str, message: impl Into<String>) {
    problems.push(OptionProblem { option, message: message.into() });
}

impl ServeConfig {
    /// Everything that forbids to run with this configuration; empty when there is nothing. Reads the files that it names.
    pub fn validate(&self) -> Vec<OptionProblem> {
        let mut problems = Vec::new();
        self.store.check(&mut problems);
        self.feed.check(&mut problems);
        self.data.check(&mut problems);
        self.admin.check(&mut problems);
        problems.extend(self.bundles.check(&self.admin));
        self.check_http(&mut problems);
        self.check_addresses(&mut problems);
        self.sessions.check(&mut problems);
        self.trail.check(self.store.url().ok().as_ref(), &mut problems);
        if let Err(problem) = self.alerts.webhook() {
            problems.push(problem);
        }
        self.telemetry.check(&mut problems);
        self.check_process(&mut problems);
        problems
    }

    /// What is allowed but deserves a second look.
    pub fn warnings(&self) -> Vec<OptionProblem> {
        let mut warnings = Vec::new();
        let data = &self.data;
        if !data.listen.ip().is_loopback() {
            if data.tls().is_none() {
                let message = "checks are answered beyond loopback without TLS: whoever reaches this port can ask, and can claim \
                               to be any proxy";
                problem(&mut warnings, "data-listen", message);
            } else if data.tls_client_ca.is_none() {
                let message = "clients are not authenticated: whoever reaches this port can claim to be any proxy";
                problem(&mut warnings, "data-tls-client-ca", message);
            }
        }
        if self.admin.listen.ip().is_loopback() && !self.admin.authenticates() {
            problem(&mut warnings, "admin-listen", "every process of this machine can administer");
        }
        if self.feed.stale_grace > Duration::ZERO {
            let message = "decisions are made from state that may lack a revocation";
            problem(&mut warnings, "feed-stale-grace", message);
        }
        if self.decisions.evaluator == EvaluatorMode::Cedar {
            problem(&mut warnings, "evaluator", "every policy is evaluated for every check, which is slow");
        }
        match self.trail.ack {
            TrailAck::Durable | TrailAck::Store => {}
            TrailAck::Enqueued => {
                let message = "answers leave before their records are on a disk: a crash loses the last ones";
                problem(&mut warnings, "trail-ack", message);
            }
            TrailAck::Off => {
                problem(&mut warnings, "trail-ack", "no records are made: nobody can tell later what was decided");
            }
        }
        if self.alerts.webhook_allow_plaintext {
            let message = "alerts may be sent where whoever is on the way can read them";
            problem(&mut warnings, "alert-webhook-allow-plaintext", message);
        }
        if self.store.url().is_ok_and(|url| url.backend() == StoreBackend::Memory) {
            problem(&mut warnings, "store-url", "sessions and bundles are gone when the process ends");
        }
        warnings
    }

    fn check_http(&self, problems: &mut Problems) {
        let http = &self.http;
        Door {
            cert: ("http-tls-cert", &http.tls_cert),
            key: ("http-tls-key", &http.tls_key),
            client_ca: None,
            files: http.tls(),
            protocols: Protocols::Http,
        }
        .check(problems);
        at_least_one(problems, "http-max-connections", http.max_connections);
    }

    fn check_addresses(&self, problems: &mut Problems) {
        let mut taken: BTreeMap<SocketAddr, &str> = BTreeMap::new();
        let addresses =
            [("data-listen", self.data.listen), ("admin-listen", self.admin.listen), ("http-listen", self.http.listen)];
        for (option, address) in addresses {
            if address.port() == 0 {
                continue;
            }
            if let Some(other) = taken.insert(address, option) {
                problem(problems, option, format!("`{address}` is the address of --{other} as well"));
            }
        }
    }

    fn check_process(&self, problems: &mut Problems) {
        if let Err(error) = EnvFilter::try_new(&self.log.filter) {
            problem(problems, "log-filter", error.to_string());
        }
        if let Some(id) = &self.process.replica_id
            && (id.is_empty() || id.len() > REPLICA_ID_BYTES_MAX || !id.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            let message = format!("a name is 1 to {REPLICA_ID_BYTES_MAX} visible ASCII characters");
            problem(problems, "replica-id", message);
        }
    }
}

impl StoreConfig {
    /// The store's URL, from the option or from its file.
    ///
    /// # Errors
    /// When there is none, or two, or it does not parse; or the file cannot be read.
    pub fn url(&self) -> Result<StoreUrl, OptionProblem> {
        let wrong = |option, message: String| Err(OptionProblem { option, message });
        match (&self.url, &self.url_file) {
            (Some(url), None) => Ok(url.clone()),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) => match text.trim().parse() {
                    Ok(url) => Ok(url),
                    Err(error) => wrong("store-url-file", format!("{}: {error}", path.display())),
                },
                Err(error) => wrong("store-url-file", format!("{}: {error}", path.display())),
            },
            (Some(_), Some(_)) => wrong("store-url-file", "set this or --store-url, not both".to_owned()),
            (None, None) => wrong("store-url", "say where the store is, with this or --store-url-file".to_owned()),
        }
    }

    fn check(&self, problems: &mut Problems) {
        if let Err(problem) = self.url() {
            problems.push(problem);
        }
        more_than_zero(problems, "store-timeout", self.timeout);
    }
}

impl FeedConfig {
    fn check(&self, problems: &mut Problems) {
        more_than_zero(problems, "feed-poll-interval", self.poll_interval);
        if self.poll_interval >= self.max_staleness {
            let message = format!(
                "{:?} is not longer than --feed-poll-interval, {:?}: nothing could ever be decided",
                self.max_staleness, self.poll_interval
            );
            problem(problems, "feed-max-staleness", message);
        }
    }
}

impl DataConfig {
    fn check(&self, problems: &mut Problems) {
        Door {
            cert: ("data-tls-cert", &self.tls_cert),
            key: ("data-tls-key", &self.tls_key),
            client_ca: Some(("data-tls-client-ca", &self.tls_client_ca)),
            files: self.tls(),
            protocols: Protocols::Grpc,
        }
        .check(problems);
        check_clients(problems, "data-allowed-clients", &self.allowed_clients, self.tls_client_ca.is_some());
        at_least_one(problems, "data-max-message-bytes", self.max_message_bytes);
        at_least_one(problems, "data-concurrency", self.concurrency);
        at_least_one(problems, "data-max-connections", self.max_connections);
        at_least_one(problems, "data-max-streams", usize::try_from(self.max_streams).unwrap_or(usize::MAX));
        more_than_zero(problems, "data-default-deadline", self.default_deadline);
    }
}

impl AdminConfig {
    /// Whether a caller must show who it is.
    pub fn authenticates(&self) -> bool {
        self.token_file.is_some() || (self.tls_client_ca.is_some() && !self.allowed_clients.is_empty())
    }

    fn check(&self, problems: &mut Problems) {
        Door {
            cert: ("admin-tls-cert", &self.tls_cert),
            key: ("admin-tls-key", &self.tls_key),
            client_ca: Some(("admin-tls-client-ca", &self.tls_client_ca)),
            files: self.tls(),
            protocols: Protocols::Grpc,
        }
        .check(problems);
        check_clients(problems, "admin-allowed-clients", &self.allowed_clients, self.tls_client_ca.is_some());
        if self.tls_client_ca.is_some() && !self.authenticates() {
            let message = "name the clients that may administer, or set --admin-token-file: a valid certificate alone is not enough";
            problem(problems, "admin-allowed-clients", message);
        }
        if !self.listen.ip().is_loopback() {
            if self.tls().is_none() {
                problem(problems, "admin-listen", "beyond loopback, --admin-tls-cert and --admin-tls-key are required");
            }
            if !self.authenticates() {
                let message = "beyond loopback, --admin-token-file, or --admin-tls-client-ca with --admin-allowed-clients, is required";
                problem(problems, "admin-listen", message);
            }
        }
        if let Some(path) = &self.token_file
            && let Err(error) = TokenFile::load(path)
        {
            problem(problems, "admin-token-file", error.to_string());
        }
        at_least_one(problems, "admin-max-message-bytes", self.max_message_bytes);
        at_least_one(problems, "admin-concurrency", self.concurrency);
        at_least_one(problems, "admin-max-connections", self.max_connections);
        at_least_one(problems, "admin-max-streams", usize::try_from(self.max_streams).unwrap_or(usize::MAX));
        more_than_zero(problems, "admin-timeout", self.timeout);
    }
}

impl SessionsConfig {
    /// How broad a tree may be.
    pub const fn tree(&self) -> TreeLimits {
        TreeLimits { children_max: self.children_max, sessions_max: self.tree_max }
    }

    fn check(&self, problems: &mut Problems) {
        more_than_zero(problems, "sessions-default-lifetime", self.default_lifetime);
        if self.default_lifetime > self.max_lifetime {
            problem(problems, "sessions-default-lifetime", "it is longer than --sessions-max-lifetime");
        }
        if self.max_lifetime > SESSION_LIFETIME_MAX {
            problem(problems, "sessions-max-lifetime", "it is longer than 30d");
        }
        more_than_zero(problems, "sessions-touch-interval", self.touch_interval);
        at_least_one(problems, "sessions-cache-size", self.cache_size);
        at_least_one(problems, "sessions-tree-max", usize::try_from(self.tree_max).unwrap_or(usize::MAX));
    }
}

impl TelemetryConfig {
    fn check(&self, problems: &mut Problems) {
        let endpoint = &self.otlp_endpoint;
        let is_usable = endpoint
            .parse::<http::Uri>()
            .is_ok_and(|uri| uri.scheme() == Some(&http::uri::Scheme::HTTP) && uri.host().is_some());
        if !endpoint.is_empty() && !is_usable {
            let message =
                format!("`{endpoint}` is not like `http://host:4317`; for TLS, run a collector beside this process");
            problem(problems, "telemetry-otlp-endpoint", message);
        }
        if self.service_name.is_empty() {
            problem(problems, "telemetry-service-name", "it is empty");
        }
    }
}

impl Door<'_> {
    fn check(&self, problems: &mut Problems) {
        match (self.cert, self.key) {
            ((_, Some(_)), (key, None)) => problem(problems, key, format!("--{} is set without its key", self.cert.0)),
            ((cert, None), (_, Some(_))) => {
                problem(problems, cert, format!("--{} is set without its certificate", self.key.0));
            }
            ((cert, None), (_, None)) => {
                if let Some((client_ca, Some(_))) = self.client_ca {
                    problem(problems, client_ca, format!("without --{cert} there is no TLS to show a certificate in"));
                }
            }
            ((_, Some(_)), (_, Some(_))) => {}
        }
        if let Some(files) = &self.files
            && let Err(error) = Tls::load(files.clone(), self.protocols)
        {
            problem(problems, self.cert.0, error.to_string());
        }
    }
}

fn check_clients(problems: &mut Problems, option: &'static str, clients: &[String], has_ca: bool) {
    if !clients.is_empty() && !has_ca {
        problem(problems, option, "clients can only be told apart by certificates: set the client authorities as well");
    }
    for client in clients {
        if canonical_client_name(client).is_none() {
            problem(
                problems,
                option,
                format!("`{client}` is neither a SPIFFE ID in its canonical form nor a DNS name"),
            );
        }
    }
}

fn at_least_one(problems: &mut Problems, option: &'static str, value: usize) {
    if value == 0 {
        problem(problems, option, "it must be at least 1");
    }
}

fn more_than_zero(problems: &mut Problems, option: &'static str, value: Duration) {
    if value.is_zero() {
        problem(problems, option, "it must be longer than zero");
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
