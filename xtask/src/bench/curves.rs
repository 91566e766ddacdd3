//! What a check costs with ever more sessions in memory, and with ever more policies.

use std::fmt::Write as _;
use std::fs;

use anyhow::Context as _;

use super::Plan;
use super::figures::{Round, median, shown};
use super::load::{CHECK, Requests};
use super::plot;
use super::rounds::CROWD;
use super::setting::Setting;
use crate::docs;

/// Policies of the bundle while sessions grow.
const POLICIES: u32 = 100;
/// The sizes of the bundles.
const POLICY_COUNTS: [u32; 4] = [10, 100, 1_000, 10_000];
/// Rounds for each point.
const ROUNDS: usize = 3;

/// One curve.
pub struct Curve {
    /// What the section in the documentation and the plot's file are called.
    pub name: &'static str,
    /// What grows.
    pub what: &'static str,
    /// For each size the medians of both servers, in microseconds of CPU: the floor's, then Chaperone's.
    pub points: Vec<(u32, f64, f64)>,
}

/// Measures both curves.
///
/// # Errors
/// When a server does not start, or a check is not allowed.
pub fn measure(setting: &Setting, plan: &Plan) -> anyhow::Result<Vec<Curve>> {
    Ok(vec![policies(setting, plan)?, sessions(setting, plan)?])
}

fn policies(setting: &Setting, plan: &Plan) -> anyhow::Result<Curve> {
    let mut points = Vec::new();
    for count in POLICY_COUNTS {
        let chaperone = setting.chaperone(count, &[])?;
        let (connections, streams) = CROWD;
        let requests =
            |count| Requests { path: CHECK, frame: &chaperone.frame, connections, streams, count, checks_each: 1 };
        setting.load.run(&chaperone.server, requests(plan.requests / 10))?;
        points.push(point(count, || {
            let floor = setting.load.run(&setting.floor, requests(plan.requests))?;
            Ok(Round { floor, chaperone: setting.load.run(&chaperone.server, requests(plan.requests))? })
        })?);
    }
    Ok(Curve { name: "policies", what: "policies", points })
}

fn sessions(setting: &Setting, plan: &Plan) -> anyhow::Result<Curve> {
    let largest = plan.sessions_max;
    let capacity = (largest + 10).to_string();
    // Uses are written to the store in batches, which are the database's time, not a check's: not while this measures.
    let options = [("--sessions-cache-size", capacity.as_str()), ("--sessions-touch-interval", "1h")];
    let chaperone = setting.chaperone(POLICIES, &options)?;
    let handles = setting.open_sessions(&chaperone.server, largest)?;
    let [frame, handles] =
        [&chaperone.frame, &handles].map(|path| path.to_str().context("the target directory's path is not UTF-8"));
    let (frame, handles) = (frame?, handles?);
    let mut points = Vec::new();
    let sizes = std::iter::successors(Some(10_u32), |size| size.checked_mul(10)).take_while(|size| *size <= largest);
    for size in sizes {
        let run = |server, checks: u32| {
            let arguments = [frame, handles, &size.to_string(), &checks.to_string()];
            setting.load.program(server, "spread", &arguments, checks)
        };
        // Not counted: the first check of a session brings it into memory.
        run(&chaperone.server, size.max(plan.requests / 10))?;
        points.push(point(size, || {
            let floor = run(&setting.floor, plan.requests)?;
            Ok(Round { floor, chaperone: run(&chaperone.server, plan.requests)? })
        })?);
    }
    Ok(Curve { name: "sessions", what: "sessions in memory", points })
}

fn point(size: u32, mut round: impl FnMut() -> anyhow::Result<Round>) -> anyhow::Result<(u32, f64, f64)> {
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| round()).collect::<anyhow::Result<_>>()?;
    let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect()).context("there are rounds");
    Ok((size, of(|round| round.floor.cpu_us)?, of(|round| round.chaperone.cpu_us)?))
}

impl Curve {
    /// In Markdown.
    pub fn table(&self) -> String {
        let mut table =
            format!("| {} | CPU a check, µs | the floor's, µs | ratio |\n| --- | --- | --- | --- |\n", self.what);
        for (size, floor, chaperone) in &self.points {
            let cells = [chaperone, floor, &(chaperone / floor)].map(|value| shown(*value));
            // Writing to a String cannot fail.
            let _ = writeln!(table, "| {} | {} |", docs::grouped(*size), cells.join(" | "));
        }
        table
    }

    /// As a plot, in the documentation.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn draw(&self) -> anyhow::Result<()> {
        let path = docs::performance(&format!("{}.svg", self.name))?;
        fs::write(&path, plot::svg(self)?)?;
        eprintln!("wrote {}", path.display());
        Ok(())
    }
}
