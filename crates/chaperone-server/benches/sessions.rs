//! What finding a session in memory costs, with ever more of them, and with more threads than one.

#![expect(clippy::panic, reason = "a bench stops at the first thing that is not as it must be")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chaperone_policy::{
    Binding, EntityRef, HandleHash, Scope, Session, SessionChain, SessionHandle, SessionId, Task, Timestamp,
};
use chaperone_server::clock::Clock;
use chaperone_server::replica::SessionCache;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

fn chain(id: SessionId) -> SessionChain {
    let session = Session {
        id,
        tree: id,
        parent: None,
        depth: 0,
        principal: EntityRef::new("Agent", format!("agent-{id}")),
        owner: "team-docs".to_owned(),
        task: Task { id: "task-1".to_owned(), purpose: "summarise the documents".to_owned() },
        labels: BTreeSet::new(),
        scope: Scope::Unrestricted,
        binding: Binding { spiffe_id: Some("spiffe://example.org/agent".to_owned()), ..Binding::default() },
        opened_at: START,
        expires_at: START.plus(Duration::from_hours(1)),
        idle_timeout: Some(Duration::from_mins(10)),
        last_used_at: START,
        ended: None,
        version: 1,
    };
    SessionChain::new(vec![Arc::new(session)]).unwrap_or_else(|| panic!("a root is a whole chain"))
}

/// A cache of `count` sessions, and their handles in an order that has nothing to do with the one in which they came.
fn filled(count: usize) -> (SessionCache, Vec<(HandleHash, String)>) {
    let clock = Clock::system();
    let cache = SessionCache::new(count);
    let mut handles = Vec::with_capacity(count);
    for _ in 0..count {
        let handle = SessionHandle::from_random(clock.random_32());
        cache.insert(handle.hash(), chain(clock.session_id()), cache.begin_load());
        handles.push((handle.hash(), handle.reveal()));
    }
    handles.sort_unstable_by_key(|(hash, _)| *hash.as_bytes());
    (cache, handles)
}

fn find(cache: &SessionCache, hash: &HandleHash) -> bool {
    cache.find(hash).is_some_and(|cached| !cached.looks_idle(black_box(START)))
}

fn find_text(cache: &SessionCache, text: &str) -> bool {
    SessionHandle::parse(text).is_ok_and(|handle| find(cache, &handle.hash()))
}

fn sessions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sessions");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(30);
    for count in [10, 1_000, 100_000, 1_000_000] {
        let (cache, handles) = filled(count);
        group.bench_function(BenchmarkId::new("find", count), |bencher| {
            let mut handles = handles.iter().cycle();
            bencher.iter(|| handles.next().is_some_and(|(hash, _)| find(&cache, hash)));
        });
        group.bench_function(BenchmarkId::new("find_by_text", count), |bencher| {
            let mut handles = handles.iter().cycle();
            bencher.iter(|| handles.next().is_some_and(|(_, text)| find_text(&cache, text)));
        });
        group.bench_function(BenchmarkId::new("find_beside_another_thread", count), |bencher| {
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        black_box(handles.iter().rev().take(1_000).filter(|(hash, _)| find(&cache, hash)).count());
                    }
                });
                let mut handles = handles.iter().cycle();
                bencher.iter(|| handles.next().is_some_and(|(hash, _)| find(&cache, hash)));
                stop.store(true, Ordering::Relaxed);
            });
        });
        group.bench_function(BenchmarkId::new("insert_where_one_makes_room", count), |bencher| {
            let clock = Clock::system();
            bencher.iter(|| {
                let handle = HandleHash::from_bytes(clock.random_32());
                cache.insert(handle, chain(clock.session_id()), cache.begin_load())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, sessions);
criterion_main!(benches);
