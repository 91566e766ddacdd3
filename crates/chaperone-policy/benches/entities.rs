//! What entities cost: building a million, changing one among them, finding one, and asking whether it is in a group.

#![expect(clippy::panic, reason = "a bench stops at the first thing that is not as it must be")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use chaperone_policy::{Attributes, Bundle, BundleSource, Entity, EntityRef, EntityStore, Value};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const COUNT: usize = 1_000_000;
/// Documents in a folder, and folders in a folder.
const WIDTH: usize = 100;

const SCHEMA: &str = "
entity Agent;
entity Folder in [Folder];
entity Document in [Folder] = { owner: String, level: Long };
action read appliesTo { principal: [Agent], resource: [Document], context: { request: {} } };
";

fn bundle() -> Bundle {
    let mut source = BundleSource::default();
    let policy = "@id(\"all\") permit (principal, action, resource);";
    for (path, text) in [("schema.cedarschema", SCHEMA), ("policies/main.cedar", policy)] {
        source.files.insert(path.to_owned(), text.to_owned());
    }
    Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn folder(level: usize, number: usize) -> EntityRef {
    EntityRef::new("Folder", format!("{level}/{number}"))
}

fn document(number: usize) -> Entity {
    let owner = Value::String(format!("owner-{}", number % 1_000).into());
    Entity {
        uid: EntityRef::new("Document", format!("document-{number}")),
        attributes: [("owner".into(), owner), ("level".into(), Value::Long(3))].into(),
        tags: Attributes::new(),
        parents: vec![folder(0, number / WIDTH)],
    }
}

/// Documents in folders in folders, to a top.
fn tree(documents: usize) -> Vec<Entity> {
    let mut all: Vec<Entity> = (0..documents).map(document).collect();
    let (mut level, mut count) = (0, documents.div_ceil(WIDTH));
    while count > 0 {
        let above = if count > 1 { count.div_ceil(WIDTH) } else { 0 };
        all.extend((0..count).map(|number| Entity {
            uid: folder(level, number),
            attributes: Attributes::new(),
            tags: Attributes::new(),
            parents: if above > 0 { vec![folder(level + 1, number / WIDTH)] } else { Vec::new() },
        }));
        (level, count) = (level + 1, above);
    }
    all
}

fn put(bundle: &Bundle, store: &EntityStore, entity: &Entity) -> EntityStore {
    let mut changes = store.change();
    changes.put(bundle, [entity]);
    changes.finish().unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn benches(criterion: &mut Criterion) {
    let bundle = bundle();
    let all = tree(COUNT);
    let build = || bundle.entities(&all).unwrap_or_else(|errors| panic!("{errors:?}"));
    let mut group = criterion.benchmark_group("entities");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(10);
    group.bench_function("build a million", |bencher| {
        bencher.iter_custom(|times| {
            let began = Instant::now();
            (0..times).for_each(|_| drop(black_box(build())));
            began.elapsed()
        });
    });
    let store = build();
    group.sample_size(50);
    let other = Entity { attributes: document(1).attributes, ..document(500_000) };
    group.bench_function("put one among a million", |bencher| bencher.iter(|| put(&bundle, &store, &other)));
    let moved = Entity { parents: vec![folder(0, 1)], ..document(500_000) };
    group.bench_function("move one among a million", |bencher| bencher.iter(|| put(&bundle, &store, &moved)));
    let closed = Entity { parents: Vec::new(), ..tree_folder(&all, &folder(0, 5_000)) };
    group.bench_function("move a folder of 100 among a million", |bencher| {
        bencher.iter(|| put(&bundle, &store, &closed));
    });
    let asked: Vec<(EntityRef, EntityRef)> =
        (0..COUNT).step_by(997).map(|number| (document(number).uid, folder(2, 0))).collect();
    group.bench_function("find one among a million, and ask for a folder far above", |bencher| {
        let mut next = asked.iter().cycle();
        bencher.iter_batched(
            || next.next().unwrap_or_else(|| panic!("it goes on for ever")),
            |(uid, group)| black_box(store.is_in(uid, group)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn tree_folder(all: &[Entity], uid: &EntityRef) -> Entity {
    all.iter().find(|entity| entity.uid == *uid).cloned().unwrap_or_else(|| panic!("it is there"))
}

criterion_group!(entities, benches);
criterion_main!(entities);
