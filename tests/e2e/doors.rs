//! Ports, signals, and what `serve` refuses to run with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chaperone_api::chaperone::v1::decision_service_client::DecisionServiceClient;
use chaperone_api::chaperone::v1::session_service_client::SessionServiceClient;
use chaperone_api::chaperone::v1::{ActionRequest, CheckRequest, CheckStreamRequest, SessionServiceListRequest};
use chaperone_e2e::admin::entity;
use chaperone_e2e::chaperone::{self, Chaperone};
use chaperone_e2e::cli;
use chaperone_e2e::client;
use chaperone_e2e::postgres::Database;
use chaperone_e2e::trail::{self, Chain};
use chaperone_e2e::world::World;
use chaperone_e2e::{ports, wait};
use tonic::Code;

/// Starts `serve` with what it must refuse, and returns its output.
async fn refused(mut replica: Chaperone) -> String {
    let status = replica.process().ended().await;
    let output = replica.process().output();
    assert!(!status.success(), "{output}");
    assert!(!output.contains("panicked"), "{output}");
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn second_serve_on_the_same_port_ends_and_names_the_address() {
    let database = Database::create();
    chaperone::migrate(&database.url());
    let first = Chaperone::start(&database.url(), &[]).await;
    for taken in 0..3 {
        let mut addresses = [ports::free(), ports::free(), ports::free()];
        addresses[taken] = [first.data, first.admin, first.http][taken];
        let output = refused(Chaperone::spawn_at(&database.url(), &[], addresses)).await;
        assert!(output.contains(&addresses[taken].to_string()), "{output}");
        assert!(output.to_lowercase().contains("in use"), "{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_plane_beyond_loopback_needs_tls_and_authentication() {
    let database = Database::create();
    chaperone::migrate(&database.url());
    let everywhere = ([0, 0, 0, 0], ports::free().port()).into();
    let replica = Chaperone::spawn_at(&database.url(), &[], [ports::free(), everywhere, ports::free()]);
    let output = refused(replica).await;
    assert!(output.contains("--admin-listen") && output.contains("beyond loopback"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_plane_without_its_token_is_shut() {
    let database = Database::create();
    chaperone::migrate(&database.url());
    let replica = Chaperone::start(&database.url(), &[]).await;
    let mut sessions = SessionServiceClient::new(client::channel(replica.admin).await);
    let status = sessions.list(SessionServiceListRequest::default()).await.expect_err("no token, no entry");
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    // And it is not to be had through the data plane.
    let mut sessions = SessionServiceClient::new(replica.data_channel().await);
    let status = sessions.list(SessionServiceListRequest::default()).await.expect_err("another door");
    assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_that_is_absent_or_from_the_future_is_refused() {
    let database = Database::create();
    let output = refused(Chaperone::spawn(&database.url(), &[])).await;
    assert!(output.contains("chaperone migrate"), "{output}");
    chaperone::migrate(&database.url());
    database.sql(
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
         VALUES (99991231235959, 'from the future', '2026-01-01', TRUE, '\\x00', 0)",
    );
    let output = refused(Chaperone::spawn(&database.url(), &[])).await;
    assert!(output.contains("99991231235959") || output.contains("newer"), "{output}");
    assert_ne!(cli::run(&["migrate", "--store-url", &database.url()]).code, 0, "nor is it migrated");
}

/// Whether the caller knows that nobody took its call: it had no connection, the connection was closed before its turn came, or the
/// server's GOAWAY says that it was not among those that it took (RFC 9113, 6.8).
fn never_taken(status: &tonic::Status) -> bool {
    let cause = format!("{status:?}");
    ["Canceled, \"connection closed\"", "ConnectionRefused", "GoAway(b\"\", NO_ERROR, Remote)"]
        .iter()
        .any(|known| cause.contains(known))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_check_in_flight_is_lost_when_a_replica_is_asked_to_end() {
    const CALLERS: usize = 8;
    let mut world = World::start().await;
    let session_handle = world.session().await.handle;
    let channel = world.replicas[0].data_channel().await;
    let action =
        ActionRequest { action: "read".to_owned(), resource: Some(entity("Document", "42")), ..Default::default() };
    let request = CheckRequest { session_handle, action: Some(action), ..Default::default() };
    let answered = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let mut client = DecisionServiceClient::new(channel.clone());
            let (answered, request) = (Arc::clone(&answered), request.clone());
            tokio::spawn(async move {
                loop {
                    match client.check(request.clone()).await {
                        Ok(_) => answered.fetch_add(1, Ordering::SeqCst),
                        Err(status) => return status,
                    };
                }
            })
        })
        .collect();
    wait::until("all callers are at it", async || (answered.load(Ordering::SeqCst) > 10 * CALLERS).then_some(())).await;
    let status = world.replicas[0].terminate().await;
    assert!(status.success(), "{status}\n{}", world.replicas[0].process().output());
    for caller in callers {
        let end = caller.await.expect("the caller runs");
        assert!(never_taken(&end), "lost: {end:?}");
    }
    let chains = trail::of_store(&world.database.url()).await;
    let decided = chains.iter().flat_map(Chain::decisions).count();
    assert_eq!(decided, answered.load(Ordering::SeqCst), "what was decided was answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_do_not_hold_up_the_end() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    // Longer than any test waits.
    let mut world = World::builder().serve(&["--drain-timeout=1h"]).start().await;
    let session_handle = world.session().await.handle;
    let channel = world.replicas[0].data_channel().await;
    let action =
        ActionRequest { action: "read".to_owned(), resource: Some(entity("Document", "42")), ..Default::default() };
    let check = CheckRequest { session_handle, action: Some(action), ..Default::default() };
    let asked = tokio_stream::once(CheckStreamRequest { request_id: 1, check: Some(check) });
    let asked = tokio_stream::StreamExt::chain(asked, tokio_stream::pending());
    let mut answers =
        DecisionServiceClient::new(channel.clone()).check_stream(asked).await.expect("a stream").into_inner();
    answers.message().await.expect("an answer").expect("one answer");
    let mut health =
        HealthClient::new(channel).watch(HealthCheckRequest::default()).await.expect("a stream").into_inner();
    health.message().await.expect("a status").expect("one status");
    let status = world.replicas[0].terminate().await;
    assert!(status.success(), "{status}\n{}", world.replicas[0].process().output());
    let end = answers.message().await.expect_err("it ended before its questions did");
    assert_eq!((end.code(), end.message()), (tonic::Code::Unavailable, "the server is stopping"));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_are_on() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;
    let world = World::start().await;
    for address in [world.replicas[0].data, world.replicas[0].admin] {
        let mut health = HealthClient::new(client::channel(address).await);
        wait::until("it is serving", async || {
            let answer = health.check(HealthCheckRequest::default()).await.ok()?.into_inner();
            (answer.status() == ServingStatus::Serving).then_some(())
        })
        .await;
    }
}
