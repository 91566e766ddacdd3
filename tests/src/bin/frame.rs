//! Prepares Chaperone for a bench: `frame ADMIN DATA FILE [POLICIES]` pushes the bench bundle, with a hundred policies or so many, opens a
//! session, and writes what loads send: `FILE` is a check as Envoy sends it, framed for gRPC, `FILE.batch` a framed `CheckBatch` of a hundred
//! actions, and `FILE.handle` the session's handle. All of it is allowed.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use std::net::SocketAddr;

use chaperone_api::chaperone::v1::{ActionRequest, CheckBatchRequest, Presenter};
use chaperone_api::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use chaperone_e2e::admin::{self, Admin};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::ADMIN_TOKEN;
use chaperone_e2e::{client, frame, load, wait};

/// What the figures refer to.
const POLICIES: usize = 100;
/// Actions of the batch.
const BATCH: usize = 100;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (admin_address, data_address, file, policies) = match arguments.as_slice() {
        [admin, data, file] => (admin, data, file, POLICIES),
        [admin, data, file, policies] => (admin, data, file, policies.parse().expect("a number of policies")),
        _ => panic!("usage: frame ADMIN DATA FILE [POLICIES]"),
    };
    let address = |text: &String| text.parse::<SocketAddr>().expect("an address such as 127.0.0.1:7401");
    let admin = wait::until("the admin plane answers", async || {
        tokio::net::TcpStream::connect(address(admin_address)).await.ok()?;
        Some(Admin::connect(address(admin_address), ADMIN_TOKEN).await)
    })
    .await;
    admin.push(&Bundle::bench(policies)).await;
    let handle = admin.open(load::session()).await.handle;
    let check = frame::check(&handle, load::PATH);
    let client = AuthorizationClient::new(client::channel(address(data_address)).await);
    wait::until("the check is allowed", async || {
        let answer = client.clone().check(check.clone()).await.ok()?.into_inner();
        (answer.status?.code == 0).then_some(())
    })
    .await;
    let write = |path: String, content: &[u8]| std::fs::write(path, content).expect("the file can be written");
    write(format!("{file}.handle"), handle.as_bytes());
    write(format!("{file}.batch"), &frame::frame(&batch(&handle)));
    write(file.clone(), &frame::frame(&check));
}

fn batch(handle: &str) -> CheckBatchRequest {
    let resource = Some(admin::entity("Document", "42"));
    let attributes = [("format", admin::member("csv")), ("rows", admin::member(250))];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value)).into();
    let action = ActionRequest { action: "read".to_owned(), resource, attributes };
    CheckBatchRequest {
        session_handle: handle.to_owned(),
        presenter: Some(Presenter { spiffe_id: frame::CALLER.to_owned(), ..Default::default() }),
        actions: vec![action; BATCH],
        ..Default::default()
    }
}
