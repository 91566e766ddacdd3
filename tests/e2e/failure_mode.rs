//! Being unable to decide, under each of Envoy's ways to take a failed check.

use std::time::{Duration, Instant};

use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::client::{Request, connect_tls};
use chaperone_e2e::direct::Direct;
use chaperone_e2e::upstream::echo_over;
use chaperone_e2e::wait;
use chaperone_e2e::world::World;

/// The documents bundle, whose route for reading asks for an error where nothing can be decided. Exports keep to the default.
fn reading_fails_as_an_error() -> Bundle {
    Bundle::documents().replacing("mapping.toml", "action = \"read\"", "action = \"read\"\non_failure = \"error\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_decision_is_a_denial_even_where_a_failed_check_is_allowed() {
    let world = World::builder()
        .own_postgres()
        .failure_mode_allow()
        .check_timeout("5s")
        .bundle(reading_fails_as_an_error())
        .start()
        .await;
    let handle = world.session().await.handle;
    let export = Request::get("/documents/42/export?format=csv&rows=1").session(&handle);
    assert_eq!(world.send(export.clone()).await.status, 200);
    world.database.server().kill();
    let denied = world.until_answered("exports are denied", export.clone(), 503, "stale").await;
    assert_eq!(denied.header("content-type"), Some("application/problem+json"));
    let reached = world.upstream.count();
    for request in [export, Request::get("/public/x").session(&handle), Request::new("POST", "/").session(&handle)] {
        let response = world.send(request).await;
        assert_eq!((response.status, response.code().as_str()), (503, "stale"));
    }
    assert_eq!(world.upstream.count(), reached);
    wait::until("the access log tells it", async || {
        let log = world.envoy.access_log(1).await;
        log.iter().any(|line| line["outcome"] == "none" && line["code"] == "stale").then_some(())
    })
    .await;
    // The network filter has the same mode, and its connections are closed all the same.
    let config = world.pki.client_config(Some(&world.pki.client("spiffe://example.org/ci")));
    let stream = connect_tls(world.envoy.tcp, config).await.expect("the handshake succeeds");
    assert_eq!(echo_over(stream, b"ping").await, None);
    assert_eq!(world.tcp_upstream.count(), 0);
    // The one route that asks for it leaves the choice to Envoy, which was told to allow.
    assert_eq!(world.send(Request::get("/documents/42").session(&handle)).await.status, 200);
    let stats = world.envoy.stats("ext_authz").await;
    assert_eq!(stats["http.ingress.ext_authz.failure_mode_allowed"], 1, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn route_that_asks_for_an_error_gets_503_from_an_envoy_that_fails_closed() {
    let world = World::builder().own_postgres().check_timeout("5s").bundle(reading_fails_as_an_error()).start().await;
    let handle = world.session().await.handle;
    let read = Request::get("/documents/42").session(&handle);
    assert_eq!(world.send(read.clone()).await.status, 200);
    world.database.server().kill();
    let export = Request::get("/documents/42/export?format=csv&rows=1").session(&handle);
    world.until_answered("exports are denied", export, 503, "stale").await;
    let reached = world.upstream.count();
    let response = world.send(read).await;
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(world.upstream.count(), reached);
    let stats = world.envoy.stats("ext_authz").await;
    assert!(stats["http.ingress.ext_authz.error"] >= 1, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_that_waits_for_the_store_is_denied_before_its_deadline() {
    let world = World::start().await;
    // Opened and never used: no replica has it in memory.
    let handle = world.session().await.handle;
    let lock = world.database.lock_table("sessions").await;
    let read = Request::get("/documents/42").session(&handle);
    world.until_answered("the check is given up in time", read.clone(), 503, "deadline").await;
    assert_eq!(world.upstream.count(), 0);
    drop(lock);
    world.until_answered("the session is found", read, 200, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_handle_is_denied_without_asking_the_store() {
    let world = World::builder().serve(&["--data-default-deadline", "20s", "--store-timeout", "20s"]).start().await;
    let handle = world.session().await.handle;
    let direct = Direct::to(&world.replicas[0]).await;
    let _lock = world.database.lock_table("sessions").await;
    // Were one of them looked up, its answer would have to wait for the lock.
    let began = Instant::now();
    let jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJyZWFkZXIifQ.c2lnbmF0dXJl";
    let (truncated, longer) = (&handle[..handle.len() - 1], format!("{handle}A"));
    let (cased, spaced) = (handle.to_uppercase(), format!(" {handle}"));
    for presented in [jwt, truncated, &longer, &cased, &spaced, "chp_", &"A".repeat(4096), "chp_\u{0}", "чп_"] {
        assert_eq!(direct.read(presented).await, "session_unknown", "{presented:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_cannot_be_written_do_not_stop_decisions_from_memory() {
    let world = World::builder().serve(&["--sessions-touch-interval", "50ms"]).start().await;
    let handle = world.session().await.handle;
    let direct = Direct::to(&world.replicas[0]).await;
    assert_eq!(direct.read(&handle).await, "permitted");
    // Uses cannot be stored now; the change feed can be read.
    let _lock = world.database.lock_table("sessions").await;
    let locked = Instant::now();
    while locked.elapsed() < Duration::from_secs(3) {
        assert_eq!(direct.read(&handle).await, "permitted", "after {:?}", locked.elapsed());
    }
}
