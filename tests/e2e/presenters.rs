//! Who presents a session, where that is unusual; and many who present the same one at once.

use std::collections::HashSet;
use std::sync::Arc;

use chaperone_api::envoy::service::auth::v3::CheckRequest;
use chaperone_api::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use chaperone_api::envoy::service::auth::v3::check_response::HttpResponse;
use chaperone_e2e::client::Request;
use chaperone_e2e::world::World;
use chaperone_e2e::{admin, frame};

#[tokio::test(flavor = "multi_thread")]
async fn certificate_without_a_spiffe_id_is_nobody_and_meets_no_binding() {
    let world = World::start().await;
    let mut request = admin::agent("reader");
    request.binding = Some(admin::bound_to("spiffe://example.org/ci"));
    let bound = world.open(request).await.handle;
    let free = world.session().await.handle;
    for uri in ["https://example.org/ci", "spiffe://EXAMPLE.org/ci", "spiffe://example.org/ci/../ci", "urn:x:ci"] {
        let shared = world.send_as(uri, Request::get("/documents/shared")).await;
        assert_eq!((shared.status, shared.code().as_str()), (401, "unauthenticated"), "{uri}");
        let stolen = world.send_as(uri, Request::get("/documents/42").session(&bound)).await;
        assert_eq!((stolen.status, stolen.code().as_str()), (403, "binding_mismatch"), "{uri}");
        assert_eq!(world.send_as(uri, Request::get("/documents/42").session(&free)).await.status, 200, "{uri}");
    }
}

/// The code in the body of a denial; empty for an allow.
async fn code(world: &World, check: CheckRequest) -> String {
    let mut client = AuthorizationClient::new(world.replicas[0].data_channel().await);
    let answer = client.check(check).await.expect("Envoy is always answered").into_inner();
    match (answer.status.expect("a status").code, answer.http_response) {
        (0, Some(HttpResponse::OkResponse(_))) => String::new(),
        (status, Some(HttpResponse::DeniedResponse(denied))) if status != 0 => {
            let problem: serde_json::Value = serde_json::from_str(&denied.body).expect("a problem");
            problem["code"].as_str().expect("a code").to_owned()
        }
        other => panic!("neither allowed nor denied: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_source_or_principal_is_nobody() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    let mut request = admin::agent("reader");
    request.binding = Some(admin::bound_to(frame::CALLER));
    let bound = world.open(request).await.handle;
    assert_eq!(code(&world, frame::check(&bound, "/documents/42")).await, "");
    for source in [None, Some(chaperone_api::envoy::service::auth::v3::attribute_context::Peer::default())] {
        let without = |handle: &str, path: &str| {
            let mut check = frame::check(handle, path);
            check.attributes.as_mut().expect("attributes").source.clone_from(&source);
            check
        };
        assert_eq!(code(&world, without(&handle, "/documents/42")).await, "");
        assert_eq!(code(&world, without(&bound, "/documents/42")).await, "binding_mismatch");
        let mut anonymous = without("", "/documents/shared");
        let headers = &mut frame::http_of(&mut anonymous).header_map.as_mut().expect("headers").headers;
        headers.retain(|header| !matches!(header.key.as_str(), "x-chaperone-session" | "authorization"));
        assert_eq!(code(&world, anonymous).await, "unauthenticated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn body_of_any_kind_changes_no_decision_and_arrives_as_it_was_sent() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x04\x00\x43\xbe\xb7\xe8\x01\x00\x00\x00".to_vec();
    // Not JSON; JSON that speaks of another action and session; compressed; more than the check sees of it.
    let other = br#"{"action":"export","session":"chp_x","method":"DELETE","path":"/secrets"}"#.to_vec();
    for body in [b"{not json".to_vec(), other, gzip, vec![b'x'; 64 * 1024]] {
        for (path, status) in [("/documents/42", 200), ("/secrets", 403)] {
            let post = Request::new("POST", path).session(&handle).header("content-type", "application/json");
            let response = world.send(post.header("content-encoding", "gzip").body(body.clone())).await;
            assert_eq!(response.status, status, "{path}: {}", response.text());
            if status == 200 {
                assert_eq!(response.json()["body_bytes"], body.len());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_checks_on_one_session_are_all_answered_and_each_rightly() {
    const WORKERS: usize = 16;
    const EACH: usize = 25;
    let world = Arc::new(World::builder().replicas(2).check_timeout("5s").start().await);
    let handle = world.session().await.handle;
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (world, handle) = (Arc::clone(&world), handle.clone());
            tokio::spawn(async move {
                let mut decisions = Vec::new();
                for turn in 0..EACH {
                    let document = worker * EACH + turn;
                    let (target, status) = match document % 2 {
                        0 => (format!("/documents/{document}"), 200),
                        _ => (format!("/documents/{document}/export?format=mail&rows=1"), 403),
                    };
                    let response = world.send(Request::get(target.clone()).session(&handle)).await;
                    assert_eq!(response.status, status, "{target}: {}", response.text());
                    let decision = match status {
                        200 => {
                            let reached = response.json()["target"].as_str().expect("a target").to_owned();
                            assert!(reached.starts_with(&format!("{target}?")), "{reached} for {target}");
                            response.header("x-decision-id").expect("a decision id").to_owned()
                        }
                        _ => response.json()["decision_id"].as_str().expect("a decision id").to_owned(),
                    };
                    decisions.push(decision);
                }
                decisions
            })
        })
        .collect();
    let mut decisions = HashSet::new();
    for worker in workers {
        decisions.extend(worker.await.expect("every answer is right"));
    }
    assert_eq!(decisions.len(), WORKERS * EACH, "every check has a decision of its own");
    assert_eq!(world.upstream.count(), (WORKERS * EACH / 2) as u64);
}
