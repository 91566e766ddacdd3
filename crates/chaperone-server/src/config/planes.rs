//! Options of the three doors: data plane, admin plane and HTTP.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::values::{RuntimeMode, parse_duration};
use crate::tls::{ClientCertificates, TlsFiles};

/// The data plane: the gRPC door for checks.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Data plane")]
pub struct DataConfig {
    /// Address that checks are answered on
    #[arg(
        id = "data-listen",
        long,
        env = "CHAPERONE_DATA_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:7401"
    )]
    pub listen: SocketAddr,
    /// Certificate chain in PEM; read again when it changes. Without it, plain text
    #[arg(id = "data-tls-cert", long, env = "CHAPERONE_DATA_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(id = "data-tls-key", long, env = "CHAPERONE_DATA_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Authorities in PEM that clients' certificates must come from. With it, a client certificate is required
    #[arg(id = "data-tls-client-ca", long, env = "CHAPERONE_DATA_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// SPIFFE IDs or DNS names of the clients that may connect, separated by commas. Empty: any with a valid certificate
    #[arg(
        id = "data-allowed-clients",
        long,
        env = "CHAPERONE_DATA_ALLOWED_CLIENTS",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub allowed_clients: Vec<String>,
    /// Largest message that is read, in bytes. Keep it above the body limit of Envoy's filter
    #[arg(
        id = "data-max-message-bytes",
        long,
        env = "CHAPERONE_DATA_MAX_MESSAGE_BYTES",
        value_name = "BYTES",
        default_value = "4194304"
    )]
    pub max_message_bytes: usize,
    /// Checks that wait for the store at once; more are shed, not queued. Those decided from memory do not count
    #[arg(
        id = "data-concurrency",
        long,
        env = "CHAPERONE_DATA_CONCURRENCY",
        value_name = "CHECKS",
        default_value = "1024"
    )]
    pub concurrency: usize,
    /// Open connections; more are closed at once
    #[arg(
        id = "data-max-connections",
        long,
        env = "CHAPERONE_DATA_MAX_CONNECTIONS",
        value_name = "CONNECTIONS",
        default_value = "1024"
    )]
    pub max_connections: usize,
    /// Concurrent streams of one connection
    #[arg(
        id = "data-max-streams",
        long,
        env = "CHAPERONE_DATA_MAX_STREAMS",
        value_name = "STREAMS",
        default_value = "256"
    )]
    pub max_streams: u32,
    /// Time for a check whose caller names no deadline
    #[arg(
        id = "data-default-deadline",
        long,
        env = "CHAPERONE_DATA_DEFAULT_DEADLINE",
        value_name = "DURATION",
        default_value = "1s",
        value_parser = parse_duration
    )]
    pub default_deadline: Duration,
    /// Whether all threads share the work, or each has its own connections
    #[arg(id = "data-runtime", long, env = "CHAPERONE_DATA_RUNTIME", value_name = "MODE", default_value = "shared")]
    pub runtime: RuntimeMode,
    /// Threads that answer checks when each has its own connections (per-core); 0 is one per core
    #[arg(id = "data-workers", long, env = "CHAPERONE_DATA_WORKERS", value_name = "THREADS", default_value = "0")]
    pub workers: usize,
}

/// The admin plane: the gRPC door for sessions, bundles and entities.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Admin plane")]
pub struct AdminConfig {
    /// Address of the admin plane. Beyond loopback it needs TLS, and a token or allowed clients
    #[arg(
        id = "admin-listen",
        long,
        env = "CHAPERONE_ADMIN_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:7402"
    )]
    pub listen: SocketAddr,
    /// Certificate chain in PEM; read again when it changes. Without it, plain text
    #[arg(id = "admin-tls-cert", long, env = "CHAPERONE_ADMIN_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(id = "admin-tls-key", long, env = "CHAPERONE_ADMIN_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Authorities in PEM that clients' certificates must come from
    #[arg(id = "admin-tls-client-ca", long, env = "CHAPERONE_ADMIN_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// SPIFFE IDs or DNS names of the clients that may administer without the token, separated by commas
    #[arg(
        id = "admin-allowed-clients",
        long,
        env = "CHAPERONE_ADMIN_ALLOWED_CLIENTS",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub allowed_clients: Vec<String>,
    /// File with the bearer token that opens the admin plane, of at least 16 characters; read again when it changes
    #[arg(id = "admin-token-file", long, env = "CHAPERONE_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Largest message that is read, in bytes. Keep it above the size of a bundle, which is 8 MiB at most
    #[arg(
        id = "admin-max-message-bytes",
        long,
        env = "CHAPERONE_ADMIN_MAX_MESSAGE_BYTES",
        value_name = "BYTES",
        default_value = "16777216"
    )]
    pub max_message_bytes: usize,
    /// Calls in flight at once on one connection; more are shed
    #[arg(
        id = "admin-concurrency",
        long,
        env = "CHAPERONE_ADMIN_CONCURRENCY",
        value_name = "CALLS",
        default_value = "64"
    )]
    pub concurrency: usize,
    /// Open connections; more are closed at once
    #[arg(
        id = "admin-max-connections",
        long,
        env = "CHAPERONE_ADMIN_MAX_CONNECTIONS",
        value_name = "CONNECTIONS",
        default_value = "128"
    )]
    pub max_connections: usize,
    /// Concurrent streams of one connection
    #[arg(
        id = "admin-max-streams",
        long,
        env = "CHAPERONE_ADMIN_MAX_STREAMS",
        value_name = "STREAMS",
        default_value = "64"
    )]
    pub max_streams: u32,
    /// Time for a call, streams excepted
    #[arg(
        id = "admin-timeout",
        long,
        env = "CHAPERONE_ADMIN_TIMEOUT",
        value_name = "DURATION",
        default_value = "30s",
        value_parser = parse_duration
    )]
    pub timeout: Duration,
}

/// The HTTP door: liveness, readiness and metrics.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "HTTP")]
pub struct HttpConfig {
    /// Address of /livez, /readyz and /metrics
    #[arg(
        id = "http-listen",
        long,
        env = "CHAPERONE_HTTP_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:7403"
    )]
    pub listen: SocketAddr,
    /// Certificate chain in PEM; read again when it changes. Without it, plain text
    #[arg(id = "http-tls-cert", long, env = "CHAPERONE_HTTP_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(id = "http-tls-key", long, env = "CHAPERONE_HTTP_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Open connections; more are closed at once
    #[arg(
        id = "http-max-connections",
        long,
        env = "CHAPERONE_HTTP_MAX_CONNECTIONS",
        value_name = "CONNECTIONS",
        default_value = "64"
    )]
    pub max_connections: usize,
}

impl DataConfig {
    /// The files for TLS, when it is on.
    pub fn tls(&self) -> Option<TlsFiles> {
        tls_files(self.tls_cert.as_deref(), self.tls_key.as_deref(), self.tls_client_ca.as_deref())
    }

    /// How many threads to answer on.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            workers => workers,
        }
    }
}

impl AdminConfig {
    /// The files for TLS, when it is on. A client that may show the token instead may come without a certificate.
    pub fn tls(&self) -> Option<TlsFiles> {
        let files = tls_files(self.tls_cert.as_deref(), self.tls_key.as_deref(), self.tls_client_ca.as_deref())?;
        let optional = self.token_file.is_some() && !self.allowed_clients.is_empty();
        Some(match files.clients {
            ClientCertificates::Required(authorities) if optional => {
                TlsFiles { clients: ClientCertificates::Optional(authorities), ..files }
            }
            _ => files,
        })
    }
}

impl HttpConfig {
    /// The files for TLS, when it is on.
    pub fn tls(&self) -> Option<TlsFiles> {
        tls_files(self.tls_cert.as_deref(), self.tls_key.as_deref(), None)
    }
}

fn tls_files(cert: Option<&Path>, key: Option<&Path>, client_ca: Option<&Path>) -> Option<TlsFiles> {
    let clients = client_ca.map_or(ClientCertificates::Ignored, |file| ClientCertificates::Required(file.to_owned()));
    Some(TlsFiles { cert: cert?.to_owned(), key: key?.to_owned(), clients })
}
