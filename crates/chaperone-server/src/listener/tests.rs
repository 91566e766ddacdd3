use std::io::ErrorKind;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_stream::StreamExt as _;

use super::*;
use crate::tls::testing::{Issued, Pki};
use crate::tls::{ClientCertificates, Protocols, Reload};

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn tls(pki: &Pki, clients: ClientCertificates) -> Tls {
    Tls::load(pki.server_files(clients), Protocols::Grpc).expect("the files are good")
}

fn open_door(options: ListenOptions) -> (SocketAddr, Incoming) {
    let listener = Listener::bind(LOCAL).expect("a free port");
    let address = listener.local_addr();
    (address, listener.incoming(options).expect("within a runtime"))
}

/// A client's whole handshake: in TLS 1.3 it learns only when it reads whether the server accepted its certificate.
async fn connect(address: SocketAddr, pki: &Pki, identity: Option<&Issued>) -> io::Result<Vec<u8>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = pki.connector(identity).connect(name, stream).await?;
    let mut byte = [0];
    if stream.read(&mut byte).await? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let (_, session) = stream.get_ref();
    Ok(session.peer_certificates().and_then(<[_]>::first).expect("the server has one").to_vec())
}

/// Takes one connection and writes a byte to it.
async fn greet(incoming: &mut Incoming) -> Conn {
    let mut conn = incoming.next().await.expect("it does not end").expect("it yields no errors");
    conn.write_all(b"x").await.expect("the client reads");
    conn.flush().await.expect("the client reads");
    conn
}

#[tokio::test]
async fn plain_connection_has_an_address_and_no_identity() {
    let (address, mut incoming) = open_door(ListenOptions::new("test", None, 8));
    let client = TcpStream::connect(address).await.expect("it connects");
    let conn = greet(&mut incoming).await;
    let expected = PeerInfo { remote_addr: client.local_addr().expect("connected"), identity: None };
    assert_eq!(*conn.peer(), expected);
}

#[tokio::test]
async fn tls_client_without_a_certificate_is_let_in_where_none_is_asked_for() {
    let pki = Pki::new();
    let (address, mut incoming) =
        open_door(ListenOptions::new("test", Some(tls(&pki, ClientCertificates::Ignored)), 8));
    let (conn, client) = tokio::join!(greet(&mut incoming), connect(address, &pki, None));
    client.expect("it is let in");
    assert_eq!(conn.peer().identity, None);
}

#[tokio::test]
async fn required_certificate_names_the_client() {
    let pki = Pki::new();
    let clients = ClientCertificates::Required(pki.path("ca.pem"));
    let (address, mut incoming) = open_door(ListenOptions::new("test", Some(tls(&pki, clients)), 8));
    connect(address, &pki, None).await.expect_err("a client without a certificate is refused");
    let stranger = Pki::new().client(&["spiffe://example.org/proxy"]);
    connect(address, &pki, Some(&stranger)).await.expect_err("a client of another authority is refused");

    let proxy = pki.client(&["spiffe://example.org/proxy"]);
    let (conn, client) = tokio::join!(greet(&mut incoming), connect(address, &pki, Some(&proxy)));
    client.expect("it is let in");
    let identity = conn.peer().identity.as_ref().expect("it showed a certificate");
    assert_eq!(identity.spiffe_id.as_deref(), Some("spiffe://example.org/proxy"));
}

#[tokio::test]
async fn client_that_is_not_on_the_list_is_refused() {
    let pki = Pki::new();
    let clients = ClientCertificates::Required(pki.path("ca.pem"));
    let options =
        ListenOptions::new("test", Some(tls(&pki, clients)), 8).allowing(&["spiffe://example.org/proxy".to_owned()]);
    let (address, mut incoming) = open_door(options);
    let other = pki.client(&["spiffe://example.org/other"]);
    connect(address, &pki, Some(&other)).await.expect_err("it is refused");
    let proxy = pki.client(&["spiffe://example.org/proxy"]);
    let (_conn, client) = tokio::join!(greet(&mut incoming), connect(address, &pki, Some(&proxy)));
    client.expect("it is let in");
}

#[tokio::test]
async fn new_connection_gets_the_new_certificate() {
    let pki = Pki::new();
    let options = ListenOptions::new("test", Some(tls(&pki, ClientCertificates::Ignored)), 8);
    let tls = options.tls.clone().expect("it has TLS");
    let (address, mut incoming) = open_door(options);
    let (_first, before) = tokio::join!(greet(&mut incoming), connect(address, &pki, None));
    pki.issue_server();
    // The door's own watch may have been first.
    assert!(!matches!(tls.reload(), Reload::Refused(_)));
    let (_second, after) = tokio::join!(greet(&mut incoming), connect(address, &pki, None));
    assert_ne!(before.expect("it is let in"), after.expect("it is let in"));
}

#[tokio::test]
async fn client_that_never_speaks_does_not_keep_others_out() {
    let pki = Pki::new();
    let (address, mut incoming) =
        open_door(ListenOptions::new("test", Some(tls(&pki, ClientCertificates::Ignored)), 8));
    let _silent = TcpStream::connect(address).await.expect("it connects");
    let (_conn, client) = tokio::join!(greet(&mut incoming), connect(address, &pki, None));
    client.expect("it is let in");
}

#[tokio::test]
async fn connection_over_the_limit_is_closed_and_a_freed_place_is_used() {
    let options = ListenOptions::new("test", None, 1);
    let connections = Arc::clone(&options.connections);
    let (address, mut incoming) = open_door(options);
    let _first = TcpStream::connect(address).await.expect("it connects");
    let first = greet(&mut incoming).await;

    let mut second = TcpStream::connect(address).await.expect("the kernel accepts");
    let read = second.read(&mut [0]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "it was closed");

    drop(first);
    drop(connections.acquire().await.expect("never closed"));
    let _third = TcpStream::connect(address).await.expect("it connects");
    greet(&mut incoming).await;
}

#[tokio::test]
async fn dropping_incoming_closes_the_socket() {
    let (address, incoming) = open_door(ListenOptions::new("test", None, 1));
    drop(incoming);
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn second_listener_on_an_address_is_refused() {
    let first = Listener::bind(LOCAL).expect("a free port");
    let error = Listener::bind(first.local_addr()).expect_err("it is taken");
    assert!(matches!(error, BindError::InUse(_)), "{error}");
}

/// Asks for a method that nobody serves; the code tells whether the question got as far as the services.
async fn code_of_unknown_method(address: SocketAddr) -> tonic::Code {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("a valid address");
    let mut client = tonic::client::Grpc::new(channel.connect().await.expect("it connects"));
    client.ready().await.expect("it is connected");
    let path = http::uri::PathAndQuery::from_static("/chaperone.v1.SessionService/Nonesuch");
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    client.unary(tonic::Request::new(()), path, codec).await.expect_err("nobody serves it").code()
}

#[tokio::test]
async fn tonic_serves_the_connections_and_layers_see_the_peer() {
    let (address, incoming) = open_door(ListenOptions::new("admin", None, 8));
    let config = <crate::config::ServeConfig as clap::Parser>::try_parse_from(["chaperone"]).expect("it parses");
    let auth = crate::admin_auth::AdminAuth::new(&config.admin).expect("it has no token");
    let (_reporter, health) = tonic_health::server::health_reporter();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let server = tonic::transport::Server::builder()
        .layer(auth)
        .add_service(health)
        .serve_with_incoming_shutdown(incoming, async { drop(ended.await) });
    let server = tokio::spawn(server);
    // Without the peer's address this would be UNAUTHENTICATED: only a local caller needs no credentials.
    assert_eq!(code_of_unknown_method(address).await, tonic::Code::Unimplemented);
    end.send(()).expect("it is awaited");
    server.await.expect("no panic").expect("it ends well");
}
