//! Where alerts are sent to, and one attempt at it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::event::{CONTENT_TYPE, Event};
use super::secret::WebhookSecret;
use crate::tls::{TlsError, load_roots};

/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a URL cannot be sent to.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It is no URL of a webhook.
    #[error("a webhook is `https://host/path`, or `http://localhost/path`, without a user or password")]
    Url,
    /// What is sent would be read on the way.
    #[error("plain http is for loopback only; use https, or set --alert-webhook-allow-plaintext")]
    Plaintext,
    /// The authorities.
    #[error(transparent)]
    Authorities(#[from] TlsError),
    /// TLS cannot be had.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// A receiver of alerts.
#[derive(Clone)]
pub struct WebhookTarget {
    host: String,
    port: u16,
    /// As in the URL, for the `host` header.
    authority: String,
    path: PathAndQuery,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// What became of an attempt that was not a delivery.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    /// The receiver will never take it.
    #[error("the receiver answered {0}")]
    Refused(StatusCode),
    /// The receiver may take it later.
    #[error("the receiver answered {0}")]
    Status(StatusCode),
    #[error("the receiver did not answer within {ATTEMPT_TIMEOUT:?}")]
    Timeout,
    #[error("the receiver cannot be reached: {0}")]
    Connection(#[from] std::io::Error),
    #[error("the receiver did not answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("the delivery cannot be written")]
    Unwritable,
}

impl AttemptError {
    /// Whether it makes no sense to try again.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unwritable => true,
            Self::Status(_) | Self::Timeout | Self::Connection(_) | Self::Http(_) => false,
        }
    }
}

impl WebhookTarget {
    /// Reads a URL, and the file with the authorities that the receiver's certificate must come from; without one, the public ones.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn new(url: &str, authorities: Option<&Path>, allow_plaintext: bool) -> Result<Self, TargetError> {
        let uri: Uri = url.parse().map_err(|_| TargetError::Url)?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return Err(TargetError::Url) };
        let is_tls = *scheme == Scheme::HTTPS;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if !(is_tls || *scheme == Scheme::HTTP) || host.is_empty() || authority.as_str().contains('@') {
            return Err(TargetError::Url);
        }
        if !(is_tls || allow_plaintext || is_loopback(&host)) {
            return Err(TargetError::Plaintext);
        }
        let tls = if is_tls {
            let name = ServerName::try_from(host.clone()).map_err(|_| TargetError::Url)?;
            Some((TlsConnector::from(Arc::new(client_config(authorities)?)), name))
        } else {
            None
        };
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { host, port, authority: authority.to_string(), path, tls })
    }

    /// Sends an event once, signed at this time.
    pub(super) async fn send(&self, event: &Event, secret: &WebhookSecret, timestamp: i64) -> Result<(), AttemptError> {
        let request = self.request(event, secret, timestamp).ok_or(AttemptError::Unwritable)?;
        let status = tokio::time::timeout(ATTEMPT_TIMEOUT, self.status_of(request));
        match status.await.map_err(|_| AttemptError::Timeout)?? {
            status if status.is_success() => Ok(()),
            status if status.is_client_error() && !is_passing(status) => Err(AttemptError::Refused(status)),
            // A redirection is one too: whoever can make one must not get the alerts.
            status => Err(AttemptError::Status(status)),
        }
    }

    fn request(&self, event: &Event, secret: &WebhookSecret, timestamp: i64) -> Option<Request<Full<Bytes>>> {
        Request::post(self.path.as_str())
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, CONTENT_TYPE)
            .header(header::USER_AGENT, concat!("chaperone/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close")
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", secret.sign(&event.id, timestamp, &event.body)?)
            .body(Full::new(event.body.clone()))
            .ok()
    }

    /// A connection for each attempt: alerts are few, and none is lost to a connection that died unseen.
    async fn status_of(&self, request: Request<Full<Bytes>>) -> Result<StatusCode, AttemptError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        match &self.tls {
            Some((connector, name)) => exchange(connector.connect(name.clone(), stream).await?, request).await,
            None => exchange(stream, request).await,
        }
    }
}

impl std::fmt::Debug for WebhookTarget {
    /// Without the path, which may hold a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookTarget").field("authority", &self.authority).finish_non_exhaustive()
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, AttemptError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    Ok(sender.send_request(request).await?.status())
}

/// Answers to a request that may be taken another time.
fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn client_config(authorities: Option<&Path>) -> Result<ClientConfig, TargetError> {
    let roots = match authorities {
        Some(path) => load_roots(path)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_for_loopback_unless_it_is_asked_for() {
        for url in ["https://alerts.example.org/x", "http://localhost:1", "http://127.0.0.1/x?y", "http://[::1]:8080/"]
        {
            assert!(WebhookTarget::new(url, None, false).is_ok(), "{url}");
        }
        let plain = WebhookTarget::new("http://alerts.example.org/", None, false);
        assert!(matches!(plain, Err(TargetError::Plaintext)));
        assert!(WebhookTarget::new("http://alerts.example.org/", None, true).is_ok());
        for url in ["", "/path", "alerts.example.org", "ftp://localhost/", "https://me:secret@alerts.example.org/"] {
            assert!(matches!(WebhookTarget::new(url, None, true), Err(TargetError::Url)), "{url}");
        }
    }

    #[test]
    fn path_of_the_url_is_not_shown() {
        let target = WebhookTarget::new("https://alerts.example.org/s3cret", None, false).expect("it is fit");
        assert!(!format!("{target:?}").contains("s3cret"));
    }

    #[test]
    fn only_some_refusals_are_final() {
        for (code, passing) in
            [(408, true), (425, true), (429, true), (400, false), (401, false), (404, false), (410, false)]
        {
            assert_eq!(is_passing(StatusCode::from_u16(code).expect("a status")), passing, "{code}");
        }
    }
}
