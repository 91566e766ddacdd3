//! One connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::tls::PeerIdentity;

/// Who is at the other end of a connection. Every request of a connection has it among its extensions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerInfo {
    /// Where the connection comes from.
    pub remote_addr: SocketAddr,
    /// Who it is, if the client showed a certificate and it was verified.
    pub identity: Option<Arc<PeerIdentity>>,
}

/// A connection, which counts as open until it is dropped.
#[derive(Debug)]
pub struct Conn {
    stream: Stream,
    peer: PeerInfo,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Conn {
    pub(super) fn plain(stream: TcpStream, remote_addr: SocketAddr, permit: OwnedSemaphorePermit) -> Self {
        Self { stream: Stream::Plain(stream), peer: PeerInfo { remote_addr, identity: None }, _permit: permit }
    }

    pub(super) fn tls(
        stream: TlsStream<TcpStream>,
        remote_addr: SocketAddr,
        identity: Option<PeerIdentity>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let peer = PeerInfo { remote_addr, identity: identity.map(Arc::new) };
        Self { stream: Stream::Tls(Box::new(stream)), peer, _permit: permit }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &PeerInfo {
        &self.peer
    }
}

impl Connected for Conn {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer.clone()
    }
}

impl AsyncRead for Conn {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

/// Not vectored: HTTP/2 then gathers small frames, so that the answers of many streams leave in one call to the kernel.
impl AsyncWrite for Conn {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
