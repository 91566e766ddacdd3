//! What writing a record costs: on the caller's thread, and on the writer's.

#![allow(missing_docs, reason = "criterion's macros make functions without them")]
#![allow(clippy::unwrap_used, reason = "a bench may fail")]

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;

use chaperone_policy::{BundleNumber, DecisionId, EntityRef, SessionId, Timestamp, Value};
use chaperone_trail::{
    AppendError, Asked, ChainId, Chainer, Decided, Digest, Event, Head, Identity, Policy, Presented, Sealed,
    SessionFacts, SigningKey, Sink, SinkError, StateRef, Trace, Trail, TrailOptions, encode_body,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use uuid::Uuid;

/// Takes everything and keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, _: &[Sealed]) -> Result<(), SinkError> {
        Ok(())
    }
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0199_5c1e_7a00_7000_8000_0000_0000_0000 | n)
}

/// A decision as most are: one action, in a session of a task, with a policy and the state of its session.
fn decision<'a>(principal: &'a EntityRef, action: &'a EntityRef, resource: &'a EntityRef) -> Event<'a> {
    Event::Decision(Box::new(Decided {
        id: DecisionId::new(id(1)),
        protocol: "ext_authz".into(),
        outcome: "allow".into(),
        code: "allowed".into(),
        reason: "".into(),
        session: Some(SessionFacts {
            id: SessionId::new(id(2)),
            tree: SessionId::new(id(2)),
            owner: "team-payments".into(),
            task: "task-4711".into(),
            ancestors: Vec::new(),
        }),
        principal: Some(Cow::Borrowed(principal)),
        presenter: Presented::default(),
        actions: vec![Asked {
            action: Cow::Borrowed(action),
            resource: Cow::Borrowed(resource),
            attributes: vec![("path".into(), Value::String("/v1/docs/42".into()))],
            dropped: Vec::new(),
            hashed: Vec::new(),
        }],
        policies: vec![Policy { id: "read-docs".into(), failure: None }],
        effects: Vec::new(),
        step_ups: Vec::new(),
        bundle: BundleNumber::new(17),
        states: vec![StateRef { of: "chain:01995c1e-7a00-7000-8000-000000000002".into(), digest: Some(Digest::ZERO) }],
        stale: false,
        began_at: Timestamp::from_micros(1_790_000_000_000_000),
        elapsed_us: 41,
        trace: Some(Trace { trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(), span_id: "00f067aa0ba902b7".into() }),
    }))
}

fn writing(criterion: &mut Criterion) {
    let principal = EntityRef::new("Chaperone::Workload", "spiffe://example.org/agent");
    let action = EntityRef::action("read");
    let resource = EntityRef::new("Document", "42");
    let event = decision(&principal, &action, &resource);
    let at = Timestamp::from_micros(1_790_000_000_000_041);
    let mut body = Vec::new();
    encode_body(&mut body, at, &event).unwrap();

    let mut stateless = decision(&principal, &action, &resource);
    if let Event::Decision(decided) = &mut stateless {
        decided.states.clear();
    }
    let mut stateless_body = Vec::new();
    encode_body(&mut stateless_body, at, &stateless).unwrap();

    let mut group = criterion.benchmark_group("writing");
    for (name, event, body) in [("encode, no state", &stateless, &stateless_body), ("encode", &event, &body)] {
        group.bench_function(name, |bencher| {
            let mut out = Vec::with_capacity(2 * body.len());
            bencher.iter(|| {
                out.clear();
                encode_body(&mut out, at, black_box(event)).unwrap();
            });
        });
    }
    for (name, body) in [("seal, no state", &stateless_body), ("seal", &body)] {
        group.bench_function(name, |bencher| {
            let mut chainer = Chainer::new(ChainId::new(id(3)), Head::default());
            bencher.iter(|| chainer.seal(black_box(body)).len());
        });
    }
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("digest", |bencher| bencher.iter(|| Digest::of(black_box(&body))));
    let identity = || Identity { replica: "bench".into(), version: "0".into() };
    let key = || SigningKey::from_pkcs8(&pkcs8()).unwrap();
    let clock = || Arc::new(|| Timestamp::from_micros(0)) as chaperone_trail::Clock;
    group.bench_function("append, nothing kept", |bencher| {
        let (trail, thread) =
            Trail::start(TrailOptions::sink(Nowhere), identity(), key(), ChainId::new(id(3)), clock()).unwrap();
        bencher.iter(|| append(&trail, at, &event));
        thread.stop().unwrap();
    });
    group.bench_function("append, journal", |bencher| {
        let directory = tempfile::tempdir().unwrap();
        let mut options = TrailOptions::journal(directory.path());
        if let chaperone_trail::Keep::Journal(journal) = &mut options.keep {
            journal.segment_bytes_max = 16 << 20;
        }
        let (trail, thread) = Trail::start(options, identity(), key(), ChainId::new(id(3)), clock()).unwrap();
        bencher.iter(|| append(&trail, at, &event));
        thread.stop().unwrap();
    });
    group.finish();
}

/// As a caller that waits where the queue is full: what is measured then is the writer.
fn append(trail: &Trail, at: Timestamp, event: &Event<'_>) {
    loop {
        match trail.append(at, event) {
            Ok(_) => return,
            Err(AppendError::QueueFull) => std::thread::yield_now(),
            Err(AppendError::QuotaReached) => {
                trail.segments().unwrap().remove_through(u64::MAX).unwrap();
            }
            refused => drop(refused.unwrap()),
        }
    }
}

fn pkcs8() -> Vec<u8> {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend([7; 32]);
    der
}

criterion_group!(benches, writing);
criterion_main!(benches);
