//! Client certificates: bindings of sessions, and workloads that act for themselves.

use chaperone_api::chaperone::v1::Binding;
use chaperone_e2e::admin;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::client::Request;
use chaperone_e2e::wait;
use chaperone_e2e::world::World;

const CI: &str = "spiffe://example.org/ci";
const OTHER: &str = "spiffe://example.org/other";

#[tokio::test(flavor = "multi_thread")]
async fn session_bound_to_a_spiffe_id_is_of_no_use_to_anyone_else() {
    let world = World::start().await;
    let mut request = admin::agent("reader");
    request.binding = Some(admin::bound_to(CI));
    let handle = world.open(request).await.handle;
    let read = Request::get("/documents/42").session(&handle);
    assert_eq!(world.send_as(CI, read.clone()).await.status, 200);
    let stolen = world.send_as(OTHER, read.clone()).await;
    assert_eq!((stolen.status, stolen.code().as_str()), (403, "binding_mismatch"));
    let anonymous = world.send(read).await;
    assert_eq!((anonymous.status, anonymous.code().as_str()), (403, "binding_mismatch"));
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn session_bound_to_a_certificate_is_of_no_use_with_another_of_the_same_name() {
    let world = World::start().await;
    let (first, second) = (world.pki.client(CI), world.pki.client(CI));
    let mut request = admin::agent("reader");
    request.binding = Some(Binding { certificate_sha256: first.thumbprint(), ..Binding::default() });
    let handle = world.open(request).await.handle;
    let status_with = async |identity| {
        let config = world.pki.client_config(Some(identity));
        Request::get("/documents/42").session(&handle).tls(config).send(world.envoy.https).await.status
    };
    assert_eq!(status_with(&first).await, 200);
    assert_eq!(status_with(&second).await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn workload_without_a_session_acts_for_itself_where_the_mapping_allows_it() {
    let world = World::start().await;
    let shared = world.send_as(CI, Request::get("/documents/shared")).await;
    assert_eq!(shared.status, 200, "{}", shared.text());
    let other = world.send_as(CI, Request::get("/documents/42")).await;
    assert_eq!((other.status, other.code().as_str()), (403, "no_permit"));
    world.admin.push(&Bundle::documents().replacing("mapping.toml", "peer = true", "peer = false")).await;
    wait::until("workloads no longer act for themselves", async || {
        let response = world.send_as(CI, Request::get("/documents/shared")).await;
        (response.status == 401 && response.code() == "unauthenticated").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presented_session_that_is_unknown_is_not_replaced_by_the_peer() {
    let world = World::start().await;
    let response = world.send_as(CI, Request::get("/documents/shared").session("chp_unknown")).await;
    assert_eq!((response.status, response.code().as_str()), (401, "session_unknown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn client_without_a_certificate_gets_no_connection() {
    let world = World::start().await;
    let response = Request::get("/documents/shared").tls(world.pki.client_config(None)).send(world.envoy.https).await;
    assert_eq!(response.status, 0);
}
