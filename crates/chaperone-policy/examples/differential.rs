//! Compares decisions by compiled policies with those of Cedar's authorizer: `cargo xtask differential`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chaperone_policy::decide;
use chaperone_policy::differential::{Plan, run, run_corpus};
use clap::Parser;

/// Compares decisions by compiled policies with those of Cedar's authorizer.
#[derive(Parser)]
struct Arguments {
    /// How many decisions to compare
    #[arg(long, default_value_t = 1_000_000)]
    cases: u64,
    /// What determines all of them
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Reads a checkout of Cedar's public corpus instead
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Where to write what is needed to see a difference again
    #[arg(long, value_name = "FILE", default_value = "differential-reproduction.txt")]
    reproduction: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match &arguments.corpus {
        Some(root) => match run_corpus(root, decide) {
            Ok(report) => {
                print!("{report}");
                if report.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        None => compare(&arguments),
    }
}

fn compare(arguments: &Arguments) -> ExitCode {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let Arguments { cases, seed, .. } = *arguments;
    let start = Instant::now();
    let told = Mutex::new(start);
    let progress = |done: u64| {
        let Ok(mut told) = told.lock() else { return };
        if told.elapsed() > Duration::from_secs(5) {
            *told = Instant::now();
            eprintln!("{done} of {cases} after {} s", start.elapsed().as_secs());
        }
    };
    match run(Plan { cases, seed, threads, evaluate: decide }, &progress) {
        Ok(report) => {
            println!("{report}no difference with seed {seed}, after {} s", start.elapsed().as_secs());
            ExitCode::SUCCESS
        }
        Err(difference) => {
            println!("{difference}");
            if let Err(error) = std::fs::write(&arguments.reproduction, difference.to_string()) {
                eprintln!("{}: {error}", arguments.reproduction.display());
            }
            ExitCode::FAILURE
        }
    }
}
