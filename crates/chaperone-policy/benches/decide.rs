//! What one decision costs, with ever more policies of which the same few apply.

#![expect(clippy::panic, reason = "a bench stops at the first thing that is not as it must be")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{
    Attributes, Authority, Binding, Bundle, BundleSource, Entity, EntityRef, EntityStore, Outcome, Presenter, Request,
    Scope, Session, SessionChain, SessionId, Task, Timestamp, Value, decide,
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const SCHEMA: &str = r#"
entity Team in [Team];
entity Agent in [Team] = { suspended?: Bool, level: Long };
entity Folder in [Folder];
entity Document in [Folder] = { owner: String, sensitivity?: String };
action read in [Chaperone::Action::"data.read"] appliesTo {
  principal: [Agent], resource: [Document],
  context: { session: Chaperone::Session, tree: Chaperone::Tree, request: { format: String, rows?: Long } } };
action write appliesTo {
  principal: [Agent], resource: [Document],
  context: { session: Chaperone::Session, tree: Chaperone::Tree, request: { format: String, rows?: Long } } };
"#;

/// Eight policies that have to be evaluated for the request.
const APPLY: [&str; 8] = [
    "permit (principal in Team::\"research\", action == Action::\"read\", resource in Folder::\"open\") when { principal.level >= 2 };",
    "permit (principal, action in Chaperone::Action::\"data.read\", resource) when { context.session.exists && resource.owner == context.session.owner };",
    "permit (principal == Agent::\"reporter\", action, resource is Document) when { context.request.format == \"csv\" };",
    "forbid (principal, action, resource is Document) when { resource has sensitivity && resource.sensitivity == \"secret\" };",
    "forbid (principal, action, resource) when { context.tree.labels.contains(\"untrusted-input\") };",
    "forbid (principal is Agent in Team::\"all\", action in [Action::\"read\", Action::\"write\"], resource) when { context.session.delegation_depth > 3 };",
    "forbid (principal, action == Action::\"read\", resource in Folder::\"all\") when { context.session.risk > 80 };",
    "forbid (principal, action, resource) when { context.request has rows && context.request.rows > 10000 };",
];

/// `count` policies: those that apply, and others for other principals, actions and resources.
fn bundle(count: usize) -> Bundle {
    let mut policies = String::new();
    for (number, policy) in APPLY.iter().enumerate() {
        let _ = writeln!(policies, "@id(\"apply-{number}\") {policy}");
    }
    for number in APPLY.len()..count {
        let scope = match number % 4 {
            0 => format!("principal == Agent::\"{number}\", action == Action::\"read\", resource"),
            1 => format!("principal in Team::\"{number}\", action, resource in Folder::\"{number}\""),
            2 => format!("principal, action == Action::\"write\", resource == Document::\"{number}\""),
            _ => format!("principal, action in Chaperone::Action::\"data.read\", resource == Document::\"{number}\""),
        };
        let _ = writeln!(policies, "@id(\"other-{number}\") permit ({scope}) when {{ context.session.risk < 50 }};");
    }
    let mut source = BundleSource::default();
    source.files.insert("schema.cedarschema".into(), SCHEMA.into());
    source.files.insert("policies/main.cedar".into(), policies);
    Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn entities(bundle: &Bundle) -> EntityStore {
    let entity = |kind: &str, id: &str, attributes: Attributes, parents: &[(&str, &str)]| Entity {
        uid: EntityRef::new(kind, id),
        attributes,
        tags: Attributes::new(),
        parents: parents.iter().map(|(kind, id)| EntityRef::new(*kind, *id)).collect(),
    };
    let none = Attributes::new;
    let all = [
        entity("Team", "all", none(), &[]),
        entity("Team", "research", none(), &[("Team", "all")]),
        entity("Agent", "reporter", [("level".into(), Value::Long(3))].into(), &[("Team", "research")]),
        entity("Folder", "all", none(), &[]),
        entity("Folder", "open", none(), &[("Folder", "all")]),
        entity("Document", "1", [("owner".into(), Value::String("ann".into()))].into(), &[("Folder", "open")]),
    ];
    bundle.entities(&all).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn chain() -> SessionChain {
    let id: SessionId = "0190a000-0000-7000-8000-000000000001".parse().unwrap_or_else(|error| panic!("{error}"));
    let session = Session {
        id,
        tree: id,
        parent: None,
        depth: 0,
        principal: EntityRef::new("Agent", "reporter"),
        owner: "ann".into(),
        task: Task { id: "T-1".into(), purpose: "the weekly report".into() },
        labels: ["pii".to_owned(), "internal".to_owned()].into(),
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

fn request(bundle: &Bundle) -> Request {
    let attributes = [("format".into(), Value::String("csv".into())), ("rows".into(), Value::Long(100))].into();
    bundle.request("read", EntityRef::new("Document", "1"), attributes).unwrap_or_else(|error| panic!("{error}"))
}

fn benches(criterion: &mut Criterion) {
    let chain = chain();
    let presenter = Presenter::default();
    let now = Timestamp::from_micros(60_000_000);
    let mut group = criterion.benchmark_group("decide");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(30);
    for count in [10, 100, 1_000, 10_000] {
        let bundle = bundle(count);
        let entities = entities(&bundle);
        let request = request(&bundle);
        let decide = || decide(&bundle, &entities, &request, Authority::Session(&chain), &presenter, now);
        assert_eq!(decide().outcome, Outcome::Allow);
        group.bench_function(BenchmarkId::new("policies", count), |bencher| bencher.iter(|| black_box(decide())));
    }
    group.finish();
}

criterion_group!(decisions, benches);
criterion_main!(decisions);
