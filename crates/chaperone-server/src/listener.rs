//! Listening: sockets, connections and their limits, plain or with TLS.

mod conn;
mod workers;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

pub use conn::{Conn, PeerInfo};
pub use workers::Workers;

use crate::tls::{PeerIdentity, RELOAD_INTERVAL, Tls};

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many connections may wait in the kernel to be accepted.
const BACKLOG: i32 = 1024;
/// How many accepted connections may wait for the server to take them.
const HANDOVER: usize = 16;
/// How long accepting pauses after it failed, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often it is told that connections are closed because too many are open.
const CROWD_INTERVAL: Duration = Duration::from_secs(5);
/// After how long without traffic the kernel asks whether the peer is still there.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// Connections of a door, ready to be served. It does not end and yields no errors; dropping it closes the socket.
pub type Incoming = ReceiverStream<io::Result<Conn>>;

/// What holds for the connections of a door.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// The door's name in logs, such as `data`.
    pub name: &'static str,
    /// TLS, or plain text.
    pub tls: Option<Arc<Tls>>,
    /// SPIFFE IDs or DNS names of the clients that may connect; empty: any that TLS lets in.
    pub allowed_clients: Arc<[String]>,
    /// Open connections; more are closed at once.
    pub connections: Arc<Semaphore>,
}

/// Why a door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody listens there already.
    #[error("address {0} is in use: is another `chaperone serve` running?")]
    InUse(SocketAddr),
    /// Another reason.
    #[error("cannot listen on {0}")]
    Failed(SocketAddr, #[source] io::Error),
}

/// An open socket. It need not be opened within a runtime.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Opens a socket on `address`, which nobody else may listen on.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let open = || -> io::Result<Self> {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            // A restart must not wait for the last process's connections to be forgotten. Two listeners it does not allow.
            #[cfg(unix)]
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            socket.set_nonblocking(true)?;
            let socket = TcpListener::from(socket);
            Ok(Self { address: socket.local_addr()?, socket })
        };
        open().map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            _ => BindError::Failed(address, error),
        })
    }

    /// Where this listens, with the port that was chosen.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Begins to accept. Call it within the runtime that serves the connections.
    ///
    /// # Errors
    /// When the runtime cannot take the socket.
    pub fn incoming(self, options: ListenOptions) -> io::Result<Incoming> {
        let acceptor = Acceptor::new(self, options)?;
        let (sender, receiver) = mpsc::channel(HANDOVER);
        tokio::spawn(acceptor.yield_to(sender));
        Ok(ReceiverStream::new(receiver))
    }

    /// Accepts connections for `workers`, until `stop`. Call it within a runtime.
    ///
    /// # Errors
    /// When the runtime cannot take the socket.
    pub fn hand_to(
        self,
        workers: Workers,
        options: ListenOptions,
        stop: impl Future<Output = ()>,
    ) -> io::Result<impl Future<Output = ()>> {
        let mut acceptor = Acceptor::new(self, options)?;
        Ok(async move {
            let hand_out = async {
                loop {
                    workers.take(acceptor.next().await);
                }
            };
            tokio::select! {
                () = stop => {}
                () = hand_out => {}
            }
        })
    }
}

impl ListenOptions {
    /// For a door that lets in every client that TLS lets in.
    pub fn new(name: &'static str, tls: Option<Tls>, connections_max: usize) -> Self {
        let connections = Arc::new(Semaphore::new(connections_max.clamp(1, Semaphore::MAX_PERMITS)));
        Self { name, tls: tls.map(Arc::new), allowed_clients: Arc::default(), connections }
    }

    /// With a list of the clients that may connect.
    #[must_use]
    pub fn allowing(self, clients: &[String]) -> Self {
        Self { allowed_clients: clients.into(), ..self }
    }
}

/// Accepts connections of a door, and counts them.
struct Acceptor {
    socket: tokio::net::TcpListener,
    options: ListenOptions,
    crowd: Crowd,
    /// The watch over the certificate, which ends with this.
    _watch: JoinSet<()>,
}

/// A connection that was accepted and counted. Nothing was read from it, and it belongs to no runtime.
#[derive(Debug)]
struct Accepted {
    stream: std::net::TcpStream,
    address: SocketAddr,
    permit: OwnedSemaphorePermit,
    options: ListenOptions,
}

impl Acceptor {
    fn new(listener: Listener, options: ListenOptions) -> io::Result<Self> {
        let socket = tokio::net::TcpListener::from_std(listener.socket)?;
        let mut watch = JoinSet::new();
        if let Some(tls) = &options.tls {
            watch.spawn(Arc::clone(tls).watch(RELOAD_INTERVAL));
        }
        Ok(Self { socket, options, crowd: Crowd::default(), _watch: watch })
    }

    /// The next connection. Nothing is lost when this is not waited for to its end.
    async fn next(&mut self) -> Accepted {
        loop {
            let (stream, address) = match self.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(door = self.options.name, %error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match Arc::clone(&self.options.connections).try_acquire_owned() {
                Ok(permit) => return Accepted { stream, address, permit, options: self.options.clone() },
                Err(_) => self.crowd.turn_away(&self.options, address),
            }
        }
    }

    async fn accept(&self) -> io::Result<(std::net::TcpStream, SocketAddr)> {
        let (stream, address) = self.socket.accept().await?;
        Ok((stream.into_std()?, address))
    }

    /// Makes connections, on this runtime, until nobody takes them any more.
    async fn yield_to(mut self, sender: mpsc::Sender<io::Result<Conn>>) {
        // Handshakes end with this task.
        let mut handshakes = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.next() => accepted,
                () = sender.closed() => break,
                Some(_) = handshakes.join_next() => continue,
            };
            let sender = sender.clone();
            handshakes.spawn(async move {
                if let Some(conn) = accepted.admit().await {
                    // Only fails when the server stopped.
                    let _ = sender.send(Ok(conn)).await;
                }
            });
        }
    }
}

impl Accepted {
    /// Makes a connection of it, on the runtime that this is called on; `None` when the client is not let in.
    async fn admit(self) -> Option<Conn> {
        let (door, address) = (self.options.name, self.address);
        match self.try_admit().await {
            Ok(conn) => return Some(conn),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                tracing::warn!(door, peer.address = %address, %error, "a client was refused");
            }
            // Port scanners and probes: nothing that an operator must know.
            Err(error) => tracing::debug!(door, peer.address = %address, %error, "a connection was refused"),
        }
        None
    }

    async fn try_admit(self) -> io::Result<Conn> {
        let Self { stream, address, permit, options } = self;
        let stream = TcpStream::from_std(stream)?;
        stream.set_nodelay(true)?;
        socket2::SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        match &options.tls {
            None => Ok(Conn::plain(stream, address, permit)),
            Some(tls) => handshake(tls, stream, address, permit, &options.allowed_clients).await,
        }
    }
}

/// Connections that were closed because too many were open. They are told now and then, so that a flood does not fill the log too.
#[derive(Default)]
struct Crowd {
    untold: u64,
    told_at: Option<Instant>,
}

impl Crowd {
    fn turn_away(&mut self, options: &ListenOptions, address: SocketAddr) {
        self.untold += 1;
        if self.told_at.is_none_or(|told_at| told_at.elapsed() >= CROWD_INTERVAL) {
            tracing::warn!(
                door = options.name,
                peer.address = %address,
                connections = self.untold,
                "connections were closed: too many are open"
            );
            *self = Self { untold: 0, told_at: Some(Instant::now()) };
        }
    }
}

async fn handshake(
    tls: &Tls,
    stream: TcpStream,
    address: SocketAddr,
    permit: OwnedSemaphorePermit,
    allowed_clients: &[String],
) -> io::Result<Conn> {
    let accept = TlsAcceptor::from(tls.current()).accept(stream);
    let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, accept).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let (_, session) = stream.get_ref();
    let identity = session.peer_certificates().and_then(<[_]>::first).map(PeerIdentity::of);
    let is_allowed = |identity: &PeerIdentity| identity.find_in(allowed_clients).is_some();
    if !allowed_clients.is_empty() && !identity.as_ref().is_some_and(is_allowed) {
        let message = format!("the client is not on the list of allowed clients: {identity:?}");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Ok(Conn::tls(stream, address, identity, permit))
}

#[cfg(test)]
mod tests;
