//! Opens many sessions, and writes their handles, one a line: `sessions ADMIN FILE COUNT`.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use chaperone_e2e::admin::Admin;
use chaperone_e2e::chaperone::ADMIN_TOKEN;
use chaperone_e2e::load;
use tokio::task::JoinSet;

/// Calls under way: below what the admin plane takes on one connection.
const AT_ONCE: usize = 32;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    load::fail_fast();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [admin, file, count] = arguments.as_slice() else { panic!("usage: sessions ADMIN FILE COUNT") };
    let address: SocketAddr = admin.parse().expect("an address such as 127.0.0.1:7402");
    let count: usize = count.parse().expect("a number of sessions");
    let admin = Admin::connect(address, ADMIN_TOKEN).await;
    let (began, opened) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (admin, opened) = (admin.clone(), Arc::clone(&opened));
        tasks.spawn(async move {
            let mut handles = String::new();
            while opened.fetch_add(1, Ordering::Relaxed) < count {
                let handle = admin.open(load::session()).await.handle;
                writeln!(handles, "{handle}").expect("a string takes every text");
            }
            handles
        });
    }
    let handles = tasks.join_all().await.concat();
    std::fs::write(file, handles).expect("the file can be written");
    println!("{count} sessions in {:.1} s", began.elapsed().as_secs_f64());
}
