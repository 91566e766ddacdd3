//! Checks that leave something behind, on a Postgres with its default durability; and how soon one replica knows what another was told.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};

use super::figures::{median, rounded};
use super::load::{Report, Run};
use super::server::Server;
use super::setting::{Setting, admin_plane};
use super::{Figures, Plan, cpu};
use crate::command::{command, print};
use crate::db::Postgres;

/// Policies of the bundle, as in the crowd's rounds; what leaves something behind is added to them.
const POLICIES: &str = "100";
/// Sessions that count.
const SESSIONS: u32 = 10_000;
/// Checks under way on each connection: as many in all as one commit takes.
const STREAMS: u32 = 128;
/// The same with one session: 32 in all.
const HOT_STREAMS: u32 = 4;
/// A check of one session waits for the ones before it: so many times fewer of them take as long.
const HOT_PART: u32 = 4;
/// What the policies of `counting.cedar` count under.
const COUNTER: &str = "reads/1h";
/// Commits, one after the other, beside a round with one session.
const COMMITS: &str = "200";

/// Revocations, and as many labels.
const REVOCATIONS: &str = "200";
/// Checks a second of the replica that is to deny, which leave nothing behind.
const STEADY_RATE: u32 = 4_000;
/// For how long there are enough of them: longer than all revocations take.
const STEADY_S: u32 = 600;

/// Measures, and adds the figures.
///
/// # Errors
/// When a server does not start, a check is not allowed, or what is stored is not what was allowed.
pub fn measure(setting: &Setting, plan: &Plan, figures: &mut Figures) -> anyhow::Result<()> {
    figures.insert("stateful_load_average".to_owned(), load_average()?);
    let postgres = setting.postgres()?;
    counting(setting, plan, &postgres, figures)?;
    revocations(setting, &postgres, figures)
}

/// One replica, and what keeps its sessions.
struct Counting<'a> {
    setting: &'a Setting,
    postgres: &'a Postgres,
    server: &'a Server,
    /// The check, and beside it the sessions' handles and ids.
    frame: &'a str,
    /// Checks so far.
    sent: Cell<u32>,
}

/// What a round came to, in the client's view and in that of everybody's CPU time.
struct Counted {
    run: Run,
    postgres_cpu_us: f64,
    client_cpu_us: f64,
    checks_per_commit: f64,
}

/// A figure of a round.
type Figure = fn(&Counted) -> f64;

fn counting(setting: &Setting, plan: &Plan, postgres: &Postgres, figures: &mut Figures) -> anyhow::Result<()> {
    let server = setting.replica(postgres, "counting", &[])?;
    let frame = setting.prepare(&server, &server, "counting", &[POLICIES, &SESSIONS.to_string(), "counting"])?;
    let frame = frame.to_str().context("the target directory's path is not UTF-8")?;
    let counting = Counting { setting, postgres, server: &server, frame, sent: Cell::new(0) };
    let stored_before = counting.stored()?;

    // The first check of each session brings it into memory, and makes the row of its memory.
    record("new_", &[counting.round(SESSIONS, STREAMS, SESSIONS)?], figures);
    let rounds: Vec<Counted> =
        (0..plan.rounds).map(|_| counting.round(SESSIONS, STREAMS, plan.requests)).collect::<anyhow::Result<_>>()?;
    record("", &rounds, figures);

    counting.round(1, HOT_STREAMS, plan.requests / HOT_PART / 10)?;
    let mut commit_rates = Vec::new();
    let mut round = || {
        commit_rates.push(counting.commits_per_s()?);
        counting.round(1, HOT_STREAMS, plan.requests / HOT_PART)
    };
    let rounds: Vec<Counted> = (0..plan.rounds).map(|_| round()).collect::<anyhow::Result<_>>()?;
    record("hot_", &rounds, figures);
    figures.extend(median(commit_rates).map(|rate| ("stateful_sequential_commits_per_s".to_owned(), rounded(rate))));

    let stored = counting.stored()? - stored_before;
    let sent = f64::from(counting.sent.get());
    // Whole numbers, far below 2^52.
    if (stored - sent).abs() > 0.5 {
        bail!("{sent} checks were allowed, and the store has {stored} counts");
    }
    eprintln!("{sent} checks were sent, allowed and counted in the store");
    Ok(())
}

impl Counting<'_> {
    /// Checks of so many sessions in turn, all of which are allowed.
    fn round(&self, sessions: u32, streams: u32, checks: u32) -> anyhow::Result<Counted> {
        let handles = format!("{}.handles", self.frame);
        let numbers = [sessions, streams, self.sent.get(), checks].map(|number| number.to_string());
        let [sessions, streams, from, count] = numbers.each_ref().map(String::as_str);
        let arguments = [self.frame, &handles, sessions, streams, from, count];
        let (postgres, client, commits) =
            (cpu::of_family(self.postgres.id())?, cpu::of_ended_children()?, self.commits()?);
        let run = self.setting.load.program(self.server, "spread", &arguments, checks)?;
        self.sent.set(self.sent.get() + checks);
        let us_each = |ticks| cpu::us_each(ticks, checks);
        #[expect(clippy::cast_precision_loss, reason = "commits of one run are far below 2^52")]
        let commits = (self.commits()? - commits) as f64;
        Ok(Counted {
            run,
            client_cpu_us: us_each(cpu::of_ended_children()? - client)?,
            postgres_cpu_us: us_each(cpu::of_family(self.postgres.id())?.saturating_sub(postgres))?,
            checks_per_commit: f64::from(checks) / commits,
        })
    }

    /// Commits of the server so far.
    fn commits(&self) -> anyhow::Result<u64> {
        self.server.counted("chaperone_commit_duration_seconds_count", "")
    }

    /// What the counters of all sessions add up to in the store.
    fn stored(&self) -> anyhow::Result<f64> {
        self.memories("sum", COUNTER)?.figure("sum")
    }

    /// How many commits the store takes one after the other, each of one memory.
    fn commits_per_s(&self) -> anyhow::Result<f64> {
        self.memories("commits", COMMITS)?.figure("commits_per_s")
    }

    fn memories(&self, what: &str, argument: &str) -> anyhow::Result<Report> {
        let ids = format!("{}.ids", self.frame);
        self.setting.load.report("memories", &[&self.postgres.url(), what, &ids, argument])
    }
}

fn record(kind: &str, rounds: &[Counted], figures: &mut Figures) {
    let by_name: [(&str, Figure); 8] = [
        ("checks_per_s", |counted| counted.run.requests_per_s),
        ("cpu_us", |counted| counted.run.cpu_us),
        ("postgres_cpu_us", |counted| counted.postgres_cpu_us),
        ("client_cpu_us", |counted| counted.client_cpu_us),
        ("p50_us", |counted| counted.run.p50_us),
        ("p99_us", |counted| counted.run.p99_us),
        ("checks_per_commit", |counted| counted.checks_per_commit),
        ("commits_per_s", |counted| counted.run.requests_per_s / counted.checks_per_commit),
    ];
    for (name, figure) in by_name {
        let value = median(rounds.iter().map(figure).collect());
        figures.extend(value.map(|value| (format!("stateful_{kind}{name}"), rounded(value))));
    }
}

/// Two replicas: one is told, and the other one, under load, is to deny.
fn revocations(setting: &Setting, postgres: &Postgres, figures: &mut Figures) -> anyhow::Result<()> {
    let [near, far] = ["near", "far"].map(|name| setting.replica(postgres, name, &[]));
    let (near, far) = (near?, far?);
    let frame = setting.prepare(&near, &far, "labelling", &[POLICIES, "1", "labelling"])?;
    let mut load = Steady::start(setting, &far, &frame)?;
    let (allowed, began) = (far.allowed()?.unwrap_or_default(), Instant::now());
    let addresses = [admin_plane(&near)?, near.address, far.address].map(|address| address.to_string());
    let [admin, near_data, far_data] = addresses.each_ref().map(String::as_str);
    let report = setting.load.report("revocations", &[admin, near_data, far_data, REVOCATIONS])?;
    load.require_running()?;
    #[expect(clippy::cast_precision_loss, reason = "checks of one run are far below 2^52")]
    let checks = far.allowed()?.unwrap_or_default().saturating_sub(allowed) as f64;
    figures.insert("revocation_load_checks_per_s".to_owned(), rounded(checks / began.elapsed().as_secs_f64()));
    figures.extend(report.figures().map(|(name, value)| (name.to_owned(), rounded(value))));
    Ok(())
}

/// A steady load, until this is dropped.
struct Steady(Child);

impl Steady {
    fn start(setting: &Setting, server: &Server, frame: &Path) -> anyhow::Result<Self> {
        let mut paced = command(setting.load.binaries.join("paced"), &[&server.address.to_string()]);
        paced.arg(frame).args([STEADY_RATE, STEADY_RATE * STEADY_S].map(|number| number.to_string()));
        paced.stdin(Stdio::null()).stdout(Stdio::null());
        print(&paced);
        Ok(Self(paced.spawn().context("cannot run paced")?))
    }

    /// It ends at the first check that is not allowed.
    fn require_running(&mut self) -> anyhow::Result<()> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the steady load ended with {status}"),
        }
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What waited for a processor, over the last minute: absolute figures mean little where it is more than none.
fn load_average() -> anyhow::Result<f64> {
    let averages = fs::read_to_string("/proc/loadavg")?;
    let minute = averages.split_whitespace().next().and_then(|average| average.parse().ok());
    minute.context("/proc/loadavg has another form")
}
