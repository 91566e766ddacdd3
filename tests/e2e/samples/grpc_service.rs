//! A ledger that is a gRPC service.

use chaperone_e2e::client;
use chaperone_e2e::raw::UnaryBytes;
use chaperone_e2e::world::World;
use prost::Message as _;
use tonic::Code;

use super::{session, world};

const BALANCE: &str = "/ledger.v1.Ledger/GetBalance";
const LIST: &str = "/ledger.v1.Ledger/ListTransfers";
const EXPORT: &str = "/ledger.v1.Ledger/ExportStatement";
const TRANSFER: &str = "/ledger.v1.Ledger/Transfer";
const SET_LIMIT: &str = "/ledger.v1.Ledger/SetLimit";

/// The requests that name an account and nothing else, and the first field of all others.
#[derive(Clone, PartialEq, prost::Message)]
struct OfAccount {
    #[prost(string, tag = "1")]
    account: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Transfer {
    #[prost(string, tag = "1")]
    from: String,
    #[prost(string, tag = "2")]
    to: String,
    #[prost(message, optional, tag = "3")]
    amount: Option<Money>,
    #[prost(string, tag = "4")]
    note: String,
    /// A field that the descriptors do not have.
    #[prost(string, optional, tag = "9")]
    reference: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Money {
    #[prost(string, tag = "1")]
    currency: String,
    #[prost(int64, tag = "2")]
    units: i64,
}

fn of_account() -> Vec<u8> {
    OfAccount { account: "treasury".to_owned() }.encode_to_vec()
}

fn transfer(currency: &str, units: i64) -> Transfer {
    let amount = Some(Money { currency: currency.to_owned(), units });
    Transfer { from: "treasury".to_owned(), to: "rent".to_owned(), amount, ..Transfer::default() }
}

fn euros(euros: i64) -> Vec<u8> {
    transfer("EUR", euros * 100).encode_to_vec()
}

type Call<'a> = (&'static str, Vec<u8>, &'a str);

/// Makes the calls one after the other in one session. The upstream has no ledger, and says so to what is allowed.
async fn calls(world: &World, principal: &str, calls: &[Call<'_>]) {
    let handle = session(world, principal).await;
    let mut client = UnaryBytes::new(client::channel(world.envoy.http).await);
    for (place, (path, message, code)) in calls.iter().enumerate() {
        let answered = match client.call_as(&handle, path, message).await {
            Ok(_) => "permitted".to_owned(),
            Err(status) if status.code() == Code::Unimplemented => "permitted".to_owned(),
            Err(status) => {
                let is_denied = matches!(status.code(), Code::PermissionDenied | Code::Internal);
                assert!(is_denied, "call {place}, {path}: {status:?}");
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
        (LIST, of_account(), "permitted"),
        (TRANSFER, euros(80), "look at the balance first"),
        (BALANCE, of_account(), "permitted"),
        (TRANSFER, euros(80), "permitted"),
        (TRANSFER, euros(10_000), "permitted"),
        (TRANSFER, euros(80), "permitted"),
        (TRANSFER, euros(80), "three transfers within an hour"),
        (SET_LIMIT, of_account(), "approval"),
        ("/ledger.v1.Ledger/Close", of_account(), "no policy permits this"),
        ("/grpc.health.v1.Health/Check", Vec::new(), "permitted"),
    ];
    calls(&world, "Service::checkout", &steps).await;
    let steps = [
        (BALANCE, of_account(), "permitted"),
        (EXPORT, of_account(), "permitted"),
        (TRANSFER, euros(80), "transfers are for another one"),
    ];
    calls(&world, "Service::checkout", &steps).await;
    let steps = [
        (BALANCE, of_account(), "permitted"),
        (EXPORT, of_account(), "no policy permits this"),
        (TRANSFER, euros(80), "no policy permits this"),
    ];
    calls(&world, "Service::dashboard", &steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_decided_on_or_denied() {
    let world = world("grpc-service").await;
    let unknown = Transfer { reference: Some("7".to_owned()), ..transfer("EUR", 100) };
    let without_amount = Transfer { amount: None, ..transfer("EUR", 100) };
    let long = Transfer { note: "n".repeat(100_000), ..transfer("EUR", 100) };
    let mut cut = euros(80);
    cut.pop();
    let steps = [
        (BALANCE, of_account(), "permitted"),
        (TRANSFER, euros(10_001), "needs an approval"),
        (TRANSFER, transfer("USD", 100).encode_to_vec(), "needs an approval"),
        (TRANSFER, transfer("EUR", -100).encode_to_vec(), "never negative"),
        (TRANSFER, unknown.encode_to_vec(), "field 9"),
        (TRANSFER, without_amount.encode_to_vec(), "is absent"),
        (TRANSFER, cut, "undecodable"),
        (TRANSFER, long.encode_to_vec(), "not exactly one message"),
        (BALANCE, Vec::new(), "undecodable"),
        (TRANSFER, euros(80), "permitted"),
    ];
    calls(&world, "Service::checkout", &steps).await;
}
