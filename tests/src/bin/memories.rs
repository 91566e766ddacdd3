//! What a store remembers, beside the server that it serves. `memories URL sum IDS NAME` adds up the counter NAME of the sessions whose ids are
//! the lines of IDS. `memories URL commits IDS CALLS` commits so many times, one call after the other, a memory like that of the first of these
//! sessions, under a key of its own. Prints one line of JSON.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chaperone_e2e::load;
use chaperone_policy::{MemoryKey, MemoryName, SessionId, Timestamp};
use chaperone_store::{Committed, PostgresOptions, PostgresStore, Store as _, StoredMemory, Transition};
use uuid::Uuid;

/// Memories that are read at once.
const BATCH: usize = 1_000;
/// A machine that is busy for a second is no outage of the store.
const TIMEOUT: Duration = Duration::from_secs(20);

const USAGE: &str = "usage: memories URL sum IDS NAME | memories URL commits IDS CALLS";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    load::fail_fast();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, what, ids, argument] = arguments.as_slice() else { panic!("{USAGE}") };
    let options = PostgresOptions { timeout: TIMEOUT, ..PostgresOptions::new(url.as_str()) };
    let store = Box::pin(PostgresStore::connect(&options)).await.expect("it connects");
    let ids = fs::read_to_string(ids).expect("the ids can be read");
    let key = |id: &str| MemoryKey::Session(SessionId::new(id.parse().expect("a session's id")));
    let keys: Vec<MemoryKey> = ids.lines().map(key).collect();
    let report = match what.as_str() {
        "sum" => serde_json::json!({ "sum": sum(&store, &keys, argument).await }),
        "commits" => {
            let calls: u32 = argument.parse().expect(USAGE);
            let elapsed = commits(&store, keys.first().expect("there is a session"), calls).await;
            serde_json::json!({ "commits_per_s": f64::from(calls) / elapsed.as_secs_f64() })
        }
        _ => panic!("{USAGE}"),
    };
    println!("{report}");
    store.close().await;
}

async fn sum(store: &PostgresStore, keys: &[MemoryKey], name: &str) -> i64 {
    let (name, now) = (MemoryName::parse(name).expect("a counter's name"), now());
    let mut sum = 0;
    for batch in keys.chunks(BATCH) {
        let memories = store.memories(batch).await.expect("it answers");
        let counts = memories.iter().filter_map(|stored| stored.memory.count(&name, now));
        sum += counts.map(chaperone_policy::Amount::to_whole_up).sum::<i64>();
    }
    sum
}

/// How long the calls take together.
async fn commits(store: &PostgresStore, like: &MemoryKey, calls: u32) -> Duration {
    let stored = store.memories(std::slice::from_ref(like)).await.expect("it answers");
    let memory = stored.into_iter().next().expect("an answer for the key").memory;
    let key = MemoryKey::Session(SessionId::new(Uuid::from_u128(u128::from(now().as_micros().unsigned_abs()))));
    let began = Instant::now();
    for version in 0..u64::from(calls) {
        let write = StoredMemory { key: key.clone(), version, memory: memory.clone() };
        let transition = Transition { writes: vec![write], reads: Vec::new() };
        let outcomes = store.commit_memories(&[transition], now()).await.expect("it answers");
        assert_eq!(outcomes, [Committed::Done], "nobody else writes it");
    }
    began.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "no clock of the server is at hand beside it")]
fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    Timestamp::from_micros(i64::try_from(now.as_micros()).expect("it is before the year 294000"))
}
