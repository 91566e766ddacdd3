//! Where the server is, and how to speak with it.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use chaperone_api::chaperone::v1::approval_service_client::ApprovalServiceClient;
use chaperone_api::chaperone::v1::decision_service_client::DecisionServiceClient;
use chaperone_api::chaperone::v1::entity_service_client::EntityServiceClient;
use chaperone_api::chaperone::v1::policy_service_client::PolicyServiceClient;
use chaperone_api::chaperone::v1::rollout_service_client::RolloutServiceClient;
use chaperone_api::chaperone::v1::session_service_client::SessionServiceClient;
use chaperone_api::chaperone::v1::trail_service_client::TrailServiceClient;
use clap::Args;
use http::Uri;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Response, Status, Streaming};

use super::failure::Failure;
use super::refusal::Refusal;
use super::{files, output, parse};
use crate::causes::causes;

/// After how long it is said what takes so long.
const LONG: Duration = Duration::from_secs(2);
/// The longest deadline that a server is told; `grpc-timeout` has eight digits, and cannot say every duration.
const DEADLINE_MAX: Duration = Duration::from_hours(24);
/// A whole bundle comes back in one message, and a little around it.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A record of the trail is at most 16 MiB long, and a page holds at least one.
const TRAIL_MESSAGE_BYTES_MAX: usize = 24 * 1024 * 1024;
/// The problems of a bundle come back in a trailer.
const HEADER_BYTES_MAX: u32 = 1024 * 1024;

/// Options of the commands that ask for decisions.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct DataOptions {
    /// The data plane
    #[arg(long = "data", value_name = "URL", env = "CHAPERONE_DATA_URL", default_value = "http://127.0.0.1:7401", value_parser = url)]
    url: Uri,
    #[command(flatten)]
    connection: ConnectionOptions,
}

/// Options of the commands that administer.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct AdminOptions {
    /// The admin plane
    #[arg(long = "admin", value_name = "URL", env = "CHAPERONE_ADMIN_URL", default_value = "http://127.0.0.1:7402", value_parser = url)]
    url: Uri,
    /// File with the admin plane's token
    #[arg(long, value_name = "FILE", env = "CHAPERONE_ADMIN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    connection: ConnectionOptions,
}

/// How to reach either plane.
#[derive(Debug, Args)]
struct ConnectionOptions {
    /// PEM file with the authorities that the server's certificate must come from; needed for https
    #[arg(long, value_name = "FILE", env = "CHAPERONE_CA_FILE")]
    ca: Option<PathBuf>,
    /// PEM file with a client certificate and its chain, for mTLS
    #[arg(long, value_name = "FILE", env = "CHAPERONE_CLIENT_CERT_FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// PEM file with the client certificate's key
    #[arg(long, value_name = "FILE", env = "CHAPERONE_CLIENT_KEY_FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// Name in the server's certificate, where it is not the URL's host
    #[arg(long, value_name = "NAME", env = "CHAPERONE_TLS_SERVER_NAME")]
    tls_server_name: Option<String>,
    /// How long to wait for the connection, and for each answer
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse::duration)]
    timeout: Duration,
}

/// A connection to one plane.
#[derive(Debug)]
pub struct Link {
    url: Uri,
    timeout: Duration,
    channel: Channel,
    credentials: Credentials,
}

/// What goes with every call.
#[derive(Clone, Debug)]
pub struct Credentials {
    authorization: Option<MetadataValue<Ascii>>,
    /// Told to the server, so that it stops working for a caller who has left; absent for streams without an end.
    deadline: Option<Duration>,
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline.min(DEADLINE_MAX));
        }
        Ok(request)
    }
}

/// What a generated client speaks through.
pub type Transport = InterceptedService<Channel, Credentials>;

impl DataOptions {
    /// Connects to the data plane.
    ///
    /// # Errors
    /// `Input` for files that are at fault, `Unreachable` otherwise.
    pub async fn connect(&self) -> Result<Link, Failure> {
        self.connection.connect(&self.url, None).await
    }
}

impl AdminOptions {
    /// Connects to the admin plane.
    ///
    /// # Errors
    /// As [`DataOptions::connect`], and `Input` when the token would cross a network in the clear.
    pub async fn connect(&self) -> Result<Link, Failure> {
        let authorization = match &self.token_file {
            None => None,
            Some(_) if self.url.scheme_str() == Some("http") && !is_loopback(&self.url) => {
                return Err(Failure::Input(format!(
                    "the token would go to {} in the clear; use https:// and --ca, or a tunnel to a loopback address",
                    shown(&self.url)
                )));
            }
            Some(path) => {
                let mut value = MetadataValue::try_from(format!("Bearer {}", files::read_secret(path)?))
                    .map_err(|_| Failure::Input(format!("`{}` holds no token of visible ASCII", path.display())))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        self.connection.connect(&self.url, authorization).await
    }
}

impl ConnectionOptions {
    async fn connect(&self, url: &Uri, authorization: Option<MetadataValue<Ascii>>) -> Result<Link, Failure> {
        let mut endpoint = Endpoint::from(url.clone())
            .connect_timeout(self.timeout)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .user_agent(concat!("chaperone-cli/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| Failure::Input(error.to_string()))?;
        if url.scheme_str() == Some("https") {
            endpoint = endpoint.tls_config(self.tls()?).map_err(|error| Failure::Input(causes(&error)))?;
        }
        let connecting = tokio::time::timeout(self.timeout, endpoint.connect());
        let channel = match connecting.await {
            Ok(connected) => connected.map_err(|error| unreachable_at(url, causes(&error)))?,
            Err(_) => return Err(unreachable_at(url, format!("no connection within {:?}", self.timeout))),
        };
        let credentials = Credentials { authorization, deadline: Some(self.timeout) };
        Ok(Link { url: url.clone(), timeout: self.timeout, channel, credentials })
    }

    fn tls(&self) -> Result<ClientTlsConfig, Failure> {
        let Some(ca) = &self.ca else {
            return Err(Failure::Input(
                "https needs --ca FILE with the authorities that the server's certificate comes from".to_owned(),
            ));
        };
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(files::read(ca, files::SMALL_BYTES_MAX)?))
            .timeout(self.timeout);
        if let (Some(certificate), Some(key)) = (&self.client_cert, &self.client_key) {
            let certificate = files::read(certificate, files::SMALL_BYTES_MAX)?;
            tls = tls.identity(Identity::from_pem(certificate, files::read(key, files::SMALL_BYTES_MAX)?));
        }
        if let Some(name) = &self.tls_server_name {
            tls = tls.domain_name(name);
        }
        Ok(tls)
    }
}

impl Link {
    /// The same, where each answer is waited for at least so long.
    #[must_use]
    pub fn waiting(self, least: Duration) -> Self {
        let timeout = self.timeout.max(least);
        Self { timeout, credentials: Credentials { deadline: Some(timeout), ..self.credentials }, ..self }
    }

    /// Where it leads.
    pub fn url(&self) -> String {
        shown(&self.url)
    }

    /// Credentials for a call that takes as long as it takes.
    fn without_deadline(&self) -> Credentials {
        Credentials { deadline: None, ..self.credentials.clone() }
    }

    /// The decision service.
    pub fn decisions(&self) -> DecisionServiceClient<Transport> {
        DecisionServiceClient::with_interceptor(self.channel.clone(), self.credentials.clone())
    }

    /// The session service.
    pub fn sessions(&self) -> SessionServiceClient<Transport> {
        SessionServiceClient::with_interceptor(self.channel.clone(), self.credentials.clone())
    }

    /// The session service for a stream that goes on until someone ends it.
    pub fn sessions_without_deadline(&self) -> SessionServiceClient<Transport> {
        SessionServiceClient::with_interceptor(self.channel.clone(), self.without_deadline())
    }

    /// The approval service.
    pub fn approvals(&self) -> ApprovalServiceClient<Transport> {
        ApprovalServiceClient::with_interceptor(self.channel.clone(), self.credentials.clone())
    }

    /// The approval service for a stream that goes on until someone ends it.
    pub fn approvals_without_deadline(&self) -> ApprovalServiceClient<Transport> {
        ApprovalServiceClient::with_interceptor(self.channel.clone(), self.without_deadline())
    }

    /// The policy service.
    pub fn policies(&self) -> PolicyServiceClient<Transport> {
        PolicyServiceClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The policy service for work that takes as long as it takes.
    pub fn policies_without_deadline(&self) -> PolicyServiceClient<Transport> {
        PolicyServiceClient::with_interceptor(self.channel.clone(), self.without_deadline())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The rollout service.
    pub fn rollouts(&self) -> RolloutServiceClient<Transport> {
        RolloutServiceClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The rollout service for work that takes as long as it takes.
    pub fn rollouts_without_deadline(&self) -> RolloutServiceClient<Transport> {
        RolloutServiceClient::with_interceptor(self.channel.clone(), self.without_deadline())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The trail service.
    pub fn trail(&self) -> TrailServiceClient<Transport> {
        TrailServiceClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(TRAIL_MESSAGE_BYTES_MAX)
    }

    /// The trail service for a stream that takes as long as it takes.
    pub fn trail_without_deadline(&self) -> TrailServiceClient<Transport> {
        TrailServiceClient::with_interceptor(self.channel.clone(), self.without_deadline())
            .max_decoding_message_size(TRAIL_MESSAGE_BYTES_MAX)
    }

    /// The entity service.
    pub fn entities(&self) -> EntityServiceClient<Transport> {
        EntityServiceClient::with_interceptor(self.channel.clone(), self.credentials.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Waits for an answer, no longer than the timeout.
    ///
    /// # Errors
    /// `Timeout`, `Refused` when the server said why, `Unreachable` when the connection broke.
    pub async fn answer<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.failure(&status)),
            Err(_) => Err(self.timed_out()),
        }
    }

    /// Waits for an answer however long the work takes, and says what that is when it takes long.
    ///
    /// # Errors
    /// `Refused` when the server said why, `Unreachable` when the connection broke.
    pub async fn answer_of_long_work<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
        work: &str,
    ) -> Result<T, Failure> {
        let mut call = std::pin::pin!(call);
        let answer = match tokio::time::timeout(LONG, &mut call).await {
            Ok(answer) => answer,
            Err(_) => {
                output::note(&format!("{work}; Ctrl-C gives up"));
                call.await
            }
        };
        answer.map(Response::into_inner).map_err(|status| self.failure(&status))
    }

    /// Shows what comes of a watch of `things` until Ctrl-C.
    ///
    /// # Errors
    /// As they come, and when the server ends the stream: changes after that would be missed in silence.
    pub async fn follow<T>(
        &self,
        things: &str,
        mut changes: Streaming<T>,
        mut show: impl FnMut(T) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        output::note(&format!("watching {things} at {}; Ctrl-C ends this", self.url()));
        loop {
            let received = tokio::select! {
                received = changes.message() => received,
                _ = tokio::signal::ctrl_c() => return Ok(()),
            };
            show(received.map_err(|status| self.failure(&status))?.ok_or_else(|| Failure::Unreachable {
                url: self.url(),
                cause: "the server ended the stream".to_owned(),
                help: format!(
                    "it may be restarting; start the watch again, and list the {things} for what changed meanwhile"
                ),
            })?)?;
        }
    }

    /// What a status means: one that came over the wire is the server's answer, one with a source was made on this side.
    pub fn failure(&self, status: &Status) -> Failure {
        match std::error::Error::source(status) {
            Some(source) if is_timeout(source) => self.timed_out(),
            Some(source) => unreachable_at(&self.url, causes(source)),
            None => Failure::Refused(Box::new(Refusal::of(status))),
        }
    }

    fn timed_out(&self) -> Failure {
        Failure::Timeout { url: shown(&self.url), timeout: self.timeout }
    }
}

fn unreachable_at(url: &Uri, cause: String) -> Failure {
    let help = if url.scheme_str() == Some("https") {
        format!(
            "is `chaperone serve` running there with TLS, is its certificate made by --ca for `{}`, and does it ask for a \
             client certificate (--client-cert, --client-key)?",
            url.host().unwrap_or_default()
        )
    } else {
        "is `chaperone serve` (or `chaperone dev`) running there? --data and --admin, or CHAPERONE_DATA_URL and \
         CHAPERONE_ADMIN_URL, say where; if it serves TLS, write https:// and give --ca"
            .to_owned()
    };
    Failure::Unreachable { url: shown(url), cause, help }
}

/// Whether the transport's own timer ran out; it runs as long as ours, so either may be first.
fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<tonic::TimeoutExpired>() || error.source().is_some_and(is_timeout)
}

fn shown(url: &Uri) -> String {
    url.to_string().trim_end_matches('/').to_owned()
}

fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Reads `http://host:port` or `https://host:port`.
fn url(text: &str) -> Result<Uri, String> {
    let shape = "write http://HOST:PORT or https://HOST:PORT";
    let url: Uri = text.parse().map_err(|error| format!("{error}; {shape}"))?;
    let credentials = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
    let plain = matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty());
    if !plain || credentials || !matches!(url.path(), "" | "/") || url.query().is_some() {
        return Err(shape.to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_has_a_scheme_and_no_path() {
        for text in ["http://127.0.0.1:7401", "https://pdp.example.com", "http://[::1]:7401/"] {
            assert!(url(text).is_ok(), "{text}");
        }
        for text in ["127.0.0.1:7401", "pdp", "ftp://pdp", "http://pdp/path", "http://pdp?x", "http://u:p@pdp", ""] {
            assert!(url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn longest_timeout_is_told_to_the_server_as_far_as_it_can_be() {
        let deadline = Some(parse::duration("213503982334d").expect("a duration"));
        let mut credentials = Credentials { authorization: None, deadline };
        let request = credentials.call(Request::new(())).expect("a request");
        assert!(request.metadata().contains_key("grpc-timeout"));
    }

    #[test]
    fn loopback_is_told_from_the_network() {
        for (text, loopback) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://127.0.0.1.example.com", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&text.parse().expect("a URL")), loopback, "{text}");
        }
    }
}
