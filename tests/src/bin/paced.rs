//! Sends checks at a steady rate, whether or not the ones before are answered: `paced DATA FRAME RATE CHECKS`, where `full` for a rate has all
//! of them due at once. Prints one line of JSON; a latency begins at the moment at which its check was due.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use std::net::SocketAddr;
use std::time::Instant;

use chaperone_e2e::{load, steady};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    load::fail_fast();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, frame, rate, checks] = arguments.as_slice() else { panic!("usage: paced DATA FRAME RATE CHECKS") };
    let address: SocketAddr = data.parse().expect("an address such as 127.0.0.1:7401");
    let frame = std::fs::read(frame).expect("the frame can be read");
    let rate: f64 = if rate == "full" { f64::INFINITY } else { rate.parse().expect("checks a second, or full") };
    let checks: usize = checks.parse().expect("a number of checks");
    let began = Instant::now();
    let latencies = steady::load(address, &frame, rate, checks);
    load::report(latencies, began.elapsed());
}
