//! Prepares Chaperone for a bench: `frame ADMIN DATA FILE [POLICIES [SESSIONS [NAME]]]` pushes the bench bundle, with a hundred policies or so
//! many, and with those of `tests/fixtures/bench/NAME.cedar`; opens one session or so many; and writes what loads send: `FILE` is a check as
//! Envoy sends it, framed for gRPC, `FILE.batch` a framed `CheckBatch` of a hundred actions, and `FILE.handle` the first session's handle.
//! All of it is allowed. `FILE.handles` and `FILE.ids` have the handles and ids of all sessions, one a line.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use std::net::SocketAddr;

use chaperone_api::chaperone::v1::{ActionRequest, CheckBatchRequest, Presenter};
use chaperone_api::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use chaperone_e2e::admin::{self, Admin, Opened};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::ADMIN_TOKEN;
use chaperone_e2e::{client, frame, load, wait};
use tokio::task::JoinSet;

/// What the figures refer to.
const POLICIES: usize = 100;
/// Actions of the batch.
const BATCH: usize = 100;
/// Sessions that are being opened at once.
const AT_ONCE: usize = 32;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &String| text.parse::<usize>().expect("a number");
    let (admin_address, data_address, file, bundle, sessions) = match arguments.as_slice() {
        [admin, data, file] => (admin, data, file, Bundle::bench(POLICIES), 1),
        [admin, data, file, policies] => (admin, data, file, Bundle::bench(number(policies)), 1),
        [admin, data, file, policies, sessions] => {
            (admin, data, file, Bundle::bench(number(policies)), number(sessions).max(1))
        }
        [admin, data, file, policies, sessions, name] => {
            (admin, data, file, Bundle::bench(number(policies)).with_bench_policies(name), number(sessions).max(1))
        }
        _ => panic!("usage: frame ADMIN DATA FILE [POLICIES [SESSIONS [NAME]]]"),
    };
    let address = |text: &String| text.parse::<SocketAddr>().expect("an address such as 127.0.0.1:7401");
    let admin = wait::until("the admin plane answers", async || {
        tokio::net::TcpStream::connect(address(admin_address)).await.ok()?;
        Some(Admin::connect(address(admin_address), ADMIN_TOKEN).await)
    })
    .await;
    admin.push(&bundle).await;
    let sessions = open(&admin, sessions).await;
    let handle = &sessions.first().expect("there is a session").handle;
    let check = frame::check(handle, load::PATH);
    let client = AuthorizationClient::new(client::channel(address(data_address)).await);
    wait::until("the check is allowed", async || {
        let answer = client.clone().check(check.clone()).await.ok()?.into_inner();
        (answer.status?.code == 0).then_some(())
    })
    .await;
    let write = |path: String, content: &[u8]| std::fs::write(path, content).expect("the file can be written");
    let lines = |of: fn(&Opened) -> &str| sessions.iter().flat_map(|opened| [of(opened), "\n"]).collect::<String>();
    write(format!("{file}.handles"), lines(|opened| &opened.handle).as_bytes());
    write(format!("{file}.ids"), lines(|opened| &opened.session.id).as_bytes());
    write(format!("{file}.handle"), handle.as_bytes());
    write(format!("{file}.batch"), &frame::frame(&batch(handle)));
    write(file.clone(), &frame::frame(&check));
}

/// Opens so many sessions, some at once: each is a commit of its own.
async fn open(admin: &Admin, count: usize) -> Vec<Opened> {
    let mut opened = Vec::with_capacity(count);
    let mut opening = JoinSet::new();
    for _ in 0..count {
        if opening.len() == AT_ONCE {
            opened.extend(opening.join_next().await.map(|opened| opened.expect("it opens")));
        }
        let admin = admin.clone();
        opening.spawn(async move { admin.open(load::session()).await });
    }
    opened.extend(opening.join_all().await);
    opened
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
