use std::path::Path;

use super::*;
use crate::decide::decide;

fn plan(cases: u64, evaluate: Evaluate) -> Plan {
    Plan { cases, seed: 1, threads: std::thread::available_parallelism().map_or(1, usize::from), evaluate }
}

#[test]
fn compiled_policies_decide_as_cedar_does() {
    let start = std::time::Instant::now();
    let report = run(plan(8_000, decide), &|_| {}).unwrap_or_else(|difference| panic!("{difference}"));
    println!("{report}\n{:?}", start.elapsed());
    println!("{:#?}", report.refusal);
}

#[test]
fn public_corpus_format_is_read_and_decided() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/corpus");
    let report = run_corpus(&root, decide).expect("it can be read");
    assert_eq!(report.differences, Vec::<String>::new());
    assert_eq!((report.files, report.invalid, report.skipped_files.len()), (2, 1, 0), "{report}");
    assert_eq!((report.decided, report.allowed, report.failed, report.skipped_requests), (5, 2, 2, 1), "{report}");
}

fn cpu() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse().unwrap()
}
#[test]
fn timing() {
    use super::chance::Chance;
    use super::sample::Sample;
    use super::situations::Situation;
    use super::world::World;
    let mut t = [0u64; 8];
    for part in 0..10 {
        let mut chance = Chance::new(1, part);
        let s = cpu();
        let world = World::new(&mut chance);
        let schema = std::sync::Arc::new(crate::schema::CompiledSchema::compile(&world.schema()).unwrap());
        t[0] += cpu() - s;
        for _ in 0..4 {
            let s = cpu();
            let sample = Sample::new(&mut chance, &world, &schema);
            t[1] += cpu() - s;
            let s = cpu();
            let Ok(c) = sample.compile() else { continue };
            t[2] += cpu() - s;
            let s = cpu();
            let xs: Vec<_> = (0..50).map(|_| Situation::new(&mut chance, &world, &c)).collect();
            t[3] += cpu() - s;
            let s = cpu();
            for x in &xs {
                std::hint::black_box(decide(&c.bundle, &c.store, &x.request, x.authority(), &x.presenter, x.now));
            }
            t[4] += cpu() - s;
            let s = cpu();
            for x in &xs {
                std::hint::black_box(crate::decide::decide_by_cedar(
                    &c.bundle,
                    &c.store,
                    &x.request,
                    x.authority(),
                    &x.presenter,
                    x.now,
                ));
            }
            t[5] += cpu() - s;
            let s = cpu();
            for _ in c.bundle.policies().in_cedar().map(|p| coverage::operators(p)) {}
            t[6] += cpu() - s;
        }
    }
    println!(
        "10 schemas, 40 bundles, 2000 cases: schema, sample, compile, situation, decide, by_cedar, operators {:?} ms",
        t.map(|x| x / 1_000_000)
    );
}
