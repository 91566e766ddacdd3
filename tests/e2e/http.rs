//! HTTP traffic through Envoy: allowed, denied, changed on its way.

use chaperone_e2e::admin;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::client::{Request, Response};
use chaperone_e2e::upstream::received;
use chaperone_e2e::world::World;
use serde_json::Value;

/// Asserts a denial as RFC 9457 says it, and returns its reason.
fn assert_denied(response: &Response, status: u16, code: &str) -> String {
    assert_eq!((response.status, response.code().as_str()), (status, code), "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let problem = response.json();
    assert_eq!(problem["status"], status, "{problem}");
    let decision_id = problem["decision_id"].as_str().expect("a decision id");
    // A UUIDv7 says so in its fifteenth character.
    assert_eq!((decision_id.len(), decision_id.chars().nth(14)), (36, Some('7')), "{decision_id}");
    problem["reason"].as_str().expect("a reason").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn permitted_request_reaches_the_upstream() {
    let world = World::start().await;
    let opened = world.session().await;
    let response = world.send(Request::get("/documents/42").session(&opened.handle)).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(world.upstream.count(), 1);
    let log = &world.envoy.access_log(1).await[0];
    assert_eq!((&log["outcome"], &log["code"]), (&Value::from("allow"), &Value::from("permitted")), "{log}");
    assert_eq!(log["session_id"], opened.session.id.as_str());
    assert_eq!(log["policies"], serde_json::json!(["agents-read"]), "{log}");
    assert_eq!(log["decision_id"].as_str(), response.header("x-decision-id"));
    assert!(log["bundle_number"].as_f64().is_some_and(|number| number >= 1.0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn denial_is_a_problem_with_code_reason_and_decision_id() {
    let world = World::start().await;
    let opened = world.session().await;
    let export = Request::get("/documents/42/export?format=mail").session(&opened.handle);
    let reason = assert_denied(&world.send(export).await, 403, "forbidden");
    assert!(reason.contains("may not export") && reason.contains("task-1"), "{reason}");
    let log = &world.envoy.access_log(1).await[0];
    assert_eq!((&log["outcome"], &log["code"]), (&Value::from("deny"), &Value::from("forbidden")), "{log}");
    assert_eq!(log["policies"], serde_json::json!(["no-export-by-mail"]), "{log}");
    assert_denied(&world.send(Request::new("DELETE", "/documents/42").session(&opened.handle)).await, 403, "no_permit");
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_attributes_from_the_query_decide() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    let export =
        async |query: &str| world.send(Request::get(format!("/documents/42/export?{query}")).session(&handle)).await;
    assert_eq!(export("format=csv&rows=100").await.status, 200);
    assert_denied(&export("format=csv&rows=101").await, 403, "no_permit");
    assert_denied(&export("format=csv").await, 403, "no_permit");
    assert_denied(&export("format=csv&rows=many").await, 400, "undecodable");
    assert_denied(&export("rows=1").await, 400, "undecodable");
    assert_denied(&export("format=csv&format=mail&rows=1").await, 400, "undecodable");
}

#[tokio::test(flavor = "multi_thread")]
async fn request_and_response_are_changed_as_the_mapping_says() {
    let world = World::start().await;
    let opened = world.session().await;
    let request = Request::get("/documents/42?debug=1&page=2")
        .session(&opened.handle)
        .header("x-principal", "forged")
        .header("x-internal", "secret")
        .header("x-seen-by", "client");
    let response = world.send(request).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let echo = response.json();
    assert_eq!(received(&echo, "x-principal"), ["reader"], "a client cannot add to a header that is set");
    assert_eq!(received(&echo, "x-gateway"), ["edge"], "a constant of the route");
    assert_eq!(received(&echo, "x-seen-by").join(","), "client,chaperone");
    assert!(received(&echo, "x-internal").is_empty());
    assert!(received(&echo, "x-chaperone-session").is_empty(), "the handle goes no further");
    let decision_id = response.header("x-decision-id").expect("a response header");
    assert_eq!(received(&echo, "x-decision-id"), [decision_id]);
    let target = echo["target"].as_str().expect("a target");
    let (path, query) = target.split_once('?').expect("a query");
    let mut parameters: Vec<&str> = query.split('&').collect();
    parameters.sort_unstable();
    assert_eq!((path, parameters), ("/documents/42", vec!["page=2", "tenant=team-docs"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn query_parameter_that_is_set_is_the_only_one_of_its_name() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    let read = |query: &str| Request::get(format!("/documents/42?{query}")).session(&handle);
    let echo = world.send(read("tenant=forged")).await.json();
    assert_eq!(echo["target"], "/documents/42?tenant=team-docs", "{echo}");
    assert_denied(&world.send(read("t%65nant=forged")).await, 400, "undecodable");
}

#[tokio::test(flavor = "multi_thread")]
async fn handle_as_bearer_token_is_taken_and_stripped() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    let response = world.send(Request::get("/documents/42").header("authorization", format!("Bearer {handle}"))).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(received(&response.json(), "authorization").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_known_handle_is_denied_with_401() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    let jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJyZWFkZXIifQ.c2lnbmF0dXJl";
    let unknown = "chp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for presented in [jwt, &handle[..handle.len() - 1], unknown, "chp_"] {
        let response = world.send(Request::get("/documents/42").session(presented)).await;
        assert_denied(&response, 401, "session_unknown");
    }
    let bearer = Request::get("/documents/42").header("authorization", format!("Bearer {jwt}"));
    assert_denied(&world.send(bearer).await, 401, "session_unknown");
    let without = world.send(Request::get("/documents/42")).await;
    assert_denied(&without, 401, "unauthenticated");
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn second_credential_of_the_same_name_is_never_chosen_from() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    let twice =
        |name: &str, first: &str, second: &str| Request::get("/documents/42").header(name, first).header(name, second);
    let bearer = format!("Bearer {handle}");
    for request in [
        twice("authorization", &bearer, "Bearer other"),
        twice("authorization", "Bearer other", &bearer),
        twice("authorization", &bearer, &bearer),
        twice("x-chaperone-session", &handle, "other"),
        twice("x-chaperone-session", "other", &handle),
    ] {
        let response = world.send(request).await;
        assert!(matches!(response.status, 400 | 401), "{} {}", response.status, response.text());
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_encodings_of_headers_decide_alike() {
    let world = World::builder().joined_headers().start().await;
    let handle = world.session().await.handle;
    let read = Request::get("/documents/42").session(&handle);
    assert_eq!(world.send(read.clone()).await.status, 200);
    assert_eq!(world.send(read.header("x-bytes", b"\xff\xfe")).await.status, 200);
    assert_denied(&world.send(Request::get("/documents/42")).await, 401, "unauthenticated");
    let post = Request::new("POST", "/documents/42").session(&handle).body("a body as text");
    assert_eq!(world.send(post).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn header_that_is_not_utf8_passes_unless_it_is_read() {
    let world = World::builder()
        .bundle(Bundle::documents().replacing(
            "mapping.toml",
            "path = \"/documents/{id}\"\naction = \"read\"",
            "path = \"/documents/{id}\"\nheaders = { \"x-mode\" = \"*\" }\naction = \"read\"",
        ))
        .start()
        .await;
    let handle = world.session().await.handle;
    let read = Request::get("/documents/42").session(&handle);
    assert_eq!(world.send(read.clone().header("x-mode", "all").header("x-other", b"\xff\xfe")).await.status, 200);
    assert_ne!(world.send(read.header("x-mode", "all").header("x-chaperone-session", b"\xff")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_principal_and_out_of_scope_are_denied_before_any_policy() {
    let world = World::start().await;
    let suspended = world.open(admin::agent("suspended")).await;
    let response = world.send(Request::get("/documents/42").session(&suspended.handle)).await;
    assert_denied(&response, 403, "principal_suspended");
    let scoped = world.open(admin::scoped_to(admin::agent("reader"), "Document", "42")).await;
    assert_eq!(world.send(Request::get("/documents/42").session(&scoped.handle)).await.status, 200);
    let response = world.send(Request::get("/documents/43").session(&scoped.handle)).await;
    assert_denied(&response, 403, "out_of_scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_and_completed_sessions_are_denied() {
    let world = World::start().await;
    let mut short = admin::agent("reader");
    short.lifetime = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let short = world.open(short).await;
    let read = |handle: &str| Request::get("/documents/42").session(handle);
    world.until_answered("the session expires", read(&short.handle), 403, "session_expired").await;
    let opened = world.session().await;
    assert_eq!(world.send(read(&opened.handle)).await.status, 200);
    world.admin.complete(&opened.session.id).await;
    world.until_answered("the session completes", read(&opened.handle), 403, "session_completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_that_ships_as_an_example_works_with_the_proxy_that_ships() {
    let world = World::builder().bundle(Bundle::sample()).start().await;
    let mut bot = admin::agent("report-bot");
    bot.owner = "ann@example.org".to_owned();
    let opened = world.open(bot).await;
    let export = Request::get("/documents/welcome/export?format=csv&rows=5").session(&opened.handle);
    let response = world.send(export).await;
    assert_eq!(response.status, 200, "{}", response.text());
}
