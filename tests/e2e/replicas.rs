//! Two replicas that share nothing but Postgres.

use std::time::{Duration, Instant};

use chaperone_api::chaperone::v1::decision_service_client::DecisionServiceClient;
use chaperone_api::chaperone::v1::{ActionRequest, CheckRequest, Decision};
use chaperone_e2e::admin::{self, entity};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::Chaperone;
use chaperone_e2e::wait;
use chaperone_e2e::world::World;

/// Within which a revocation must have reached every replica: `max_staleness` as it ships.
const REVOCATION: Duration = Duration::from_secs(1);

/// Reads `Document::"42"` at one replica.
async fn read(client: &DecisionServiceClient<tonic::transport::Channel>, handle: &str) -> Decision {
    let request = CheckRequest {
        session_handle: handle.to_owned(),
        action: Some(ActionRequest {
            action: "read".to_owned(),
            resource: Some(entity("Document", "42")),
            ..Default::default()
        }),
        ..Default::default()
    };
    client.clone().check(request).await.expect("a decision").into_inner().decision.expect("a decision")
}

async fn client(replica: &Chaperone) -> DecisionServiceClient<tonic::transport::Channel> {
    DecisionServiceClient::new(replica.data_channel().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_activated_on_one_replica_decides_on_the_other() {
    let world = World::builder().replicas(2).start().await;
    let handle = world.session().await.handle;
    let other = client(&world.replicas[1]).await;
    let before = wait::until("the other replica knows the session", async || {
        let decision = read(&other, &handle).await;
        (decision.code == "permitted").then_some(decision)
    })
    .await;
    let closed = Bundle::documents().replacing(
        "policies/documents.cedar",
        "permit (principal is Agent, action == Action::\"read\"",
        "forbid (principal is Agent, action == Action::\"read\"",
    );
    let number = world.admin.push(&closed).await;
    assert!(number > before.bundle_number);
    let after = wait::until("the other replica decides by the new bundle", async || {
        let decision = read(&other, &handle).await;
        (decision.code == "forbidden").then_some(decision)
    })
    .await;
    assert_eq!(after.bundle_number, number);
}

#[tokio::test(flavor = "multi_thread")]
async fn session_is_known_on_the_other_replica_as_soon_as_it_is_opened() {
    let world = World::builder().replicas(2).start().await;
    let other = client(&world.replicas[1]).await;
    for _ in 0..20 {
        let handle = world.session().await.handle;
        assert_eq!(read(&other, &handle).await.code, "permitted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_on_one_replica_denies_through_the_other_within_a_second() {
    let world = World::builder().replicas(2).start().await;
    let opened = world.session().await;
    let other = client(&world.replicas[1]).await;
    assert_eq!(read(&other, &opened.handle).await.code, "permitted");
    world.admin.revoke(&opened.session.id).await;
    let revoked_at = Instant::now();
    let decision = wait::within(REVOCATION, "the revocation reaches the other replica", async || {
        let decision = read(&other, &opened.handle).await;
        (decision.code == "session_revoked").then_some(decision)
    })
    .await;
    assert!(revoked_at.elapsed() <= REVOCATION);
    assert!(decision.reason.contains("the test says so"), "{}", decision.reason);
    // And it stays so, on both and through Envoy.
    let here = client(&world.replicas[0]).await;
    for _ in 0..20 {
        assert_eq!(read(&other, &opened.handle).await.code, "session_revoked");
        assert_eq!(read(&here, &opened.handle).await.code, "session_revoked");
        let request = chaperone_e2e::client::Request::get("/documents/42").session(&opened.handle);
        let response = world.send(request).await;
        assert_eq!((response.status, response.code().as_str()), (403, "session_revoked"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_of_a_parent_reaches_every_descendant() {
    let world = World::builder().replicas(2).start().await;
    let parent = world.session().await;
    let child = world.open(admin::child_of(&parent.session)).await;
    let grandchild = world.open(admin::child_of(&child.session)).await;
    let bystander = world.session().await;
    let other = client(&world.replicas[1]).await;
    for handle in [&parent.handle, &child.handle, &grandchild.handle, &bystander.handle] {
        assert_eq!(read(&other, handle).await.code, "permitted");
    }
    world.admin.revoke(&parent.session.id).await;
    for handle in [&grandchild.handle, &child.handle, &parent.handle] {
        wait::within(REVOCATION, "the revocation reaches the tree", async || {
            (read(&other, handle).await.code == "session_revoked").then_some(())
        })
        .await;
    }
    assert_eq!(read(&other, &bystander.handle).await.code, "permitted");
}
