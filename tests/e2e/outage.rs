//! Postgres absent, gone, and back.

use std::sync::Arc;
use std::time::Duration;

use chaperone_api::chaperone::v1::decision_service_client::DecisionServiceClient;
use chaperone_api::chaperone::v1::{ActionRequest, CheckRequest};
use chaperone_e2e::admin::{self, entity};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::{self, Chaperone};
use chaperone_e2e::client::Request;
use chaperone_e2e::postgres::{Database, Postgres};
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn killed_postgres_denies_with_503_and_its_return_allows_again() {
    let world = World::builder().own_postgres().replicas(2).start().await;
    let opened = world.session().await;
    let read = Request::get("/documents/42").session(&opened.handle);
    assert_eq!(world.send(read.clone()).await.status, 200);
    world.database.server().kill();
    let stale = world.until_answered("nothing is decided from what may be stale", read.clone(), 503, "stale").await;
    assert_eq!(stale.header("content-type"), Some("application/problem+json"));
    wait::until("the replica says that it is not ready", async || {
        (world.replicas[0].readiness().await == 503).then_some(())
    })
    .await;
    let upstream_count = world.upstream.count();
    for _ in 0..10 {
        assert_eq!(world.send(read.clone()).await.status, 503);
    }
    assert_eq!(world.upstream.count(), upstream_count);
    world.database.server().restart();
    wait::until("decisions are made again", async || {
        let response = world.send(read.clone()).await;
        assert!(matches!(response.status, 200 | 503), "{} {}", response.status, response.text());
        (response.status == 200).then_some(())
    })
    .await;
    // What was true before still is, and changes arrive again.
    world.admin.revoke(&opened.session.id).await;
    world.until_answered("the session is revoked", read, 403, "session_revoked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_caller_is_told_that_the_state_is_stale_as_an_error() {
    let world = World::builder().own_postgres().start().await;
    let session_handle = world.session().await.handle;
    let client = DecisionServiceClient::new(world.replicas[0].data_channel().await);
    let action =
        ActionRequest { action: "read".to_owned(), resource: Some(entity("Document", "42")), ..Default::default() };
    let request = CheckRequest { session_handle, action: Some(action), ..Default::default() };
    client.clone().check(request.clone()).await.expect("a decision");
    world.database.server().kill();
    let status =
        wait::until("the direct caller gets an error", async || client.clone().check(request.clone()).await.err())
            .await;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_that_starts_before_postgres_denies_until_it_is_there() {
    let postgres = Arc::new(Postgres::create());
    postgres.restart();
    let database = Database::create_on(&postgres);
    chaperone::migrate(&database.url());
    postgres.kill();
    let mut replica = Chaperone::spawn(&database.url(), &[]);
    // Either it waits, alive and not ready, or it ends with a message for its supervisor; it never serves a guess.
    let ended = wait::until("it is alive, or ended", async || {
        let ended = replica.process().exit_status();
        let alive = Request::get("/livez").send(replica.http).await.status == 200;
        (alive || ended.is_some()).then_some(ended)
    })
    .await;
    if let Some(status) = ended {
        assert!(!status.success());
        assert!(replica.process().output().contains("store"), "{}", replica.process().output());
        return;
    }
    assert_eq!(replica.readiness().await, 503);
    postgres.restart();
    wait::until("the store is reached", async || {
        replica.process().assert_running();
        let mut sessions = replica.administer().await.sessions;
        sessions.open(admin::agent("reader")).await.is_ok().then_some(())
    })
    .await;
    replica.administer().await.push(&Bundle::documents()).await;
    replica.ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_leaves_before_a_deadline_of_five_milliseconds_or_is_no_permission() {
    let world = World::builder().check_timeout("0.005s").start().await;
    let handle = world.session().await.handle;
    for _ in 0..100 {
        let response = world.send(Request::get("/documents/42").session(&handle)).await;
        assert!(matches!(response.status, 200 | 503), "{} {}", response.status, response.text());
    }
    let stats = world.envoy.stats("ext_authz").await;
    assert_eq!(stats.get("http.ingress.ext_authz.failure_mode_allowed").copied().unwrap_or(0), 0, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_that_was_stopped_and_wakes_decides_nothing_from_its_old_memory() {
    use chaperone_e2e::process::Signal;
    let mut world = World::builder().replicas(2).check_timeout("5s").start().await;
    let opened = world.session().await;
    let other = DecisionServiceClient::new(world.replicas[1].data_channel().await);
    let action =
        ActionRequest { action: "read".to_owned(), resource: Some(entity("Document", "42")), ..Default::default() };
    let request = CheckRequest { session_handle: opened.handle.clone(), action: Some(action), ..Default::default() };
    other.clone().check(request.clone()).await.expect("a decision");
    world.replicas[1].process().signal(Signal::Stop);
    world.admin.revoke(&opened.session.id).await;
    // Longer than max_staleness: what it remembers is too old on waking.
    let stopped = std::time::Instant::now();
    wait::until("more than max_staleness has passed", async || {
        (stopped.elapsed() > Duration::from_millis(1500)).then_some(())
    })
    .await;
    let asked = tokio::spawn(async move { other.clone().check(request).await });
    world.replicas[1].process().signal(Signal::Continue);
    match asked.await.expect("the call ends") {
        Ok(response) => assert_eq!(response.into_inner().decision.expect("a decision").code, "session_revoked"),
        Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
    }
}
