//! Sends checks at a steady rate, whether or not the ones before are answered: `paced DATA FRAME RATE CHECKS`, where `full` for a rate has all
//! of them due at once. Checks are due in small groups, so that few system calls send them and this needs little of the
//! processor. Prints one line of JSON; a latency begins at the moment at which its check was due.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use chaperone_e2e::load;
use chaperone_e2e::steady::Connection;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often checks are due.
const TICK: Duration = Duration::from_micros(250);
/// Fewer than others have open: what is due together then leaves, and is answered, together.
const CONNECTIONS: usize = 4;

fn main() {
    load::fail_fast();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, frame, rate, checks] = arguments.as_slice() else { panic!("usage: paced DATA FRAME RATE CHECKS") };
    let address: SocketAddr = data.parse().expect("an address such as 127.0.0.1:7401");
    let frame = std::fs::read(frame).expect("the frame can be read");
    let rate: f64 = if rate == "full" { f64::INFINITY } else { rate.parse().expect("checks a second, or full") };
    let checks: usize = checks.parse().expect("a number of checks");

    let open = |_| Arc::new(Connection::open(address, load::CHECK, frame.clone()));
    let connections: Vec<_> = (0..CONNECTIONS).map(open).collect();
    let readers = connections.iter().enumerate().map(|(number, connection)| {
        let connection = Arc::clone(connection);
        // The first ones get what does not divide evenly.
        let share = (checks + CONNECTIONS - 1 - number) / CONNECTIONS;
        thread::spawn(move || connection.answers(share))
    });
    let readers: Vec<_> = readers.collect();
    let began = Instant::now();
    ask(&connections, began, rate, checks);
    let latencies = readers.into_iter().flat_map(|reader| reader.join().expect("the reader ends")).collect();
    load::report(latencies, began.elapsed());
}

/// Each check at its time, on one connection after the other. What is due leaves together.
fn ask(connections: &[Arc<Connection>], began: Instant, rate: f64, checks: usize) {
    #[expect(clippy::cast_precision_loss, reason = "numbers of checks are far below 2^52")]
    let due = |number: usize| began + TICK.mul_f64((number as f64 / (rate * TICK.as_secs_f64())).floor());
    let mut asked = 0;
    while asked < checks {
        thread::sleep(due(asked).saturating_duration_since(Instant::now()));
        let now = Instant::now();
        while asked < checks && due(asked) <= now {
            if let Some(connection) = connections.get(asked % connections.len()) {
                connection.ask(due(asked));
            }
            asked += 1;
        }
        for connection in connections {
            connection.send();
        }
    }
}
