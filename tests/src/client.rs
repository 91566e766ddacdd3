//! An HTTP/1.1 client that sends exactly the bytes that it is told: what a library would normalise or refuse is what the tests are about.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use crate::wait::PATIENCE;

/// A request to send once, over a connection of its own.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: Vec<u8>,
    host: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    tells_length: bool,
    tls: Option<Arc<rustls::ClientConfig>>,
    from: Option<Ipv4Addr>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status; 0 when the connection was closed without an answer.
    pub status: u16,
    /// The headers, names in lower case, in their order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A channel to a gRPC server that listens there in plain text.
pub async fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("a URL")
        .connect_timeout(PATIENCE)
        .timeout(PATIENCE)
        .connect()
        .await
        .unwrap_or_else(|error| panic!("cannot connect to {address}: {error:?}"))
}

/// A TLS connection to a server on loopback.
///
/// # Errors
/// When the handshake fails.
pub async fn connect_tls(
    address: SocketAddr,
    config: Arc<rustls::ClientConfig>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(config).connect(name, stream).await
}

impl Request {
    /// A request of this method for this target, byte for byte.
    pub fn new(method: &str, target: impl Into<Vec<u8>>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.into(),
            host: "docs.example.com".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            tells_length: true,
            tls: None,
            from: None,
        }
    }

    /// A GET.
    pub fn get(target: impl Into<Vec<u8>>) -> Self {
        Self::new("GET", target)
    }

    /// Adds a header; one of the same name stays.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Presents a session.
    #[must_use]
    pub fn session(self, handle: &str) -> Self {
        self.header("x-chaperone-session", handle)
    }

    /// Names another host.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Sends a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends a body without a `content-length`, framed as the test has it.
    #[must_use]
    pub fn raw_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.tells_length = false;
        self.body(body)
    }

    /// Goes over TLS.
    #[must_use]
    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Comes from this address of the machine, without TLS.
    #[must_use]
    pub fn from(mut self, address: Ipv4Addr) -> Self {
        self.from = Some(address);
        self
    }

    /// Sends it, and reads the answer. A connection that breaks is status 0.
    pub async fn send(self, address: SocketAddr) -> Response {
        let exchange = async {
            match self.tls.clone() {
                None => {
                    let socket = TcpSocket::new_v4()?;
                    socket.bind((self.from.unwrap_or(Ipv4Addr::UNSPECIFIED), 0).into())?;
                    self.exchange(socket.connect(address).await?).await
                }
                Some(config) => self.exchange(connect_tls(address, config).await?).await,
            }
        };
        let answered: std::io::Result<Response> =
            tokio::time::timeout(PATIENCE, exchange).await.expect("an answer, or a closed connection, in time");
        answered.unwrap_or_else(|_| Response { status: 0, headers: Vec::new(), body: Vec::new() })
    }

    async fn exchange(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<Response> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let request = self.to_bytes();
        let mut answer = Vec::new();
        // A server may answer and close before it has read a large request: that is an answer.
        let write = async {
            let _ = writer.write_all(&request).await;
            let _ = writer.flush().await;
            // Stays open until the answer is complete.
            tokio::time::sleep(Duration::MAX).await;
        };
        tokio::select! {
            () = write => {}
            read = read_answer(&mut reader, &mut answer) => read?,
        }
        Response::parse(&answer).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} ", self.method).into_bytes();
        bytes.extend(&self.target);
        bytes.extend(format!(" HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.host).as_bytes());
        if self.tells_length && !self.body.is_empty() {
            bytes.extend(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        for (name, value) in &self.headers {
            bytes.extend(name.as_bytes());
            bytes.extend(b": ");
            bytes.extend(value);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

/// Reads to the end of the connection, which `connection: close` asks for. A reset after a complete answer is no error.
async fn read_answer(reader: &mut (impl AsyncRead + Unpin), answer: &mut Vec<u8>) -> std::io::Result<()> {
    match reader.read_to_end(answer).await {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(()),
    }
}

impl Response {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body, as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {} {}", self.status, self.text()))
    }

    /// The `code` of a problem; empty when the body is none.
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Self { status, headers, body: bytes[end + 4..].to_vec() };
        if response.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            response.body = dechunk(&response.body)?;
        }
        Some(response)
    }
}

fn dechunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?.trim(), 16).ok()?;
        bytes = bytes.get(end + 2..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend(bytes.get(..size)?);
        bytes = bytes.get(size + 2..)?;
    }
}
