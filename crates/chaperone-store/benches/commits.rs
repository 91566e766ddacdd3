//! How many transitions a second Postgres commits, one call after the other, by how many go in one call.
//!
//! Give it an empty database whose server is set up as in production (`fsync` on):
//! `cargo bench --package chaperone-store --bench commits -- postgres://chaperone@127.0.0.1/commits`

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a measurement stops at the first failure, and prints")]

use std::time::{Duration, Instant};

use chaperone_policy::{Memory, MemoryKey, SessionId, Timestamp};
use chaperone_store::{Committed, PostgresOptions, PostgresStore, Store as _, StoredMemory, Transition};
use uuid::Uuid;

/// How many transitions go in one call.
const GROUPS: [u128; 4] = [1, 16, 128, 512];
/// How many calls make each figure.
const CALLS: u64 = 200;

#[tokio::main]
async fn main() {
    let Some(url) = std::env::args().skip(1).find(|argument| argument.starts_with("postgres")) else {
        println!("commits: skipped; give it the URL of an empty Postgres database");
        return;
    };
    let options = PostgresOptions { timeout: Duration::from_secs(20), ..PostgresOptions::new(url) };
    PostgresStore::migrate(&options).await.expect("it migrates");
    let store = PostgresStore::connect(&options).await.expect("it connects");
    println!("{:>6} {:>6} {:>14} {:>14} {:>10}", "group", "keys", "transitions/s", "calls/s", "ms/call");
    for group in GROUPS {
        // First commits: no memory is stored yet.
        let began = Instant::now();
        for call in 0..CALLS {
            commit(&store, group * 1_000_000 + u128::from(call) * group, group, 0).await;
        }
        print("new", group, began.elapsed());
        // Later ones: of ten times as many sessions as go in one call, in turn.
        let began = Instant::now();
        for call in 0..CALLS {
            let turn = u128::from(call % 10);
            commit(&store, group * 1_000_000 + turn * group, group, 1 + call / 10).await;
        }
        print("known", group, began.elapsed());
    }
}

/// Commits a group of transitions, each of a session's and its tree's memory.
async fn commit(store: &PostgresStore, first: u128, count: u128, version: u64) {
    let transitions: Vec<Transition> = (first..first + count)
        .map(|number| {
            // Ids as random as real ones in their last byte.
            let id = SessionId::new(Uuid::from_u128((number << 64) | number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            let writes = [MemoryKey::Session(id), MemoryKey::Tree(id)];
            let writes = writes.map(|key| StoredMemory { key, version, memory: memory(version) });
            Transition { writes: writes.into(), reads: Vec::new() }
        })
        .collect();
    let outcomes = store.commit_memories(&transitions, Timestamp::from_micros(1_000_000)).await.expect("it answers");
    assert!(outcomes.iter().all(|outcome| *outcome == Committed::Done), "nobody else writes");
}

/// About 700 bytes.
fn memory(version: u64) -> Memory {
    let labels: Vec<String> = (0..20).map(|label| format!("a label of some length {label} {version}")).collect();
    serde_json::from_value(serde_json::json!({ "labels": labels })).expect("it is a memory")
}

fn print(keys: &str, group: u128, elapsed: Duration) {
    let seconds = elapsed.as_secs_f64();
    let calls = f64::from(u32::try_from(CALLS).expect("small"));
    let transitions = calls * f64::from(u32::try_from(group).expect("small"));
    println!(
        "{group:>6} {keys:>6} {:>14.0} {:>14.1} {:>10.2}",
        transitions / seconds,
        calls / seconds,
        1e3 * seconds / calls,
    );
}
