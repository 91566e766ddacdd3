//! The bundles in `deploy/samples`, each behind a real Envoy: what they allow and deny, in the order of a session.

mod bastion;
mod database_proxy;
mod grpc_service;
mod http_api;
mod kubectl;
mod mcp_gateway;

use chaperone_e2e::admin;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::client::Request;
use chaperone_e2e::envoy::BodyOptions;
use chaperone_e2e::world::World;

/// One request of a session: what it is, how it is sent, and the code of the answer. `permitted` is what reached the upstream.
struct Step(&'static str, Request, &'static str);

/// A world that decides by a sample.
async fn world(sample: &str) -> World {
    let builder = World::builder().body(BodyOptions { grpc: true, ..BodyOptions::default() });
    builder.bundle(Bundle::shipped(sample)).check_timeout("5s").start().await
}

/// A session of a principal, written as `Type::id`.
async fn session(world: &World, principal: &str) -> String {
    let (r#type, id) = principal.split_once("::").expect("a type and an id");
    world.open(admin::principal(r#type, id)).await.handle
}

/// Sends the requests one after the other, in one session of this principal.
async fn run(world: &World, principal: &str, steps: impl IntoIterator<Item = Step>) {
    let handle = session(world, principal).await;
    for Step(what, request, code) in steps {
        let response = world.send(request.session(&handle)).await;
        let answered = if response.status == 200 { "permitted".to_owned() } else { response.code() };
        assert_eq!(answered, code, "{principal}: {what}: {} {}", response.status, response.text());
        let status = match code {
            "permitted" => 200,
            "undecodable" => 400,
            _ => 403,
        };
        assert_eq!(response.status, status, "{principal}: {what}");
    }
}

/// A POST of JSON.
fn json(target: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", target).header("content-type", "application/json").body(body)
}

/// A POST of JSON with one member whose value is a text.
fn member(target: &str, name: &str, text: &str) -> Request {
    json(target, serde_json::json!({ name: text }).to_string())
}
