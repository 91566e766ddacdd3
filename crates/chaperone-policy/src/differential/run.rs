//! Runs over many random bundles, on many threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::chance::Chance;
use super::coverage::{self, Report};
use super::memories;
use super::reproduction::{Difference, compare, shrink};
use super::sample::{Compiled, Sample};
use super::situations::Situation;
use super::world::World;
use crate::bundle::Bundle;
use crate::decide::Authority;
use crate::decision::Decision;
use crate::decoders::Decoders;
use crate::entities::EntityStore;
use crate::request::{Presenter, Request};
use crate::schema::CompiledSchema;
use crate::timestamp::Timestamp;

/// How many decisions are made with one bundle, which takes far longer to compile than they take.
const CASES_PER_BUNDLE: u64 = 160;
/// How many decisions are made with one schema, which takes longer still.
const CASES_PER_PART: u64 = 8 * CASES_PER_BUNDLE;

/// What decides: [`decide`](crate::decide), or what a test puts in its place.
pub type Evaluate = fn(&Bundle, &EntityStore, &Request, Authority<'_>, &Presenter, Timestamp) -> Decision;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many decisions to compare.
    pub cases: u64,
    /// What determines all of them.
    pub seed: u64,
    /// How many threads to use.
    pub threads: usize,
    /// What is compared with Cedar's authorizer.
    pub evaluate: Evaluate,
}

/// Compares decisions until as many were compared as planned, or two differ. `progress` is told now and then how many were compared.
///
/// # Errors
/// With the first difference that was found.
pub fn run(plan: Plan, progress: &(dyn Fn(u64) + Sync)) -> Result<Report, Box<Difference>> {
    let parts = plan.cases.div_ceil(CASES_PER_PART);
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let done = AtomicU64::new(0);
    let result = Mutex::new(Ok(Report::default()));
    std::thread::scope(|scope| {
        for _ in 0..plan.threads.max(1) {
            scope.spawn(|| {
                let mut report = Report::default();
                while !stop.load(Ordering::Relaxed) {
                    let part = next.fetch_add(1, Ordering::Relaxed);
                    if part >= parts {
                        break;
                    }
                    let cases = CASES_PER_PART.min(plan.cases - part * CASES_PER_PART);
                    if let Err(difference) = run_part(plan, part, cases, &mut report) {
                        stop.store(true, Ordering::Relaxed);
                        *result.lock().expect("no thread panicked") = Err(difference);
                        return;
                    }
                    progress(done.fetch_add(cases, Ordering::Relaxed) + cases);
                }
                if let Ok(sum) = result.lock().expect("no thread panicked").as_mut() {
                    sum.merge(report);
                }
            });
        }
    });
    result.into_inner().expect("no thread panicked")
}

/// One schema with several bundles.
fn run_part(plan: Plan, part: u64, cases: u64, report: &mut Report) -> Result<(), Box<Difference>> {
    let mut chance = Chance::new(plan.seed, part);
    let world = World::new(&mut chance);
    let schema = CompiledSchema::compile(&world.schema(), Decoders::default(), memories::layout(&world.kept))
        .unwrap_or_else(|problems| panic!("part {part} of seed {}: {problems:#?}\n{}", plan.seed, world.schema()));
    let schema = Arc::new(schema);
    let mut left = cases;
    while left > 0 {
        let (sample, compiled) = valid(&mut chance, &world, &schema, report);
        let operators: BTreeMap<String, Vec<String>> = (compiled.bundle.policies().ids())
            .zip(compiled.bundle.policies().in_cedar())
            .map(|(id, policy)| (id.to_owned(), coverage::operators(policy)))
            .collect();
        report.add_bundle(&operators);
        for _ in 0..CASES_PER_BUNDLE.min(left) {
            left -= 1;
            let situation = Situation::new(&mut chance, &world, &compiled);
            match compare(plan.evaluate, &compiled, &situation) {
                Ok(decision) => report.add(&decision, &operators),
                Err(_) => return Err(Box::new(shrink(plan.evaluate, &sample, &situation, plan.seed, part))),
            }
        }
    }
    Ok(())
}

/// The next bundle that is valid. Those that are not are counted, because too many of them would be a shortcoming.
fn valid(chance: &mut Chance, world: &World, schema: &Arc<CompiledSchema>, report: &mut Report) -> (Sample, Compiled) {
    loop {
        let sample = Sample::new(chance, world, schema);
        match sample.compile() {
            Ok(compiled) => return (sample, compiled),
            Err(problems) => {
                report.refused += 1;
                report.refusal = problems.into_iter().next().or(report.refusal.take());
            }
        }
    }
}
