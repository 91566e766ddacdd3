//! What callers notice of bundles that change: `activations FRAME RATE CHANGES ADMIN DATA [ADMIN DATA ...]` sends each replica checks at a steady
//! rate, for a time in which nothing else happens and then for a time in which bundles are activated and rolled back, ten times a second
//! and each time at the next replica; several times in turn, until there were so many changes. Every answer must be an allow, and every replica must come to
//! decide by the last change. Prints one line of JSON: medians over those times.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chaperone_api::chaperone::v1::{CheckRequest, PolicyServiceRollbackRequest, Presenter};
use chaperone_e2e::admin::Admin;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::ADMIN_TOKEN;
use chaperone_e2e::direct::{self, Direct};
use chaperone_e2e::{client, frame, load, steady, wait};
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Policies of the bundle that changes with the one that is active at first: one more than that has.
const POLICIES: usize = 101;
/// How long each time takes.
const PHASE: Duration = Duration::from_secs(3);
/// How often bundles change, or as soon as the change before is done.
const CHANGE_EVERY: Duration = Duration::from_millis(100);
/// How often they come in turn, at least.
const ROUNDS_MIN: usize = 5;

struct Replica {
    admin: Admin,
    data: SocketAddr,
    direct: Direct,
}

/// The replicas, and the load on each.
struct Bench {
    replicas: Vec<Replica>,
    frame: Arc<[u8]>,
    handle: String,
    rate: f64,
    /// The bundle that decides, and the other one.
    active: u64,
    other: u64,
    /// How long each change took.
    changes: Vec<Duration>,
}

/// Percentiles of one time.
#[derive(Clone, Copy)]
struct Percentiles {
    p50: Duration,
    p99: Duration,
}

#[tokio::main]
async fn main() {
    load::fail_fast();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, rate, changes, addresses @ ..] = arguments.as_slice() else {
        panic!("usage: activations FRAME RATE CHANGES ADMIN DATA [ADMIN DATA ...]")
    };
    let rate: f64 = rate.parse().expect("checks a second");
    let changes: usize = changes.parse().expect("a number of changes");
    let mut bench = Bench::start(file, rate, addresses).await;
    // Not counted: connections, allocator and caches warm up.
    bench.quiet().await;
    let began = Instant::now();
    let mut times = Vec::new();
    while times.len() < ROUNDS_MIN || bench.changes.len() < changes {
        times.push((bench.quiet().await, bench.changing().await));
    }
    let micros = |of: fn(&(Percentiles, Percentiles)) -> Duration| {
        median(times.iter().map(|time| of(time).as_secs_f64() * 1e6).collect())
    };
    let change_ms = bench.changes.iter().map(|change| change.as_secs_f64() * 1e3).collect();
    let line = serde_json::json!({
        "changes": bench.changes.len(),
        "change_p50_ms": median(change_ms),
        "elapsed_s": began.elapsed().as_secs_f64(),
        "quiet_p50_us": micros(|(quiet, _)| quiet.p50),
        "quiet_p99_us": micros(|(quiet, _)| quiet.p99),
        "p50_us": micros(|(_, changing)| changing.p50),
        "p99_us": micros(|(_, changing)| changing.p99),
        "p99_ratio": median(times.iter().map(|(quiet, changing)| changing.p99.div_duration_f64(quiet.p99)).collect()),
    });
    println!("{line}");
}

impl Bench {
    async fn start(file: &str, rate: f64, addresses: &[String]) -> Self {
        let address = |text: &String| text.parse::<SocketAddr>().expect("an address such as 127.0.0.1:7401");
        let mut replicas = Vec::new();
        for pair in addresses.chunks(2) {
            let [admin, data] = pair else { panic!("every ADMIN has its DATA") };
            let (admin, data) = (Admin::connect(address(admin), ADMIN_TOKEN).await, address(data));
            replicas.push(Replica { admin, data, direct: Direct::over(client::channel(data).await) });
        }
        let first = replicas.first().expect("there is a replica");
        let handle = std::fs::read_to_string(format!("{file}.handle")).expect("the handle can be read");
        let frame = std::fs::read(file).expect("the frame can be read").into();
        let other = first.number(&handle).await;
        let active = first.admin.push(&Bundle::bench(POLICIES)).await;
        let bench = Self { replicas, frame, handle, rate, active, other, changes: Vec::new() };
        bench.settle().await;
        bench
    }

    /// The load alone.
    async fn quiet(&self) -> Percentiles {
        percentiles(self.load().join_all().await)
    }

    /// The load while bundles change.
    async fn changing(&mut self) -> Percentiles {
        let (mut load, mut latencies) = (self.load(), Vec::new());
        let mut due = tokio::time::interval(CHANGE_EVERY);
        loop {
            due.tick().await;
            while let Some(ended) = load.try_join_next() {
                latencies.push(ended.expect("the load ends"));
            }
            if load.is_empty() {
                break;
            }
            self.change().await;
        }
        self.settle().await;
        percentiles(latencies)
    }

    /// Activates the other bundle, or goes back to it, in turn.
    async fn change(&mut self) {
        let number = self.changes.len();
        let admin = &self.replicas.iter().cycle().nth(number).expect("there are replicas").admin;
        let began = Instant::now();
        if number.is_multiple_of(2) {
            admin.activate(self.other).await;
        } else {
            let request = PolicyServiceRollbackRequest { expected_active: Some(self.active), ..Default::default() };
            let response = admin.policies.clone().rollback(request).await.unwrap_or_else(|status| panic!("{status:?}"));
            assert_eq!(response.into_inner().bundle.map(|bundle| bundle.number), Some(self.other));
        }
        self.changes.push(began.elapsed());
        std::mem::swap(&mut self.active, &mut self.other);
    }

    /// Waits until every replica decides by the bundle that is active.
    async fn settle(&self) {
        for replica in &self.replicas {
            wait::until("every replica decides by the last change", async || {
                (replica.number(&self.handle).await == self.active).then_some(())
            })
            .await;
        }
    }

    /// Each replica's, on a thread of its own.
    fn load(&self) -> JoinSet<Vec<Duration>> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a rate")]
        let checks = (self.rate * PHASE.as_secs_f64()) as usize;
        let mut load = JoinSet::new();
        for replica in &self.replicas {
            let (data, frame, rate) = (replica.data, Arc::clone(&self.frame), self.rate);
            load.spawn_blocking(move || steady::load(data, &frame, rate, checks));
        }
        load
    }
}

impl Replica {
    /// The bundle that it decides by.
    async fn number(&self, handle: &str) -> u64 {
        let presenter = Some(Presenter { spiffe_id: frame::CALLER.to_owned(), ..Default::default() });
        let request = CheckRequest { presenter, ..direct::read("42", handle.trim()) };
        self.direct.check(request).await.unwrap_or_else(|status| panic!("no decision: {status:?}")).bundle_number
    }
}

/// Of all replicas together.
fn percentiles(latencies: Vec<Vec<Duration>>) -> Percentiles {
    let mut all: Vec<Duration> = latencies.into_iter().flatten().collect();
    all.sort_unstable();
    let percentile = |percent| load::percentile(&all, percent).unwrap_or_default();
    Percentiles { p50: percentile(50), p99: percentile(99) }
}

/// The upper one of the two in the middle of an even number.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
