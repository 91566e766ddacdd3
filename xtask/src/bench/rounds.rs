//! Rounds of the same loads on both servers in turn.

use anyhow::Context as _;

use super::figures::{Round, record, rounded};
use super::load::{CHECK, CHECK_BATCH, Requests, Run};
use super::setting::{CALLERS, Prepared, Setting};
use super::{Figures, Plan};
use crate::bench::figures::median;

/// Connections, and streams on each, that the load keeps busy.
pub const CROWD: (u32, u32) = (8, 32);
/// Requests, one after the other on one connection, of a round.
const LONE_REQUESTS: u32 = 5_000;
/// Policies of the bundle.
pub const POLICIES: u32 = 100;
/// Checks in one `CheckBatch`, as the program `frame` writes it.
const BATCH_CHECKS: u32 = 100;
/// Streams of `CheckStream`, and checks under way on each.
const STREAM_CROWD: (u32, u32) = (CALLERS, 256);
/// Direct checks cost less: so many times more of them give as exact a figure.
const DIRECT_TIMES: u32 = 5;
/// How long a round at a steady rate takes, in seconds. A machine that is shared stands still for some milliseconds a few times a second, which
/// is all that the 99th percentile of a longer time tells.
const PACED_S: f64 = 0.5;
/// A percentile of a short time varies: so many times more rounds.
pub const PACED_TIMES: usize = 8;

/// Measures, and adds the figures.
///
/// # Errors
/// When a server does not start, or a check is not allowed.
pub fn measure(setting: &Setting, plan: &Plan, figures: &mut Figures) -> anyhow::Result<()> {
    let chaperone = setting.chaperone(POLICIES, &[])?;
    let loads = Loads { setting, chaperone: &chaperone };
    let crowd = loads.both(CROWD, plan.requests, plan.rounds)?;
    record(&crowd, "", figures);
    direct(&loads, plan, &crowd, figures)?;
    record(&loads.both((1, 1), LONE_REQUESTS, plan.rounds)?, "lone_", figures);
    half_load(&loads, plan, figures)
}

/// Both servers, and what they are sent.
struct Loads<'a> {
    setting: &'a Setting,
    chaperone: &'a Prepared,
}

impl Loads<'_> {
    /// Floor and Chaperone in turn.
    fn both(&self, (connections, streams): (u32, u32), count: u32, rounds: usize) -> anyhow::Result<Vec<Round>> {
        let servers = [&self.setting.floor, &self.chaperone.server];
        let frame = &self.chaperone.frame;
        let requests = |count| Requests { path: CHECK, frame, connections, streams, count, checks_each: 1 };
        for server in servers {
            // Not counted: connections, allocator and caches warm up.
            self.setting.load.run(server, requests(count / 10))?;
        }
        let round = |_| {
            let [floor, chaperone] = servers.map(|server| self.setting.load.run(server, requests(count)));
            Ok(Round { floor: floor?, chaperone: chaperone? })
        };
        let rounds: Vec<Round> = (0..rounds).map(round).collect::<anyhow::Result<_>>()?;
        let ratio = median(rounds.iter().map(Round::cpu_ratio).collect()).unwrap_or_default();
        eprintln!("{connections} connections with {streams} streams: {ratio:.2} times the floor's CPU");
        Ok(rounds)
    }

    /// Floor and Chaperone in turn, with checks at a steady rate.
    fn paced(&self, rate: &str, checks: u32, rounds: usize) -> anyhow::Result<Vec<Round>> {
        let frame = self.chaperone.frame.to_str().context("the target directory's path is not UTF-8")?;
        let run = |server, checks: u32| {
            self.setting.load.program(server, "paced", &[frame, rate, &checks.to_string()], checks)
        };
        let servers = [&self.setting.floor, &self.chaperone.server];
        for server in servers {
            run(server, checks / 10)?;
        }
        let round = |_| {
            let [floor, chaperone] = servers.map(|server| run(server, checks));
            Ok(Round { floor: floor?, chaperone: chaperone? })
        };
        (0..rounds).map(round).collect()
    }

    fn batch(&self, checks: u32) -> anyhow::Result<Run> {
        let frame = &self.chaperone.beside("batch");
        // A batch is a hundred checks: few at once are many.
        let (connections, streams) = (CROWD.0, 2);
        let (count, checks_each) = (checks / BATCH_CHECKS, BATCH_CHECKS);
        let requests = Requests { path: CHECK_BATCH, frame, connections, streams, count, checks_each };
        self.setting.load.run(&self.chaperone.server, requests)
    }

    fn stream(&self, checks: u32) -> anyhow::Result<Run> {
        let handles = self.chaperone.beside("handles").display().to_string();
        let (streams, in_flight) = STREAM_CROWD;
        let numbers = [streams, in_flight, checks].map(|number| number.to_string());
        let [streams, in_flight, count] = numbers.each_ref().map(String::as_str);
        let arguments = [&*handles, streams, in_flight, count];
        self.setting.load.program(&self.chaperone.server, "stream", &arguments, checks)
    }
}

/// What direct callers pay, against one call of the floor a check.
fn direct(loads: &Loads<'_>, plan: &Plan, crowd: &[Round], figures: &mut Figures) -> anyhow::Result<()> {
    // Whole batches, and as many for each stream.
    let whole = |checks: u32| checks.next_multiple_of(BATCH_CHECKS * STREAM_CROWD.0);
    let checks = whole(plan.requests * DIRECT_TIMES);
    let floor_us = median(crowd.iter().map(|round| round.floor.cpu_us).collect()).context("there are rounds")?;
    for kind in ["batch", "stream"] {
        let run = |checks| if kind == "batch" { loads.batch(checks) } else { loads.stream(checks) };
        run(whole(checks / 10))?;
        let runs: Vec<Run> = (0..plan.rounds).map(|_| run(checks)).collect::<anyhow::Result<_>>()?;
        let of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure).collect()).unwrap_or_default();
        let cpu_us = of(|run| run.cpu_us);
        for (name, value) in [
            ("cpu_us", cpu_us),
            ("checks_per_s", of(|run| run.requests_per_s)),
            ("p50_us", of(|run| run.p50_us)),
            ("p99_us", of(|run| run.p99_us)),
            ("per_core_ratio", floor_us / cpu_us),
        ] {
            figures.insert(format!("check_{kind}_{name}"), rounded(value));
        }
    }
    Ok(())
}

/// Both servers at half of the rate that Chaperone sustains. Both rates are those of the same client on the same machine, of which it needs a
/// part: the crowd's rate is another client's, and half of it may be more than this one leaves room for.
fn half_load(loads: &Loads<'_>, plan: &Plan, figures: &mut Figures) -> anyhow::Result<()> {
    let full = loads.paced("full", plan.requests, plan.rounds)?;
    let sustained = |of: fn(&Round) -> f64| median(full.iter().map(of).collect()).context("there are rounds");
    let rate = sustained(|round| round.chaperone.requests_per_s)?;
    let floor_rate = sustained(|round| round.floor.requests_per_s)?;
    for (name, rate) in [("envoy_check", rate), ("floor", floor_rate)] {
        figures.insert(format!("{name}_full_load_requests_per_s"), rounded(rate));
    }
    let rate = (rate / 2.0).round();
    let rounds = loads.paced(&rate.to_string(), paced_checks(rate), plan.rounds * PACED_TIMES)?;
    record(&rounds, "half_load_", figures);
    spread(
        "envoy_check_half_load_p99_over_floor",
        &rounds,
        |round| round.chaperone.p99_us - round.floor.p99_us,
        figures,
    );
    spread("envoy_check_half_load_p99", &rounds, |round| round.chaperone.p99_us, figures);
    spread("floor_half_load_p99", &rounds, |round| round.floor.p99_us, figures);
    Ok(())
}

/// How many checks a round at this rate has.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a rate that was measured")]
pub fn paced_checks(rate: f64) -> u32 {
    (rate * PACED_S) as u32
}

/// The median over rounds, and how far they lie apart: a busy machine shows in these.
fn spread(name: &str, rounds: &[Round], of: fn(&Round) -> f64, figures: &mut Figures) {
    let values: Vec<f64> = rounds.iter().map(of).collect();
    let ends = [values.iter().copied().reduce(f64::min), values.iter().copied().reduce(f64::max)];
    for (part, value) in ["_min", "_max", ""].into_iter().zip(ends.into_iter().chain([median(values)])) {
        figures.extend(value.map(|value| (format!("{name}{part}_us"), rounded(value))));
    }
}
