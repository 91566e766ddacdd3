//! Prepares Chaperone for a bench: `frame ADMIN DATA FILE` pushes a bundle of a hundred policies, opens a session, and writes a check that is
//! allowed, framed for gRPC; and beside it, in `FILE.handle`, the session's handle.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use std::net::SocketAddr;

use chaperone_api::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use chaperone_e2e::admin::{self, Admin};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::ADMIN_TOKEN;
use chaperone_e2e::{client, frame, wait};

/// With the seven of the documents bundle, a hundred and a few.
const POLICIES: usize = 95;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [admin_address, data_address, file] = arguments.as_slice() else { panic!("usage: frame ADMIN DATA FILE") };
    let address = |text: &String| text.parse::<SocketAddr>().expect("an address such as 127.0.0.1:7401");
    let admin = wait::until("the admin plane answers", async || {
        tokio::net::TcpStream::connect(address(admin_address)).await.ok()?;
        Some(Admin::connect(address(admin_address), ADMIN_TOKEN).await)
    })
    .await;
    admin.push(&Bundle::many_policies(POLICIES)).await;
    let mut request = admin::agent("reader");
    request.binding = Some(admin::bound_to(frame::CALLER));
    let handle = admin.open(request).await.handle;
    let check = frame::check(&handle, "/documents/42");
    let client = AuthorizationClient::new(client::channel(address(data_address)).await);
    wait::until("the check is allowed", async || {
        let answer = client.clone().check(check.clone()).await.ok()?.into_inner();
        (answer.status?.code == 0).then_some(())
    })
    .await;
    std::fs::write(file, frame::frame(&check)).expect("the file can be written");
    std::fs::write(format!("{file}.handle"), handle).expect("the file can be written");
}
