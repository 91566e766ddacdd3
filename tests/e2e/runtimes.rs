//! The process around the decisions: its runtimes, its end under traffic, and what it tells about itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chaperone_api::chaperone::v1::SessionServiceListRequest;
use chaperone_e2e::chaperone::ADMIN_TOKEN;
use chaperone_e2e::client::{self, Request, connect_tls};
use chaperone_e2e::direct::Direct;
use chaperone_e2e::process::Signal;
use chaperone_e2e::upstream::echo_over;
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

const DATA_SERVICES: [&str; 2] = ["chaperone.v1.DecisionService", "envoy.service.auth.v3.Authorization"];
const ADMIN_SERVICES: [&str; 3] =
    ["chaperone.v1.EntityService", "chaperone.v1.PolicyService", "chaperone.v1.SessionService"];

#[tokio::test(flavor = "multi_thread")]
async fn threads_with_their_own_connections_decide_as_threads_that_share_them() {
    decides(&["--data-runtime", "per-core", "--data-workers", "3"]).await;
    decides(&["--data-runtime", "shared"]).await;
}

async fn decides(options: &[&str]) {
    let mut world = World::builder().replicas(2).serve(options).start().await;
    let opened = world.session().await;
    let read = Request::get("/documents/42").session(&opened.handle);
    assert_eq!(world.send(read.clone()).await.status, 200);
    assert_eq!(world.send(Request::get("/documents/42/export?format=mail").session(&opened.handle)).await.status, 403);
    let config = world.pki.client_config(Some(&world.pki.client("spiffe://example.org/ci")));
    let stream = connect_tls(world.envoy.tcp, config).await.expect("the handshake succeeds");
    assert_eq!(echo_over(stream, b"ping").await.as_deref(), Some(&b"ping"[..]));
    // More connections than threads: whichever has one of them answers, in parallel.
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (direct, handle) = (Direct::to(&world.replicas[1]).await, opened.handle.clone());
        callers.spawn(async move {
            for _ in 0..20 {
                assert_eq!(direct.read(&handle).await, "permitted");
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.expect("every call is answered");
    }
    world.admin.revoke(&opened.session.id).await;
    world.until_answered("it is revoked", read, 403, "session_revoked").await;
    for replica in &mut world.replicas {
        let status = replica.terminate().await;
        assert!(status.success(), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_at_envoy_while_a_replica_drains() {
    const WORKERS: usize = 4;
    // Long enough for Envoy's health check, once a second, to see it.
    let options = ["--drain-delay", "3s"];
    let mut world = World::builder().replicas(2).serve(&options).check_timeout("5s").start().await;
    let handle = world.session().await.handle;
    let (over, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let envoy = world.envoy.http;
    let load: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (over, answered, handle) = (Arc::clone(&over), Arc::clone(&answered), handle.clone());
            tokio::spawn(async move {
                while over.load(Ordering::SeqCst) == 0 {
                    let response = Request::get("/documents/42").session(&handle).send(envoy).await;
                    assert_eq!(response.status, 200, "{}", response.text());
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let more = async |count: usize| {
        let from = answered.load(Ordering::SeqCst);
        wait::until("requests are answered", async || {
            let failed = load.iter().any(tokio::task::JoinHandle::is_finished);
            (failed || answered.load(Ordering::SeqCst) > from + count).then_some(())
        })
        .await;
    };
    more(40).await;
    world.replicas[0].process().signal(Signal::Terminate);
    let status = world.replicas[0].process().ended().await;
    assert!(status.success(), "{status}");
    more(40).await;
    over.store(1, Ordering::SeqCst);
    for worker in load {
        worker.await.expect("every request is answered");
    }
    let errors = world.envoy.stats("ext_authz.error").await;
    assert_eq!(errors["http.ingress.ext_authz.error"], 0, "{errors:?}");
}

/// The services that a plane lists.
async fn listed(address: std::net::SocketAddr, token: Option<&str>) -> Result<Vec<String>, tonic::Status> {
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut request = tonic::Request::new(tokio_stream::once(ask));
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
    }
    let mut client = ServerReflectionClient::new(client::channel(address).await);
    let answer = client.server_reflection_info(request).await?.into_inner().message().await?;
    match answer.and_then(|answer| answer.message_response) {
        Some(MessageResponse::ListServicesResponse(list)) => {
            Ok(list.service.into_iter().map(|service| service.name).collect())
        }
        other => panic!("no list: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_the_services_of_each_plane() {
    let world = World::start().await;
    let replica = &world.replicas[0];
    let data = listed(replica.data, None).await.expect("a list");
    let admin = listed(replica.admin, Some(ADMIN_TOKEN)).await.expect("a list");
    assert!(DATA_SERVICES.iter().all(|service| data.iter().any(|name| name == service)), "{data:?}");
    assert!(ADMIN_SERVICES.iter().all(|service| admin.iter().any(|name| name == service)), "{admin:?}");
    let status = listed(replica.admin, None).await.expect_err("the admin plane is shut without its token");
    assert_eq!(status.code(), tonic::Code::Unauthenticated, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_names_every_service_and_turns_with_readiness() {
    let world = World::builder().own_postgres().start().await;
    let replica = &world.replicas[0];
    let health = HealthClient::new(client::channel(replica.data).await);
    let all_are = async |status: ServingStatus| {
        for service in DATA_SERVICES.into_iter().chain(ADMIN_SERVICES).chain([""]) {
            wait::until(format!("`{service}` is {status:?}"), async || {
                let request = HealthCheckRequest { service: service.to_owned() };
                let answer = health.clone().check(request).await.expect("a known service").into_inner();
                (answer.status() == status).then_some(())
            })
            .await;
        }
    };
    all_are(ServingStatus::Serving).await;
    let unknown = HealthCheckRequest { service: "chaperone.v1.NoSuchService".to_owned() };
    let status = health.clone().check(unknown).await.expect_err("there is no such service");
    assert_eq!(status.code(), tonic::Code::NotFound, "{status:?}");
    world.database.server().kill();
    all_are(ServingStatus::NotServing).await;
    assert_eq!(replica.readiness().await, 503);
    let list = world.admin.sessions.clone().list(SessionServiceListRequest::default()).await;
    assert_eq!(list.expect_err("the store is gone").code(), tonic::Code::Unavailable);
    world.database.server().restart();
    all_are(ServingStatus::Serving).await;
}
