//! What one decision costs, with ever more policies, beside Cedar's own authorizer over the same policies, entities and request.
//!
//! `few`: ten policies are candidates for the request by their scope, whatever the set's size; the others are for other principals,
//! actions and resources. `many`: a hundred are candidates, or all where there are fewer.

#![expect(clippy::panic, reason = "a bench stops at the first thing that is not as it must be")]

#[path = "decide/cedar.rs"]
mod cedar;
#[path = "decide/fixture.rs"]
mod fixture;
#[path = "decide/ours.rs"]
mod ours;

use std::hint::black_box;
use std::time::Duration;

use chaperone_policy::Outcome;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};

use fixture::Candidates;
use ours::{Ours, request};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many policies a set has.
const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(30);
    for (candidates, count) in sets() {
        let ours = Ours::new(&fixture::policies(candidates, count));
        assert_eq!(ours.bundle.policy_count(), count);
        assert_eq!(ours.decide().outcome, Outcome::Allow);
        bench(&mut group, candidates, count, || ours.decide());
    }
    group.finish();
}

/// What stands between a caller's attributes and `decide`, so that nothing is moved out of sight.
fn requests(criterion: &mut Criterion) {
    let bundle = Ours::new(&fixture::policies(Candidates::Few, 100)).bundle;
    criterion.bench_function("request", |bencher| bencher.iter(|| black_box(request(&bundle))));
}

fn cedars(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cedar");
    // Ten thousand policies take 20 ms a decision: few samples, so that the whole stays short.
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(10);
    for (candidates, count) in sets() {
        let cedar = cedar::Cedar::new(&fixture::policies(candidates, count));
        assert!(cedar.allows());
        bench(&mut group, candidates, count, || cedar.allows());
    }
    group.finish();
}

fn sets() -> impl Iterator<Item = (Candidates, usize)> {
    [Candidates::Few, Candidates::Many].into_iter().flat_map(|candidates| SIZES.map(|count| (candidates, count)))
}

fn bench<T>(group: &mut BenchmarkGroup<'_, WallTime>, candidates: Candidates, count: usize, decide: impl Fn() -> T) {
    let id = BenchmarkId::new(candidates.name(), count);
    group.bench_function(id, |bencher| bencher.iter(|| black_box(decide())));
}

criterion_group!(benches, decisions, requests, cedars);
criterion_main!(benches);
