//! Too much of everything, and what is not protobuf at all.

use chaperone_api::chaperone::v1::PolicyServiceUploadRequest;
use chaperone_api::envoy::config::core::v3::{HeaderMap, HeaderValue};
use chaperone_api::envoy::service::auth::v3::CheckResponse;
use chaperone_api::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use chaperone_api::envoy::service::auth::v3::check_response::HttpResponse;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::client::Request;
use chaperone_e2e::frame;
use chaperone_e2e::raw::UnaryBytes;
use chaperone_e2e::world::World;
use prost::Message as _;
use tonic::Code;

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

fn assert_unreadable(answer: &CheckResponse) {
    assert_ne!(answer.status.as_ref().expect("a status").code, 0);
    let Some(HttpResponse::DeniedResponse(denied)) = &answer.http_response else { panic!("{answer:?}") };
    assert_eq!(denied.status.expect("a status").code, 503);
    assert!(denied.body.contains("unreadable"), "{}", denied.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn message_that_is_not_protobuf_is_answered_as_a_denial_and_harms_nobody() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    let mut client = UnaryBytes::new(world.replicas[0].data_channel().await);
    let endless = vec![0x0a; 100_000];
    for bytes in [&b"\xff\xff\xff\xff"[..], b"GET / HTTP/1.1\r\n\r\n", b"\x0a\xff\xff\xff\xff\x0f", &endless] {
        // A failed call would be an allow under `failure_mode_allow`.
        let answer = client.call(CHECK, bytes).await.expect("an answer");
        assert_unreadable(&CheckResponse::decode(&answer[..]).expect("a check response"));
    }
    assert_eq!(world.send(Request::get("/documents/42").session(&handle)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_check_is_denied_and_never_answered_without_a_status() {
    let world = World::start().await;
    let mut client = AuthorizationClient::new(world.replicas[0].data_channel().await);
    let answer = client.check(chaperone_api::envoy::service::auth::v3::CheckRequest::default()).await;
    let answer = answer.expect("an answer").into_inner();
    assert_ne!(answer.status.expect("a status").code, 0);
    assert!(matches!(answer.http_response, Some(HttpResponse::DeniedResponse(_))), "{:?}", answer.http_response);
}

#[tokio::test(flavor = "multi_thread")]
async fn body_of_five_mebibytes_goes_upstream_whole_and_is_denied_as_a_check() {
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
    assert_unreadable(&client.check(check).await.expect("an answer, larger than the limit or not").into_inner());
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
    let Some(HttpResponse::DeniedResponse(denied)) = answer.http_response else { panic!("{:?}", answer.http_response) };
    assert_eq!(denied.status.expect("a status").code, 400, "{}", denied.body);
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
    use chaperone_api::chaperone::v1::decision_service_client::DecisionServiceClient;
    use chaperone_api::chaperone::v1::{CheckBatchRequest, CheckRequest};
    use chaperone_e2e::admin::{entity, member};
    // One check at a time, so that two at once are too many.
    let world = World::builder().serve(&["--data-concurrency", "1"]).start().await;
    let handle = world.session().await.handle;
    let channel = world.replicas[0].data_channel().await;
    let action = chaperone_api::chaperone::v1::ActionRequest {
        action: "export".to_owned(),
        resource: Some(entity("Document", "42")),
        attributes: [("format".to_owned(), member("csv")), ("rows".to_owned(), member(1))].into(),
    };
    let batch =
        CheckBatchRequest { session_handle: handle.clone(), actions: vec![action.clone(); 1000], ..Default::default() };
    // Both shapes of shedding, each while a long batch holds the only place. Who comes first is a race, so it is run until both were seen.
    let (mut shed_envoy, mut shed_direct) = (false, false);
    chaperone_e2e::wait::until("checks are shed", async || {
        let holder = tokio::spawn({
            let (mut client, batch) = (DecisionServiceClient::new(channel.clone()), batch.clone());
            async move { client.check_batch(batch).await.map(|_| ()) }
        });
        let envoy_check = AuthorizationClient::new(channel.clone()).check(frame::check(&handle, "/documents/42")).await;
        match envoy_check.expect("Envoy is always answered").into_inner().http_response {
            Some(HttpResponse::DeniedResponse(denied)) => {
                assert_eq!(denied.status.expect("a status").code, 503, "{}", denied.body);
                assert!(denied.body.contains("overloaded"), "{}", denied.body);
                shed_envoy = true;
            }
            Some(HttpResponse::OkResponse(_)) => {}
            other => panic!("{other:?}"),
        }
        let request =
            CheckRequest { session_handle: handle.clone(), action: Some(action.clone()), ..Default::default() };
        match DecisionServiceClient::new(channel.clone()).check(request).await {
            Ok(_) => {}
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                shed_direct = true;
            }
        }
        // The holder itself may have been the one too many.
        let _ = holder.await;
        (shed_envoy && shed_direct).then_some(())
    })
    .await;
    assert_eq!(world.send(Request::get("/documents/42").session(&handle)).await.status, 200);
}
