//! Sends checks at a steady rate, whether or not the ones before are answered: `paced DATA FRAME RATE CHECKS`. Prints one line of JSON; a
//! latency begins at the moment at which its check was due.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chaperone_e2e::load;
use tokio::sync::mpsc;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    load::fail_fast();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, frame, rate, checks] = arguments.as_slice() else { panic!("usage: paced DATA FRAME RATE CHECKS") };
    let address: SocketAddr = data.parse().expect("an address such as 127.0.0.1:7401");
    let frame = Bytes::from(std::fs::read(frame).expect("the frame can be read"));
    let rate: f64 = rate.parse().expect("checks a second");
    let checks: u32 = checks.parse().expect("a number of checks");

    let callers = load::connect(address).await;
    let (due, mut arrivals) = mpsc::unbounded_channel();
    let (done, mut latencies) = mpsc::unbounded_channel();
    let began = Instant::now();
    // The runtime's own timer counts milliseconds, in which many checks would be due at once.
    thread::spawn(move || {
        for number in 0..checks {
            let at = began + Duration::from_secs_f64(f64::from(number) / rate);
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if due.send(at).is_err() {
                return;
            }
        }
    });
    let mut callers = callers.iter().cycle();
    while let Some(at) = arrivals.recv().await {
        let caller = callers.next().expect("there are connections").clone();
        let (frame, done) = (frame.clone(), done.clone());
        tokio::spawn(async move {
            caller.check(frame).await;
            // The receiver lives until all have sent.
            let _ = done.send(at.elapsed());
        });
    }
    drop(done);
    let mut all = Vec::new();
    while let Some(latency) = latencies.recv().await {
        all.push(latency);
    }
    assert_eq!(all.len(), checks as usize, "every check was allowed");
    load::report(all, began.elapsed());
}
