use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser as _;
use http::{Request, Response};
use tempfile::TempDir;
use tonic::body::Body;
use tonic_types::StatusExt as _;
use tower::{Layer as _, ServiceExt as _};

use super::*;
use crate::config::ServeConfig;
use crate::tls::PeerIdentity;

const TOKEN: &str = "0123456789abcdef";

struct Plane {
    folder: TempDir,
    auth: AdminAuth,
}

/// A plane with these options; `token` is written to its token file.
fn plane(token: Option<&str>, clients: &[&str]) -> Plane {
    let folder = TempDir::new().expect("a folder");
    let mut admin = ServeConfig::try_parse_from(["chaperone"]).expect("it parses").admin;
    if let Some(token) = token {
        std::fs::write(token_path(&folder), token).expect("it is written");
        admin.token_file = Some(token_path(&folder));
    }
    admin.allowed_clients = clients.iter().map(|&client| client.to_owned()).collect();
    admin.tls_client_ca = (!clients.is_empty()).then(|| PathBuf::from("ca.pem"));
    Plane { auth: AdminAuth::new(&admin).expect("the token is good"), folder }
}

fn token_path(folder: &TempDir) -> PathBuf {
    folder.path().join("token")
}

fn peer(address: &str, spiffe_id: Option<&str>) -> PeerInfo {
    let identity = spiffe_id.map(|id| PeerIdentity {
        spiffe_id: Some(id.to_owned()),
        dns_names: Vec::new(),
        certificate_sha256: [0; 32],
    });
    PeerInfo { remote_addr: SocketAddr::new(address.parse().expect("an address"), 1), identity: identity.map(Arc::new) }
}

fn headers(values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(header::AUTHORIZATION, value.parse().expect("a header"));
    }
    headers
}

fn name(result: Result<Caller, Refusal>) -> Result<String, Refusal> {
    result.map(|caller| caller.name.to_string())
}

#[test]
fn right_token_lets_in_and_nothing_else_does() {
    let plane = plane(Some(&format!("{TOKEN}\n")), &[]);
    let ask = |values: &[&str]| name(plane.auth.authenticate(&headers(values), Some(&peer("127.0.0.1", None))));
    assert_eq!(ask(&["Bearer 0123456789abcdef"]), Ok("token".to_owned()));
    assert_eq!(ask(&["bearer 0123456789abcdef"]), Ok("token".to_owned()));
    assert_eq!(ask(&[]), Err(Refusal::Missing));
    for wrong in
        ["Bearer 0123456789abcdeg", "Bearer 0123456789abcde", "Bearer ", "0123456789abcdef", "Basic 0123456789abcdef"]
    {
        assert_eq!(ask(&[wrong]), Err(Refusal::Invalid), "{wrong}");
    }
    assert_eq!(ask(&["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"]), Err(Refusal::Invalid));
}

#[test]
fn listed_certificate_lets_in_and_another_does_not() {
    let plane = plane(None, &["spiffe://example.org/ops"]);
    let ask = |id| name(plane.auth.authenticate(&HeaderMap::new(), Some(&peer("10.0.0.1", id))));
    assert_eq!(ask(Some("spiffe://example.org/ops")), Ok("spiffe://example.org/ops".to_owned()));
    assert_eq!(ask(Some("spiffe://example.org/other")), Err(Refusal::Missing));
    assert_eq!(ask(None), Err(Refusal::Missing));
}

#[test]
fn either_is_enough_where_both_are_configured_but_a_wrong_token_is_not_made_good() {
    let plane = plane(Some(TOKEN), &["spiffe://example.org/ops"]);
    let ops = peer("10.0.0.1", Some("spiffe://example.org/ops"));
    let nobody = peer("10.0.0.1", None);
    let ask = |values: &[&str], peer| name(plane.auth.authenticate(&headers(values), Some(peer)));
    assert_eq!(ask(&[], &ops), Ok("spiffe://example.org/ops".to_owned()));
    assert_eq!(ask(&["Bearer 0123456789abcdef"], &nobody), Ok("token".to_owned()));
    assert_eq!(ask(&["Bearer wrong"], &ops), Err(Refusal::Invalid));
}

#[test]
fn without_rules_only_loopback_is_let_in() {
    let plane = plane(None, &[]);
    let ask = |address| name(plane.auth.authenticate(&HeaderMap::new(), Some(&peer(address, None))));
    assert_eq!(ask("127.0.0.1"), Ok("local".to_owned()));
    assert_eq!(ask("::1"), Ok("local".to_owned()));
    assert_eq!(ask("::ffff:127.0.0.1"), Ok("local".to_owned()));
    assert_eq!(ask("10.0.0.1"), Err(Refusal::Missing));
    assert_eq!(name(plane.auth.authenticate(&HeaderMap::new(), None)), Err(Refusal::Missing));
}

#[test]
fn token_follows_its_file_and_ends_with_it() {
    let plane = plane(Some(TOKEN), &[]);
    let token = plane.auth.0.token.as_ref().expect("it has one");
    std::fs::write(token_path(&plane.folder), "another-token-of-ours").expect("it is written");
    token.reload().expect("it is good");
    assert!(token.is(b"another-token-of-ours") && !token.is(TOKEN.as_bytes()));

    std::fs::remove_file(token_path(&plane.folder)).expect("it is removed");
    assert!(matches!(token.reload(), Err(Some(_))));
    assert!(matches!(token.reload(), Err(None)), "told once");
    assert!(!token.is(b"another-token-of-ours") && !token.is(b""));

    std::fs::write(token_path(&plane.folder), TOKEN).expect("it is written");
    token.reload().expect("it is good");
    assert!(token.is(TOKEN.as_bytes()));
}

#[test]
fn short_or_unreadable_token_is_refused() {
    let folder = TempDir::new().expect("a folder");
    assert!(matches!(TokenFile::load(&token_path(&folder)), Err(TokenFileError::Read { .. })));
    for bad in
        ["", "short", "0123456789abcde\n", "two tokens in one file", "0123456789\u{7f}abcdef", "ümläute-und-so-weiter"]
    {
        std::fs::write(token_path(&folder), bad).expect("it is written");
        assert!(matches!(TokenFile::load(&token_path(&folder)), Err(TokenFileError::Content { .. })), "{bad}");
    }
}

/// Answers with the caller's name in a header.
async fn echo(request: Request<()>) -> Result<Response<Body>, Infallible> {
    let caller = request.extensions().get::<Caller>().map_or("nobody", |caller| &caller.name);
    Ok(Response::builder().header("caller", caller).body(Body::default()).expect("a valid response"))
}

async fn call(plane: &Plane, path: &str, authorization: &[&str]) -> Response<Body> {
    let mut request = Request::builder().uri(path).body(()).expect("a valid request");
    *request.headers_mut() = headers(authorization);
    request.extensions_mut().insert(peer("127.0.0.1", None));
    request.extensions_mut().insert(Caller { name: "forged".into(), is_named: true });
    plane.auth.layer(tower::service_fn(echo)).oneshot(request).await.expect("infallible")
}

#[tokio::test]
async fn service_learns_the_caller() {
    let response =
        call(&plane(Some(TOKEN), &[]), "/chaperone.v1.SessionService/Open", &["Bearer 0123456789abcdef"]).await;
    assert_eq!(response.headers()["caller"], "token");
}

#[tokio::test]
async fn refused_caller_gets_a_stable_code() {
    let response = call(&plane(Some(TOKEN), &[]), "/chaperone.v1.SessionService/Open", &["Bearer wrong"]).await;
    let status = tonic::Status::from_header_map(response.headers()).expect("a status");
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    let info = status.get_details_error_info().expect("it has the code");
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("admin_credentials_invalid", "chaperone"));
}

#[tokio::test]
async fn health_is_open_and_reflection_is_not() {
    let plane = plane(Some(TOKEN), &[]);
    let health = call(&plane, "/grpc.health.v1.Health/Check", &[]).await;
    assert_eq!(health.headers()["caller"], "nobody");
    let reflection = call(&plane, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &[]).await;
    assert_eq!(reflection.headers()["grpc-status"], "16");
}
