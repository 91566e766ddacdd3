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
