//! What one decision costs, with ever more policies, beside Cedar's own authorizer over the same policies, entities and request.
//!
//! `few`: ten policies are candidates for the request by their scope, whatever the set's size; the others are for other principals,
//! actions and resources. `many`: a hundred are candidates, or all where there are fewer.

#![expect(clippy::panic, reason = "a bench stops at the first thing that is not as it must be")]

#[path = "decide/cedar.rs"]
mod cedar;
#[path = "decide/fixture.rs"]
mod fixture;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{
    Attributes, Authority, Binding, Bundle, BundleSource, EntityRef, Outcome, Presenter, Request, Scope, Session,
    SessionChain, SessionId, Task, Timestamp, Value, decide,
};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};

use fixture::Candidates;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many policies a set has.
const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];

fn bundle(policies: &str) -> Bundle {
    let mut source = BundleSource::default();
    for (path, content) in [
        ("schema.cedarschema", fixture::SCHEMA),
        ("entities.json", fixture::ENTITIES),
        ("policies/main.cedar", policies),
    ] {
        source.files.insert(path.into(), content.into());
    }
    Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn chain() -> SessionChain {
    let id: SessionId = fixture::SESSION_ID.parse().unwrap_or_else(|error| panic!("{error}"));
    let session = Session {
        id,
        tree: id,
        parent: None,
        depth: 0,
        principal: EntityRef::new("Agent", "reader"),
        owner: fixture::OWNER.into(),
        task: Task { id: fixture::TASK.0.into(), purpose: fixture::TASK.1.into() },
        labels: fixture::LABELS.map(str::to_owned).into(),
        scope: Scope::Unrestricted,
        binding: Binding::default(),
        opened_at: Timestamp::from_micros(0),
        expires_at: Timestamp::from_micros(i64::MAX),
        idle_timeout: Some(Duration::from_mins(15)),
        last_used_at: Timestamp::from_micros(0),
        ended: None,
        version: 1,
    };
    SessionChain::new(vec![Arc::new(session)]).unwrap_or_else(|| panic!("a whole chain"))
}

/// The request, from what a caller sends.
fn request(bundle: &Bundle) -> Request {
    let attributes = Attributes::from([
        ("format".into(), Value::String(fixture::FORMAT.into())),
        ("rows".into(), Value::Long(fixture::ROWS)),
        ("cost".into(), Value::Decimal(fixture::COST.into())),
        ("source_ip".into(), Value::Ip(fixture::SOURCE_IP.into())),
    ]);
    let resource = EntityRef::new("Document", "42");
    bundle.request("read", resource, attributes).unwrap_or_else(|error| panic!("{error}"))
}

fn ours(criterion: &mut Criterion) {
    let chain = chain();
    let presenter = Presenter::default();
    let now = Timestamp::from_micros(fixture::AGE_S * 1_000_000);
    let mut group = criterion.benchmark_group("decide");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(30);
    for (candidates, count) in sets() {
        let bundle = bundle(&fixture::policies(candidates, count));
        assert_eq!(bundle.policy_count(), count);
        let entities = bundle.entities(&[]).unwrap_or_else(|errors| panic!("{errors:?}"));
        let request = request(&bundle);
        let decide = || decide(&bundle, &entities, &request, Authority::Session(&chain), &presenter, now);
        assert_eq!(decide().outcome, Outcome::Allow);
        bench(&mut group, candidates, count, decide);
    }
    group.finish();
}

/// What stands between a caller's attributes and `decide`, so that nothing is moved out of sight.
fn requests(criterion: &mut Criterion) {
    let bundle = bundle(&fixture::policies(Candidates::Few, 100));
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

criterion_group!(decisions, ours, requests, cedars);
criterion_main!(decisions);
