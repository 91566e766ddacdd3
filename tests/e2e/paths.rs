//! Paths that can be read in two ways: through Envoy, and told to Chaperone as they are.

use chaperone_api::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as RequestAttributes};
use chaperone_api::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use chaperone_api::envoy::service::auth::v3::check_response::HttpResponse;
use chaperone_api::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use chaperone_e2e::client::Request;
use chaperone_e2e::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_decided_on_is_what_the_upstream_gets() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    // Envoy gives these their one form before the check: the read route matches, the export route does not.
    for sent in ["//documents//42", "/x/../documents/42", "/documents/x/%2e%2e/42", "/documents/%34%32"] {
        let response = world.send(Request::get(sent).session(&handle)).await;
        assert_eq!(response.status, 200, "{sent}: {}", response.text());
        let target = response.json()["target"].as_str().expect("a target").to_owned();
        assert!(target.starts_with("/documents/42?"), "{sent} became {target}");
    }
    let upstream_count = world.upstream.count();
    for sent in [
        &b"/documents/a%2Fexport"[..],
        b"/documents/a%5cb",
        b"/documents/a;b",
        b"/documents/%ff%fe",
        b"/documents/%252e%252e",
        b"/documents/%00",
        b"/documents/%zz",
        b"/documents/\xff",
    ] {
        let response = world.send(Request::get(sent).session(&handle)).await;
        assert_eq!(response.status, 400, "{}: {}", String::from_utf8_lossy(sent), response.text());
    }
    assert_eq!(world.upstream.count(), upstream_count, "nothing ambiguous went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_path_is_denied_without_envoys_help() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    let mut client = AuthorizationClient::new(world.replicas[0].data_channel().await);
    let mut status_of = async |path: &str| {
        let http = HttpRequest {
            method: "GET".to_owned(),
            host: "docs.example.com".to_owned(),
            path: path.to_owned(),
            headers: [("x-chaperone-session".to_owned(), handle.clone())].into(),
            ..Default::default()
        };
        let request = RequestAttributes { http: Some(http), ..Default::default() };
        let attributes = AttributeContext { request: Some(request), ..Default::default() };
        let response =
            client.check(CheckRequest { attributes: Some(attributes) }).await.expect("an answer").into_inner();
        let code = response.status.expect("an answer always has a status: without one it means allow").code;
        match response.http_response.expect("an answer says what to do") {
            HttpResponse::OkResponse(_) => {
                assert_eq!(code, 0);
                200
            }
            HttpResponse::DeniedResponse(denied) => {
                assert_ne!(code, 0, "a zero would allow");
                denied.status.expect("a status").code
            }
            HttpResponse::ErrorResponse(_) => panic!("an error response for {path}"),
        }
    };
    assert_eq!(status_of("/documents/42").await, 200);
    for path in [
        "//documents/42",
        "/documents//42",
        "/documents/./42",
        "/documents/../documents/42",
        "/documents/%2e%2e/documents/42",
        "/documents/%2E",
        "/documents/a%2fb",
        "/documents/a%5Cb",
        "/documents/a\\b",
        "/documents/a;b",
        "/documents/a#b",
        "/documents/a b",
        "/documents/%",
        "/documents/%4",
        "/documents/%zz",
        "/documents/%00",
        "/documents/%ff",
        "/documents/%252e",
        "/documents/\u{e9}",
        "documents/42",
        "http://docs.example.com/documents/42",
        "",
        "*",
    ] {
        assert_eq!(status_of(path).await, 400, "{path}");
    }
}
