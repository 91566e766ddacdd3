//! What a check costs with ever more sessions in memory, and with ever more policies.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::figures::{Round, median, rounded, shown};
use super::load::{CHECK, Requests};
use super::plot;
use super::rounds::CROWD;
use super::setting::Setting;
use super::{Figures, Plan};
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
    /// What is to be said below the table.
    pub note: String,
}

/// Measures both curves.
///
/// # Errors
/// When a server does not start, or a check is not allowed.
pub fn measure(setting: &Setting, plan: &Plan, figures: &mut Figures) -> anyhow::Result<Vec<Curve>> {
    Ok(vec![policies(setting, plan)?, sessions(setting, plan, figures)?])
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
    Ok(Curve { name: "policies", what: "policies", points, note: String::new() })
}

fn sessions(setting: &Setting, plan: &Plan, figures: &mut Figures) -> anyhow::Result<Curve> {
    let largest = plan.sessions_max;
    let (capacity, store) = ((largest + 10).to_string(), setting.fill_store(largest)?);
    let options = [
        // A file: what a store in memory holds would count as the sessions' memory.
        ("--store-url", store.url()),
        ("--sessions-cache-size", capacity),
        // Uses are written to the store in batches, which are the database's time, not a check's: not while this measures.
        ("--sessions-touch-interval", "1h".to_owned()),
    ];
    let options: Vec<_> = options.iter().map(|(option, value)| (*option, value.as_str())).collect();
    let chaperone = setting.chaperone(POLICIES, &options)?;
    let path = |path: &Path| path.to_str().map(str::to_owned).context("the target directory's path is not UTF-8");
    let (frame, handles) = (path(&chaperone.frame)?, path(&store.handles)?);
    let empty = chaperone.server.resident_bytes()?;
    let mut points = Vec::new();
    let sizes = std::iter::successors(Some(10_u32), |size| size.checked_mul(10)).take_while(|size| *size <= largest);
    for size in sizes {
        let run = |server, from: u32, checks: u32| {
            let numbers = [size, CROWD.1, from, checks].map(|number| number.to_string());
            let [size, streams, from, count] = numbers.each_ref().map(String::as_str);
            setting.load.program(server, "spread", &[&frame, &handles, size, streams, from, count], checks)
        };
        // Not counted: the first check of a session brings it into memory.
        let warm_up = size.max(plan.requests / 10);
        run(&chaperone.server, 0, warm_up)?;
        // Rounds go on where the one before ended: with many sessions, one round does not come to all of them.
        let mut from = warm_up;
        points.push(point(size, || {
            let floor = run(&setting.floor, from, plan.requests)?;
            let chaperone = run(&chaperone.server, from, plan.requests)?;
            from = from.wrapping_add(plan.requests);
            Ok(Round { floor, chaperone })
        })?);
    }
    let Some((last, ..)) = points.last() else { bail!("a curve over sessions begins at 10 of them") };
    let full = chaperone.server.resident_bytes()?;
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^52")]
    let each = full.saturating_sub(empty) as f64 / f64::from(*last);
    figures.insert("session_memory_bytes".to_owned(), rounded(each));
    let note = format!(
        "With {} sessions the process has {} MiB of memory, and without any {}: {each:.0} bytes a session.",
        docs::grouped(*last),
        full >> 20,
        empty >> 20
    );
    Ok(Curve { name: "sessions", what: "sessions in memory", points, note })
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
        if !self.note.is_empty() {
            let _ = writeln!(table, "\n{}", self.note);
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
