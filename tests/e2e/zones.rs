//! Network zones: of the source address that Envoy reports, and of direct callers.

use std::net::Ipv4Addr;

use chaperone_api::chaperone::v1::{Binding, CheckRequest, Presenter};
use chaperone_e2e::admin::{self, Admin};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::client::Request;
use chaperone_e2e::direct::{Direct, read};
use chaperone_e2e::webhook::Receiver;
use chaperone_e2e::world::World;
use tonic::Code;

/// Two addresses of this machine, in different zones.
const DESK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const STREET: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn bundle() -> Bundle {
    let zones = "[zones]\noffice = [\"127.0.0.0/8\", \"::1\"]\nstreet = [\"127.0.0.2\"]\n\n[on_allow]";
    let policies = "@id(\"office-browses\")\npermit (principal is Agent, action == Chaperone::Action::\"http\", resource)\n\
                    when { context.request.path == \"/intranet\" && context.request has zone && context.request.zone == \"office\" };\n\
                    @id(\"exports-from-the-street\")\nforbid (principal, action == Action::\"export\", resource)\n\
                    when { context.request has zone && context.request.zone == \"street\" };\n";
    Bundle::documents()
        .replacing("mapping.toml", "[on_allow]", zones)
        .replacing("schema.cedarschema", "rows?: Long }", "rows?: Long, zone?: String }")
        .with("policies/zones.cedar", policies)
}

async fn open_in(admin: &Admin, zones: &[&str]) -> String {
    let mut request = admin::agent("reader");
    request.binding =
        Some(Binding { zones: zones.iter().map(|zone| (*zone).to_owned()).collect(), ..Binding::default() });
    admin.open(request).await.handle
}

#[tokio::test(flavor = "multi_thread")]
async fn session_bound_to_a_zone_is_denied_from_another_and_raises_an_alert() {
    let receiver = Receiver::start(&[]).await;
    let options = receiver.options();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let world = World::builder().bundle(bundle()).serve(&options).start().await;
    let handle = open_in(&world.admin, &["office"]).await;
    let document = |handle: &str, from| Request::get("/documents/42").session(handle).from(from);
    assert_eq!(world.send(document(&handle, DESK)).await.status, 200);
    // What the client writes of where it is counts for nothing.
    let stolen = world.send(document(&handle, STREET).header("x-forwarded-for", "127.0.0.1")).await;
    assert_eq!((stolen.status, stolen.code().as_str()), (403, "binding_mismatch"));
    let data = &receiver.received(1).await[0].event["data"];
    assert_eq!((&data["alert"], &data["code"]), (&"token-reuse".into(), &"binding_mismatch".into()));
    let either = open_in(&world.admin, &["street", "office"]).await;
    for from in [DESK, STREET] {
        assert_eq!(world.send(document(&either, from)).await.status, 200, "{from}");
    }

    // A bundle that does not know the zone covers nothing with it.
    world.admin.push(&Bundle::documents()).await;
    world.until_answered("the zone is gone", document(&handle, DESK), 403, "binding_mismatch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_read_the_zone_of_the_source_address() {
    let world = World::builder().bundle(bundle()).start().await;
    let handle = world.session().await.handle;
    let get = |path: &str, from| Request::get(path).session(&handle).from(from);
    assert_eq!(world.send(get("/intranet", DESK)).await.status, 200);
    assert_eq!(world.send(get("/intranet", STREET)).await.code(), "no_permit");
    let export = "/documents/42/export?format=csv&rows=1";
    assert_eq!(world.send(get(export, DESK)).await.status, 200);
    assert_eq!(world.send(get(export, STREET)).await.code(), "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_caller_presents_from_where_it_says_or_from_where_it_is() {
    let world = World::builder().bundle(bundle()).start().await;
    let (office, street) = (open_in(&world.admin, &["office"]).await, open_in(&world.admin, &["street"]).await);
    let caller = Direct::to(&world.replicas[0]).await;
    let from = |handle: &str, address: Option<&str>| {
        let address = address.map(str::to_owned);
        let presenter = address.map(|address| Presenter { address, ..Presenter::default() });
        let check = CheckRequest { presenter, ..read("42", handle) };
        async { caller.check(check).await.expect("a decision").code }
    };
    for (address, at_office, at_street) in [
        // The caller itself, which is on loopback.
        (None, "permitted", "binding_mismatch"),
        (Some("127.0.0.1"), "permitted", "binding_mismatch"),
        (Some("::1"), "permitted", "binding_mismatch"),
        (Some("127.0.0.2"), "binding_mismatch", "permitted"),
        (Some("192.0.2.1"), "binding_mismatch", "binding_mismatch"),
        (Some("127.0.0.2:80"), "binding_mismatch", "binding_mismatch"),
        (Some(""), "binding_mismatch", "binding_mismatch"),
    ] {
        assert_eq!(from(&office, address).await, at_office, "{address:?}");
        assert_eq!(from(&street, address).await, at_street, "{address:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_is_not_bound_to_a_zone_that_nobody_declared() {
    let world = World::builder().bundle(bundle()).start().await;
    for zone in ["offcie", "Office", ""] {
        let mut request = admin::agent("reader");
        request.binding = Some(Binding { zones: vec![zone.to_owned()], ..Binding::default() });
        let refused = world.admin.sessions.clone().open(request).await.expect_err("no such zone");
        assert_eq!(refused.code(), Code::InvalidArgument, "{zone}");
        assert!(refused.message().contains("zone"), "{refused:?}");
    }
}
