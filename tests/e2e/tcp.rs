//! TCP through Envoy's network filter.

use chaperone_e2e::client::connect_tls;
use chaperone_e2e::upstream::echo_over;
use chaperone_e2e::world::World;

async fn echo_as(world: &World, spiffe_id: &str) -> Option<Vec<u8>> {
    let config = world.pki.client_config(Some(&world.pki.client(spiffe_id)));
    let stream = connect_tls(world.envoy.tcp, config).await.expect("the handshake succeeds");
    echo_over(stream, b"ping").await
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_is_open_to_the_permitted_workload_only() {
    let world = World::start().await;
    assert_eq!(echo_as(&world, "spiffe://example.org/ci").await.as_deref(), Some(&b"ping"[..]));
    assert_eq!(echo_as(&world, "spiffe://example.org/other").await, None);
    assert_eq!(world.tcp_upstream.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_is_closed_when_nobody_can_decide() {
    let mut world = World::start().await;
    world.replicas[0].process().kill();
    assert_eq!(echo_as(&world, "spiffe://example.org/ci").await, None);
    assert_eq!(world.tcp_upstream.count(), 0);
}
