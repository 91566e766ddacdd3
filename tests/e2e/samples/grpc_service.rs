//! A ledger that is a gRPC service.

use chaperone_e2e::client;
use chaperone_e2e::raw::UnaryBytes;
use chaperone_e2e::world::World;
use tonic::Code;

use super::{session, world};

const BALANCE: &str = "/ledger.v1.Ledger/GetBalance";
const LIST: &str = "/ledger.v1.Ledger/ListTransfers";
const EXPORT: &str = "/ledger.v1.Ledger/ExportStatement";
const TRANSFER: &str = "/ledger.v1.Ledger/Transfer";
const SET_LIMIT: &str = "/ledger.v1.Ledger/SetLimit";

/// Makes the calls one after the other in one session. The upstream has no ledger, and says so to what is allowed.
async fn calls(world: &World, principal: &str, calls: &[(&'static str, &str)]) {
    let handle = session(world, principal).await;
    let mut client = UnaryBytes::new(client::channel(world.envoy.http).await);
    for (place, (path, code)) in calls.iter().enumerate() {
        let answered = match client.call_as(&handle, path).await {
            Ok(_) => "permitted".to_owned(),
            Err(status) if status.code() == Code::Unimplemented => "permitted".to_owned(),
            Err(status) => {
                assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
                status
                    .metadata()
                    .get("x-chaperone-code")
                    .map_or_else(|| status.message().to_owned(), |code| code.to_str().expect("a code").to_owned())
            }
        };
        assert!(answered.contains(code), "{principal}: call {place}, {path}: {answered}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn money_moves_after_a_look_at_the_balance() {
    let world = world("grpc-service").await;
    let steps = [
        (LIST, "permitted"),
        (TRANSFER, "look at the balance first"),
        (BALANCE, "permitted"),
        (TRANSFER, "permitted"),
        (TRANSFER, "permitted"),
        (TRANSFER, "permitted"),
        (TRANSFER, "three transfers within an hour"),
        (SET_LIMIT, "approval"),
        ("/ledger.v1.Ledger/Close", "no policy permits this"),
        ("/grpc.health.v1.Health/Check", "permitted"),
    ];
    calls(&world, "Service::checkout", &steps).await;
    let steps = [(BALANCE, "permitted"), (EXPORT, "permitted"), (TRANSFER, "transfers are for another one")];
    calls(&world, "Service::checkout", &steps).await;
    let steps = [(BALANCE, "permitted"), (EXPORT, "no policy permits this"), (TRANSFER, "no policy permits this")];
    calls(&world, "Service::dashboard", &steps).await;
}
