//! What the trail costs: the same loads on servers that differ in nothing but `--trail-ack`, in turn.

use std::fs;

use anyhow::{Context as _, bail};

use super::figures::{median, rounded};
use super::load::{CHECK, Requests, Run};
use super::rounds::{CROWD, PACED_TIMES, POLICIES, paced_checks};
use super::setting::{Prepared, Setting};
use super::{Figures, Plan, replay};

/// What answers may wait for; the first is what the others are compared with.
const ACKS: [&str; 4] = ["off", "enqueued", "durable", "store"];

/// The runs of one server.
#[derive(Default)]
struct Runs {
    crowd: Vec<Run>,
    paced: Vec<Run>,
}

/// A figure of a run.
type Figure = fn(&Run) -> f64;

/// Measures, and adds the figures.
///
/// # Errors
/// When a server does not start, a check is not allowed, or a decision has no record.
pub fn measure(setting: &Setting, plan: &Plan, figures: &mut Figures) -> anyhow::Result<()> {
    let postgres = setting.postgres()?;
    let url = postgres.url();
    let journals = setting.directory().join("trail");
    // Of a bench that was interrupted.
    let _ = fs::remove_dir_all(&journals);
    let mut servers = Vec::new();
    for ack in ACKS {
        let journal = journals.join(ack).display().to_string();
        let options = [("--trail-ack", ack), ("--trail-dir", &journal), ("--store-url", &url)];
        // Only one of them needs the database; the others must not share the machine with its work.
        let options = if ack == "store" { &options[..] } else { &options[..2] };
        let server = setting.serve(options)?;
        // Each has a session of its own, and so a check of its own.
        let frame = setting.prepare(&server, &server, &format!("trail-{ack}"), &[&POLICIES.to_string()])?;
        servers.push(Prepared { server, frame });
    }
    let [off, enqueued, durable, store] = &servers[..] else { bail!("there is a server for each of {ACKS:?}") };
    let (rate, runs) = compare(setting, &[off, enqueued, durable], plan)?;
    figures.insert("trail_half_load_checks_per_s".to_owned(), rate);
    record(&ACKS[..3], &runs, figures)?;
    record_absolute(ACKS[0], runs.first().context("it is measured")?, figures)?;
    // By itself: what PostgreSQL still writes after a round must not meet the others' next one. Half of what it sustains is far less, too.
    let (rate, runs) = compare(setting, &[off, store], plan)?;
    figures.insert("trail_store_half_load_checks_per_s".to_owned(), rate);
    record(&[ACKS[0], ACKS[3]], &runs, figures)?;
    for (ack, server) in ACKS.iter().zip(&servers) {
        require_records(ack, server)?;
    }
    replay::measure(setting, &durable.server, figures)?;
    drop(servers);
    let _ = fs::remove_dir_all(&journals);
    Ok(())
}

/// The same loads on these servers, round by round. Returns the steady rate, and the runs of each.
fn compare(setting: &Setting, servers: &[&Prepared], plan: &Plan) -> anyhow::Result<(f64, Vec<Runs>)> {
    let mut runs: Vec<Runs> = servers.iter().map(|_| Runs::default()).collect();
    for server in servers {
        crowd(setting, server, plan.requests / 10)?;
    }
    for round in 0..plan.rounds {
        for (server, runs) in servers.iter().zip(&mut runs) {
            runs.crowd.push(crowd(setting, server, plan.requests)?);
        }
        eprintln!("trail: crowd, round {} of {}", round + 1, plan.rounds);
    }
    let rate = half_of_full(setting, servers, plan)?;
    for _ in 0..plan.rounds * PACED_TIMES {
        for (server, runs) in servers.iter().zip(&mut runs) {
            runs.paced.push(paced(setting, server, &rate.to_string(), paced_checks(rate))?);
        }
    }
    eprintln!("trail: half load, {} rounds at {rate} checks a second", plan.rounds * PACED_TIMES);
    Ok((rate, runs))
}

fn crowd(setting: &Setting, server: &Prepared, count: u32) -> anyhow::Result<Run> {
    let (connections, streams) = CROWD;
    let requests = Requests { path: CHECK, frame: &server.frame, connections, streams, count, checks_each: 1 };
    setting.load.run(&server.server, requests)
}

fn paced(setting: &Setting, server: &Prepared, rate: &str, checks: u32) -> anyhow::Result<Run> {
    let frame = server.frame.to_str().context("the target directory's path is not UTF-8")?;
    setting.load.program(&server.server, "paced", &[frame, rate, &checks.to_string()], checks)
}

/// Half of what the slowest of them sustains: a load that none of them is overwhelmed by.
fn half_of_full(setting: &Setting, servers: &[&Prepared], plan: &Plan) -> anyhow::Result<f64> {
    let mut slowest = f64::INFINITY;
    for server in servers {
        let full = (0..plan.rounds).map(|_| paced(setting, server, "full", plan.requests));
        let full: Vec<Run> = full.collect::<anyhow::Result<_>>()?;
        let rate = median(full.iter().map(|run| run.requests_per_s).collect()).context("there are rounds")?;
        slowest = slowest.min(rate);
    }
    Ok((slowest / 2.0).round())
}

/// As many records of decisions as there were decisions: what is fast because it forgets is not measured.
fn require_records(ack: &str, server: &Prepared) -> anyhow::Result<()> {
    let server = &server.server;
    let decided = server.counted("chaperone_decisions_total", "outcome=")?;
    let recorded = server.counted("chaperone_trail_records_total", "kind=\"decision\"")?;
    let expected = if ack == "off" { 0 } else { decided };
    if recorded != expected {
        bail!("--trail-ack={ack} made {recorded} records of {decided} decisions");
    }
    Ok(())
}

/// The medians of the servers behind the first, and what they have more than that one in the same round.
fn record(acks: &[&str], runs: &[Runs], figures: &mut Figures) -> anyhow::Result<()> {
    let (off, others) = runs.split_first().context("there are servers")?;
    for (ack, runs) in acks.iter().skip(1).zip(others) {
        record_absolute(ack, runs, figures)?;
        for (load, with, without) in [("", &runs.crowd, &off.crowd), ("half_load_", &runs.paced, &off.paced)] {
            let ratios = with.iter().zip(without).map(|(with, without)| with.cpu_us / without.cpu_us);
            figures.insert(format!("trail_{ack}_{load}cpu_ratio"), rounded(middle(ratios)?));
        }
        let percentiles: [(&str, Figure); 2] = [("p50", |run| run.p50_us), ("p99", |run| run.p99_us)];
        for (name, figure) in percentiles {
            let pairs = runs.paced.iter().zip(&off.paced);
            let added = middle(pairs.map(|(with, without)| figure(with) - figure(without)))?;
            figures.insert(format!("trail_{ack}_{name}_added_ms"), rounded(added / 1e3));
        }
    }
    Ok(())
}

/// The medians of a server by itself.
fn record_absolute(ack: &str, runs: &Runs, figures: &mut Figures) -> anyhow::Result<()> {
    let of = |runs: &[Run], figure: Figure| middle(runs.iter().map(figure));
    let p99s = || runs.paced.iter().map(|run| run.p99_us / 1e3);
    for (name, value) in [
        ("cpu_us", of(&runs.crowd, |run| run.cpu_us)?),
        ("checks_per_s", of(&runs.crowd, |run| run.requests_per_s)?),
        ("half_load_cpu_us", of(&runs.paced, |run| run.cpu_us)?),
        ("half_load_p50_ms", of(&runs.paced, |run| run.p50_us / 1e3)?),
        ("half_load_p99_ms", middle(p99s())?),
        ("half_load_p99_max_ms", p99s().fold(0.0, f64::max)),
    ] {
        figures.insert(format!("trail_{ack}_{name}"), rounded(value));
    }
    Ok(())
}

fn middle(values: impl Iterator<Item = f64>) -> anyhow::Result<f64> {
    median(values.collect()).context("there are rounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_acknowledge_is_compared_with_none() {
        let run = |cpu_us: f64, p99_us: f64| Run { cpu_us, requests_per_s: 1.0, p50_us: 1.0, p99_us };
        let runs = |cpu_us, p99_us| Runs { crowd: vec![run(cpu_us, 0.0)], paced: vec![run(2.0 * cpu_us, p99_us)] };
        let mut figures = Figures::new();
        let all = [runs(20.0, 1_000.0), runs(22.0, 1_100.0), runs(25.0, 2_500.0)];
        record(&ACKS[..3], &all, &mut figures).expect("there are rounds");
        assert_eq!(figures.get("trail_durable_cpu_ratio"), Some(&1.25));
        assert_eq!(figures.get("trail_durable_p99_added_ms"), Some(&1.5));
        assert_eq!(figures.get("trail_enqueued_p99_added_ms"), Some(&0.1));
        assert_eq!(figures.get("trail_off_cpu_ratio"), None);
    }
}
