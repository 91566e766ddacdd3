//! One decision with a hundred policies and with ten thousand, of which the same ten apply, in turn: `alternating [SAMPLES [SIZE…]]`.
//!
//! A machine that is shared runs at one speed for seconds and at another for the next ones. What is measured one after the other is then
//! measured on two machines. Here each sample is a fraction of a millisecond long and one of each size follows the other, so that both see the
//! same; the ratio is the median over such pairs. One line of JSON has each size's time in nanoseconds, as the median and the least of its
//! samples, and the ratio of the last size to the first.

#![expect(clippy::panic, reason = "a bench stops at the first thing that is not as it must be")]

#[path = "decide/fixture.rs"]
#[expect(dead_code, reason = "the other bench has more of it")]
mod fixture;
#[path = "decide/ours.rs"]
mod ours;

use std::hint::black_box;
use std::time::Instant;

use chaperone_policy::Outcome;
use fixture::Candidates;
use ours::Ours;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Pairs of samples.
const SAMPLES: usize = 4_000;
/// Decisions of one sample.
const DECISIONS: u32 = 200;

fn main() {
    // `cargo bench` adds an option of its own.
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let samples = numbers.next().unwrap_or(SAMPLES).max(1);
    let mut sizes: Vec<usize> = numbers.collect();
    if sizes.is_empty() {
        sizes = vec![100, 10_000];
    }
    let sets: Vec<Ours> = sizes.iter().map(|size| Ours::new(&fixture::policies(Candidates::Few, *size))).collect();
    assert!(sets.iter().all(|set| set.decide().outcome == Outcome::Allow));
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); sets.len()];
    let mut ratios = Vec::new();
    for _ in 0..samples {
        let round: Vec<f64> = sets.iter().map(sample_ns).collect();
        if let [first, .., last] = round.as_slice() {
            ratios.push(last / first);
        }
        times.iter_mut().zip(round).for_each(|(times, time)| times.push(time));
    }
    let figures = sizes.iter().zip(&mut times).map(|(size, times)| {
        let median = median(times);
        let least = times.first().copied().unwrap_or_default();
        format!(r#""median_{size}_ns":{median:.1},"min_{size}_ns":{least:.1}"#)
    });
    println!("{{{},\"ratio\":{:.4}}}", figures.collect::<Vec<_>>().join(","), median(&mut ratios));
}

/// The mean time of a decision.
fn sample_ns(set: &Ours) -> f64 {
    let began = Instant::now();
    for _ in 0..DECISIONS {
        black_box(set.decide());
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(DECISIONS)
}

/// The middle value; sorts them.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
