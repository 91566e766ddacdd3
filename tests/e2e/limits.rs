//! Too much of everything, and what is not protobuf at all.

use chaperone_api::chaperone::v1::decision_service_client::DecisionServiceClient;
use chaperone_api::chaperone::v1::{ActionRequest, CheckRequest, Consistency, PolicyServiceUploadRequest};
use chaperone_api::envoy::config::core::v3::{HeaderMap, HeaderValue};
use chaperone_api::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use chaperone_api::envoy::service::auth::v3::check_response::HttpResponse;
use chaperone_api::envoy::service::auth::v3::{self as auth, CheckResponse};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::client::Request;
use chaperone_e2e::raw::UnaryBytes;
use chaperone_e2e::world::World;
use chaperone_e2e::{admin, frame};
use prost::Message as _;
use tonic::Code;

const ENVOY_CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
const DIRECT_CHECK: &str = "/chaperone.v1.DecisionService/Check";

/// Asserts that the answer is what Envoy cannot turn into an allow: a denial with this status and code.
fn assert_denied(answer: CheckResponse, status: i32, code: &str) {
    assert_ne!(answer.status.expect("a status").code, 0, "a zero would allow");
    let Some(HttpResponse::DeniedResponse(denied)) = answer.http_response else { panic!("{:?}", answer.http_response) };
    assert_eq!(denied.status.expect("a status").code, status, "{}", denied.body);
    assert!(denied.body.contains(&format!("\"{code}\"")), "{}", denied.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn message_that_is_not_protobuf_is_refused_and_harms_nobody() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    let mut client = UnaryBytes::new(world.replicas[0].data_channel().await);
    let endless = vec![0x0a; 100_000];
    for bytes in [&b"\xff\xff\xff\xff"[..], b"GET / HTTP/1.1\r\n\r\n", b"\x0a\xff\xff\xff\xff\x0f", &endless] {
        // To Envoy an error could be an allow, so it gets a denial; to everybody else it is an error.
        let answer = client.call(ENVOY_CHECK, bytes).await.expect("Envoy is always answered");
        assert_denied(CheckResponse::decode(answer).expect("an answer"), 503, "unreadable");
        let status = client.call(DIRECT_CHECK, bytes).await.expect_err("it is no check");
        assert!(matches!(status.code(), Code::Internal | Code::InvalidArgument), "{status:?}");
    }
    assert_eq!(world.send(Request::get("/documents/42").session(&handle)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_check_is_denied_and_never_answered_without_a_status() {
    let world = World::start().await;
    let mut client = AuthorizationClient::new(world.replicas[0].data_channel().await);
    let answer = client.check(auth::CheckRequest::default()).await.expect("an answer").into_inner();
    assert_ne!(answer.status.expect("a status").code, 0);
    assert!(matches!(answer.http_response, Some(HttpResponse::DeniedResponse(_))), "{:?}", answer.http_response);
}

#[tokio::test(flavor = "multi_thread")]
async fn body_of_five_mebibytes_goes_upstream_whole_and_is_refused_as_a_check() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    let body = vec![b'x'; 5 * 1024 * 1024];
    let post = Request::new("POST", "/documents/42").session(&handle).body(body.clone());
    let response = world.send(post).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.json()["body_bytes"], body.len());

    let mut check = frame::check(&handle, "/documents/42");
    frame::http_of(&mut check).raw_body = body.into();
    let mut client = AuthorizationClient::new(world.replicas[0].data_channel().await);
    assert_denied(client.check(check).await.expect("Envoy is always answered").into_inner(), 503, "unreadable");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_headers_are_denied_by_either() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    let request = Request::get("/documents/42").session(&handle);
    let many = (0..10_000).fold(request, |request, number| request.header(&format!("x-{number}"), "v"));
    let status = world.send(many).await.status;
    assert!(matches!(status, 431 | 0), "{status}");

    let mut check = frame::check(&handle, "/documents/42");
    let headers = (0..10_000).map(|number| HeaderValue {
        key: format!("x-{number}"),
        value: String::new(),
        raw_value: b"v".to_vec().into(),
    });
    let header_map = frame::http_of(&mut check).header_map.get_or_insert_with(HeaderMap::default);
    header_map.headers.extend(headers);
    let mut client = AuthorizationClient::new(world.replicas[0].data_channel().await);
    let answer = client.check(check).await.expect("an answer").into_inner();
    assert_denied(answer, 400, "undecodable");
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_of_fifty_mebibytes_is_refused_and_the_active_one_keeps_deciding() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    for mebibytes in [9, 50] {
        let large = Bundle::documents().with("policies/large.cedar", format!("//{}\n", "x".repeat(mebibytes << 20)));
        let request = PolicyServiceUploadRequest { files: large.files(), activate: true, ..Default::default() };
        let status = world.admin.policies.clone().upload(request).await.expect_err("it is too large");
        let refused =
            [Code::OutOfRange, Code::ResourceExhausted, Code::InvalidArgument, Code::Unknown, Code::Unavailable];
        assert!(refused.contains(&status.code()), "{mebibytes} MiB: {status:?}");
    }
    assert_eq!(world.send(Request::get("/documents/42").session(&handle)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_shed_as_denials_with_503_and_as_resource_exhausted() {
    // One check at a time, and time enough for it to stand still.
    let options = [
        "--data-concurrency",
        "1",
        "--data-default-deadline",
        "25s",
        "--store-timeout",
        "25s",
        "--feed-max-staleness",
        "60s",
    ];
    let world = World::builder().serve(&options).start().await;
    let handle = world.session().await.handle;
    let channel = world.replicas[0].data_channel().await;
    let action = ActionRequest {
        action: "read".to_owned(),
        resource: Some(admin::entity("Document", "42")),
        ..Default::default()
    };
    let direct = CheckRequest { session_handle: handle.clone(), action: Some(action), ..Default::default() };
    // Strict checks read the session from the store, where they now have to wait: one of two gets the only place and stands in it.
    let lock = world.database.lock_table("sessions").await;
    let strict = CheckRequest { consistency: Consistency::Strict.into(), ..direct };
    let [mut first, mut second] = [0; 2].map(|_| {
        let (mut client, strict) = (DecisionServiceClient::new(channel.clone()), strict.clone());
        tokio::spawn(async move { client.check(strict).await })
    });
    let (shed, waiting) = tokio::select! {
        shed = &mut first => (shed, second),
        shed = &mut second => (shed, first),
    };
    let status = shed.expect("the call ends").expect_err("there is one place");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let mut client = AuthorizationClient::new(channel);
    let answer = client.check(frame::check(&handle, "/documents/42")).await.expect("Envoy is always answered");
    assert_denied(answer.into_inner(), 503, "overloaded");
    let response = world.send(Request::get("/documents/42").session(&handle)).await;
    assert_eq!((response.status, response.code().as_str()), (503, "overloaded"));
    drop(lock);
    waiting.await.expect("the call ends").expect("the check that waited is decided");
    assert_eq!(world.send(Request::get("/documents/42").session(&handle)).await.status, 200);
}
