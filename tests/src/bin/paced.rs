//! Sends checks at a steady rate, whether or not the ones before are answered: `paced DATA FRAME RATE CHECKS`, where `full` for a rate has all
//! of them due at once. Prints one line of JSON; a latency begins at the moment at which its check was due. Those of the first moments after
//! connections are opened are not told: to begin costs both sides memory and time of its own.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use std::net::SocketAddr;
use std::time::Instant;

use chaperone_e2e::{load, steady};

/// For how long a steady rate is not told of at first, in seconds.
const BEGIN_S: f64 = 0.05;

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
    let mut latencies = steady::load(address, &frame, rate, checks);
    let elapsed = began.elapsed();
    if rate.is_finite() {
        latencies.drain(..begin(rate, checks));
    }
    load::report(latencies, elapsed);
}

/// How many of the checks are due at the beginning: at most half of them.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is finite and positive")]
fn begin(rate: f64, checks: usize) -> usize {
    ((rate * BEGIN_S) as usize).min(checks / 2)
}
