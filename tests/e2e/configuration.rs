//! The shipped Envoy configuration, with a stand-in for Chaperone: what Envoy sends, and what it makes of an answer.

use std::sync::atomic::{AtomicBool, Ordering};

use chaperone_api::envoy::service::auth::v3::check_response::HttpResponse;
use chaperone_api::envoy::service::auth::v3::{CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse};
use chaperone_api::envoy::r#type::v3::HttpStatus;
use chaperone_api::google::rpc;
use chaperone_e2e::client::Request;
use chaperone_e2e::envoy::{Envoy, EnvoyOptions};
use chaperone_e2e::pki::Pki;
use chaperone_e2e::stub::Stub;
use chaperone_e2e::upstream::{self, Upstream};
use tonic::Status;

/// Envoy before upstreams and a stand-in.
struct Stage {
    envoy: Envoy,
    stub: Stub,
    upstream: Upstream,
    _grpc_upstream: Upstream,
    tcp_upstream: Upstream,
    pki: Pki,
}

impl Stage {
    async fn start(answer: impl Fn(&CheckRequest) -> Result<CheckResponse, Status> + Send + Sync + 'static) -> Self {
        Self::start_with(answer, |_| {}).await
    }

    async fn start_with(
        answer: impl Fn(&CheckRequest) -> Result<CheckResponse, Status> + Send + Sync + 'static,
        change: impl FnOnce(&mut EnvoyOptions),
    ) -> Self {
        let (upstream, grpc_upstream, tcp_upstream) =
            (Upstream::http().await, Upstream::grpc().await, Upstream::tcp().await);
        let stub = Stub::start(answer).await;
        let pki = Pki::new();
        let mut options =
            EnvoyOptions::new(vec![stub.address], upstream.address, grpc_upstream.address, tcp_upstream.address);
        change(&mut options);
        let envoy = Envoy::start(&options, &pki).await;
        Self { envoy, stub, upstream, _grpc_upstream: grpc_upstream, tcp_upstream, pki }
    }
}

fn allow() -> CheckResponse {
    CheckResponse {
        status: Some(rpc::Status::default()),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse::default())),
        dynamic_metadata: None,
    }
}

fn deny() -> CheckResponse {
    CheckResponse {
        status: Some(rpc::Status { code: 7, ..Default::default() }),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code: 403 }),
            headers: Vec::new(),
            body: "no".to_owned(),
        })),
        dynamic_metadata: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn allowed_request_reaches_the_upstream_and_denied_one_does_not() {
    let allowing = std::sync::Arc::new(AtomicBool::new(true));
    let seen = std::sync::Arc::clone(&allowing);
    let stage = Stage::start(move |_| Ok(if seen.load(Ordering::SeqCst) { allow() } else { deny() })).await;
    let response = Request::get("/documents/42").send(stage.envoy.http).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.json()["target"], "/documents/42");
    allowing.store(false, Ordering::SeqCst);
    let response = Request::get("/documents/42").send(stage.envoy.http).await;
    assert_eq!((response.status, response.text().as_str()), (403, "no"));
    assert_eq!(stage.upstream.count(), 1);
    let stats = stage.envoy.stats("ext_authz").await;
    assert_eq!((stats["http.ingress.ext_authz.ok"], stats["http.ingress.ext_authz.denied"]), (1, 1), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_check_is_answered_with_503_and_never_allowed() {
    let stage = Stage::start(|_| Err(Status::internal("broken"))).await;
    let response = Request::get("/documents/42").send(stage.envoy.http).await;
    assert_eq!(response.status, 503);
    assert_eq!(stage.upstream.count(), 0);
    assert_eq!(stage.stub.checks().len(), 1, "a failed check is not repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_carries_peer_certificate_raw_headers_and_extensions() {
    let stage = Stage::start(|_| Ok(allow())).await;
    let identity = stage.pki.client("spiffe://example.org/ci");
    let response = Request::new("POST", "/documents/42?x=1")
        .header("x-bytes", b"\xff\xfe")
        .header("x-twice", "one")
        .header("x-twice", "two")
        .body("hello")
        .tls(stage.pki.client_config(Some(&identity)))
        .send(stage.envoy.https)
        .await;
    assert_eq!(response.status, 200, "{}", response.text());
    let checks = stage.stub.checks();
    let attributes = checks[0].attributes.as_ref().expect("attributes");
    let source = attributes.source.as_ref().expect("a source");
    assert_eq!(source.principal, "spiffe://example.org/ci");
    assert!(source.certificate.contains("BEGIN%20CERTIFICATE"), "{}", source.certificate);
    let http = attributes.request.as_ref().and_then(|request| request.http.as_ref()).expect("an HTTP request");
    assert_eq!(http.path, "/documents/42?x=1");
    assert_eq!(http.raw_body.as_ref(), b"hello");
    assert!(http.headers.is_empty());
    let headers = &http.header_map.as_ref().expect("raw headers").headers;
    let values = |name: &str| -> Vec<Vec<u8>> {
        headers.iter().filter(|header| header.key == name).map(|header| header.raw_value.to_vec()).collect()
    };
    assert_eq!(values("x-bytes"), [b"\xff\xfe"]);
    assert_eq!(values("x-twice"), [b"one", b"two"]);
    assert_eq!(attributes.context_extensions["gateway"], "edge");
}

#[tokio::test(flavor = "multi_thread")]
async fn joined_headers_variant_sends_text() {
    let stage = Stage::start_with(|_| Ok(allow()), |options| options.joined_headers = true).await;
    let response = Request::new("POST", "/documents/42").header("x-a", "b").body("hello").send(stage.envoy.http).await;
    assert_eq!(response.status, 200);
    let checks = stage.stub.checks();
    let request = checks[0].attributes.as_ref().and_then(|attributes| attributes.request.as_ref()).expect("a request");
    let http = request.http.as_ref().expect("an HTTP request");
    assert_eq!(http.body, "hello");
    assert_eq!(http.headers["x-a"], "b");
    assert!(http.header_map.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn path_has_one_form_for_check_and_upstream() {
    let stage = Stage::start(|_| Ok(allow())).await;
    for (sent, forwarded) in [
        ("//documents//42", "/documents/42"),
        ("/documents/../documents/./42", "/documents/42"),
        ("/documents/%2e%2e/documents/42", "/documents/42"),
        ("/documents/%41", "/documents/A"),
        ("/documents/a;b", "/documents/a;b"),
    ] {
        let response = Request::get(sent).send(stage.envoy.http).await;
        assert_eq!(response.status, 200, "{sent}: {}", response.text());
        assert_eq!(response.json()["target"], forwarded, "{sent}");
        let checks = stage.stub.checks();
        let attributes = checks.last().and_then(|check| check.attributes.clone()).expect("attributes");
        let checked = attributes.request.and_then(|request| request.http).expect("an HTTP request").path;
        assert_eq!(checked, forwarded, "{sent}");
    }
    let checked = stage.stub.checks().len();
    for refused in ["/documents/a%2fb", "/documents/a%5Cb"] {
        assert_eq!(Request::get(refused).send(stage.envoy.http).await.status, 400, "{refused}");
    }
    assert_eq!(stage.stub.checks().len(), checked, "refused before the check");
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_connection_is_checked_with_its_peer() {
    let stage = Stage::start(|check| {
        let source = check.attributes.as_ref().and_then(|attributes| attributes.source.as_ref());
        let trusted = source.is_some_and(|source| source.principal == "spiffe://example.org/ci");
        Ok(if trusted { allow() } else { deny() })
    })
    .await;
    let connect = async |spiffe_id: &str| {
        let config = stage.pki.client_config(Some(&stage.pki.client(spiffe_id)));
        let stream = chaperone_e2e::client::connect_tls(stage.envoy.tcp, config).await.expect("the handshake succeeds");
        upstream::echo_over(stream, b"ping").await
    };
    assert_eq!(connect("spiffe://example.org/ci").await.as_deref(), Some(&b"ping"[..]));
    assert_eq!(connect("spiffe://example.org/other").await, None);
    assert_eq!(stage.tcp_upstream.count(), 1, "a denied connection never reaches the upstream");
}
