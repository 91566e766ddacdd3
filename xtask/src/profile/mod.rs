//! Where Chaperone's CPU time goes under the crowd's load: samples of its stacks, as a flame graph and as a table of stages.

mod stages;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use self::stages::{OTHER, STAGES, stage_of};
use crate::bench::{CHECK, CROWD, Requests, Setting};
use crate::command::{command, print, run as run_command, target};
use crate::{Runtime, docs, tools};

/// Policies of the bundle.
const POLICIES: u32 = 100;
/// Samples a second of each thread that runs; not a divisor of anything that the server does at intervals.
const FREQUENCY: &str = "997";
/// How much of a stack is copied for a sample, in bytes: tasks, services and layers are deep.
const STACK: &str = "dwarf,16384";

/// How many of the functions that belong to no stage are shown.
const UNNAMED_SHOWN: usize = 12;

/// Records, draws and prints.
///
/// # Errors
/// When a tool is missing, or the server cannot be built, started or loaded.
pub fn run(runtime: Runtime, requests: u32) -> anyhow::Result<()> {
    let (perf, inferno) = (tools::perf()?, tools::inferno()?);
    let setting = Setting::build(runtime)?;
    let directory = target().join("profile");
    fs::create_dir_all(&directory)?;
    let [data, script, folded] = ["perf.data", "perf.script", "perf.folded"].map(|name| directory.join(name));

    let chaperone = setting.chaperone(POLICIES, &[])?;
    let (connections, streams) = CROWD;
    let load = |count| {
        let requests = Requests { path: CHECK, frame: &chaperone.frame, connections, streams, count, checks_each: 1 };
        setting.load.run(&chaperone.server, requests)
    };
    load(requests / 10)?;
    // Recording costs time of its own: what a check costs is measured without it.
    let cpu_us = load(requests / 2)?.cpu_us;
    let mut record = command(&perf, &["record", "--freq", FREQUENCY, "--event", "cpu-clock", "--call-graph", STACK]);
    record.arg("--pid").arg(chaperone.server.id().to_string()).arg("--output").arg(&data);
    print(&record);
    // Should nothing be recorded, then an older recording is no substitute.
    let _ = fs::remove_file(&data);
    let mut recorder = record.spawn().context("cannot run perf")?;
    let loaded = load(requests);
    if let Some(status) = recorder.try_wait()? {
        bail!("perf ended early: {status}. `sysctl kernel.perf_event_paranoid=1` may be what it lacks");
    }
    // It ends, and writes what it has, when it is interrupted.
    run_command(command("kill", &["-INT", &recorder.id().to_string()]))?;
    recorder.wait()?;
    loaded?;
    drop(chaperone);

    // To look for what was inlined takes perf minutes a thousand samples; what was inlined counts as its caller.
    let mut write_script = command(&perf, &["script", "--no-inline", "--input"]);
    write_script.arg(&data);
    to_file(write_script, &script)?;
    let mut fold = command(inferno.join("inferno-collapse-perf"), &["--kernel"]);
    fold.arg(&script);
    to_file(fold, &folded)?;
    let mut draw =
        command(inferno.join("inferno-flamegraph"), &["--title", "CPU of chaperone serve under Envoy checks"]);
    draw.args(["--minwidth", "0.2", "--hash"]).arg(&folded);
    to_file(draw, &docs::performance("flame.svg")?)?;

    let folded = fs::read_to_string(&folded)?;
    for (function, ns) in unnamed(&folded) {
        eprintln!("in no stage: {} ms in {function}", ns / 1_000_000);
    }
    let table = table(&folded, cpu_us)?;
    println!("{table}");
    docs::replace("stages", &format!("![Flame graph of chaperone serve](performance/flame.svg)\n\n{table}"))
}

/// The share of each stage in the CPU time of a check, in Markdown. The event counts nanoseconds, and so do the stacks.
fn table(folded: &str, cpu_us: f64) -> anyhow::Result<String> {
    let mut stages: BTreeMap<&str, u64> = BTreeMap::new();
    let mut total = 0;
    for line in folded.lines() {
        let (stack, ns) = line.rsplit_once(' ').context("a folded stack ends in its time")?;
        let ns: u64 = ns.parse().context("a folded stack ends in its time")?;
        *stages.entry(stage_of(stack)).or_default() += ns;
        total += ns;
    }
    if total == 0 {
        bail!("perf recorded nothing: `sysctl kernel.perf_event_paranoid` may forbid it");
    }
    if stages.get(OTHER).is_some_and(|ns| *ns > total / 2) {
        bail!("most of the time is in functions of no stage: does the program have its symbols?");
    }
    let mut table = "| stage | share | µs a check | what it is |\n| --- | --- | --- | --- |\n".to_owned();
    for stage in STAGES {
        let ns = stages.get(stage.name).copied().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a run are far below 2^52")]
        let share = ns as f64 / total as f64;
        let (percent, us) = (share * 100.0, share * cpu_us);
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| {} | {percent:.1} % | {us:.2} | {} |", stage.name, stage.what);
    }
    let _ = writeln!(table, "| all | 100 % | {cpu_us:.2} | |");
    Ok(table)
}

/// The functions in which most of the time of no stage went: what the stages should come to know.
fn unnamed(folded: &str) -> Vec<(&str, u64)> {
    let mut functions: BTreeMap<&str, u64> = BTreeMap::new();
    for line in folded.lines() {
        let Some((stack, ns)) = line.rsplit_once(' ') else { continue };
        if stage_of(stack) == OTHER {
            *functions.entry(stack.rsplit(';').next().unwrap_or_default()).or_default() += ns.parse().unwrap_or(0);
        }
    }
    let mut functions: Vec<_> = functions.into_iter().collect();
    functions.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
    functions.truncate(UNNAMED_SHOWN);
    functions
}

/// Prints and runs a command whose output goes to a file.
fn to_file(mut command: Command, path: &Path) -> anyhow::Result<()> {
    print(&command);
    let name = command.get_program().display().to_string();
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let status = command.stdout(file).status().with_context(|| format!("cannot run {name}"))?;
    if !status.success() {
        bail!("{name} failed: {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_whole_check() {
        let table = table("chaperone;main;mi_malloc 1\nchaperone;main;h2::proto::poll 3\n", 20.0).expect("two stacks");
        assert!(table.contains("| allocator | 25.0 % | 5.00 |"), "{table}");
        assert!(table.contains("| transport | 75.0 % | 15.00 |"), "{table}");
        assert!(table.contains("| all | 100 % | 20.00 |"), "{table}");
    }
}
