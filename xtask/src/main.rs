//! The one entry to everything that is done to this repository. Each task prints the plain commands that it runs.

mod bench;
mod check;
mod command;
mod db;
mod docs;
mod fuzz;
mod profile;
mod test;
mod tools;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// The repository's tasks.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Formatting, lints, documentation, and dependencies where cargo-deny is installed
    Check,
    /// Everything: installs what the tests need, then formatting, lints, unit, property, conformance and end-to-end tests
    Test,
    /// The end-to-end tests alone
    E2e {
        /// Passed on to the test runner, such as a part of a test's name
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Compares decisions by compiled policies with those of Cedar's authorizer, over random bundles or over Cedar's public corpus
    Differential {
        /// Passed on, such as `--cases 10000000 --seed 7` or `--corpus DIR`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Generates the API crate from proto/ again
    Codegen,
    /// A Postgres for development, in the foreground
    Db {
        /// Its port
        #[arg(long, default_value_t = 54_321)]
        port: u16,
    },
    /// Measures Chaperone against a server that does nothing, the decision core against Cedar's authorizer, checks that leave something
    /// behind on a Postgres of its own, and what the trail costs
    Bench {
        /// Also writes the figures to this file, as an object of names and numbers
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// How Chaperone's threads share the work
        #[arg(long, default_value = "per-core")]
        runtime: Runtime,
        /// Rounds, of which the medians are taken
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Requests a round
        #[arg(long, default_value_t = 60_000)]
        requests: u32,
        /// Measures one part alone
        #[arg(long, value_name = "PART", conflicts_with = "curves")]
        only: Option<bench::Part>,
        /// Also measures the curves over sessions and policies, and writes all tables and plots of docs/performance.md
        #[arg(long)]
        curves: bool,
        /// Writes the tables of what was measured into docs/performance.md; --curves does, too
        #[arg(long)]
        docs: bool,
        /// Where the curve over sessions ends
        #[arg(long, value_name = "SESSIONS", default_value_t = 1_000_000)]
        sessions_max: u32,
    },
    /// Sends made-up inputs to what reads what strangers send; needs a nightly compiler
    Fuzz {
        /// The targets, such as `sql`; all if none is named
        targets: Vec<String>,
        /// How long each of them runs
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        minutes: u32,
        /// What watches memory meanwhile
        #[arg(long, default_value = "none")]
        sanitizer: fuzz::Sanitizer,
    },
    /// Records where Chaperone's CPU time goes under load: the flame graph and the table of stages in docs/performance.md
    Profile {
        /// How Chaperone's threads share the work
        #[arg(long, default_value = "per-core")]
        runtime: Runtime,
        /// Requests to record
        #[arg(long, default_value_t = 200_000)]
        requests: u32,
    },
}

/// The runtimes of `chaperone serve --data-runtime`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Runtime {
    /// All threads share the work.
    Shared,
    /// Each thread has its own connections.
    PerCore,
}

impl Runtime {
    /// As the option writes it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::PerCore => "per-core",
        }
    }
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Check => check::run(),
        Task::Test => test::all(),
        Task::E2e { rest } => test::end_to_end(&rest),
        Task::Differential { rest } => test::differential(&rest),
        Task::Codegen => test::codegen(),
        Task::Db { port } => db::run_postgres(port),
        Task::Bench { json, runtime, rounds, requests, only, curves, docs, sessions_max } => {
            let (rounds, requests, docs) = (rounds.max(1), requests.max(1_000), docs || curves);
            bench::run(&bench::Plan { json, runtime, rounds, requests, only, curves, docs, sessions_max })
        }
        Task::Fuzz { targets, minutes, sanitizer } => fuzz::run_targets(&targets, minutes, sanitizer),
        Task::Profile { runtime, requests } => profile::run(runtime, requests.max(1_000)),
    }
}
