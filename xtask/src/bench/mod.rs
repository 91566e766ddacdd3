//! Chaperone against a server that does nothing, in turn, with the same check; the decision core by itself; checks that leave something
//! behind; what the trail costs; what callers notice of bundles that change; and what the decoders cost.
//!
//! Absolute times depend on the machine and on what else it does. CPU time from the processes' own accounting and the ratios of a round, whose
//! runs follow each other at once, are the steady figures.

mod activations;
mod cpu;
mod criterion;
mod curves;
mod decoders;
mod figures;
mod load;
mod plot;
mod replay;
mod rounds;
mod server;
mod setting;
mod stateful;
mod trail;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;

use self::curves::Curve;
use self::load::Report;
use crate::command::{cargo, output, run as run_command, target};
use crate::{Runtime, docs};

pub use self::load::{CHECK, Requests};
pub use self::rounds::CROWD;
pub use self::setting::Setting;

/// Figures by their names, of which the last part is the unit.
type Figures = BTreeMap<String, f64>;

/// A part of what can be measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Part {
    /// Decisions, and checks that leave nothing behind.
    Checks,
    /// Checks that leave something behind, and how soon other replicas know of revocations and labels.
    Stateful,
    /// What the trail costs.
    Trail,
    /// What callers notice of bundles that are activated and rolled back.
    Activations,
    /// What it costs to tell what a statement, a command line or a message would do.
    Decoders,
}

/// What to measure.
pub struct Plan {
    /// Where the figures go as JSON.
    pub json: Option<PathBuf>,
    /// How Chaperone's threads share the work.
    pub runtime: Runtime,
    /// Rounds, of which the medians are taken.
    pub rounds: usize,
    /// Requests a round.
    pub requests: u32,
    /// The one part to measure; all of them where none is named.
    pub only: Option<Part>,
    /// Whether to measure the curves, too.
    pub curves: bool,
    /// Whether to write what was measured into the documentation.
    pub docs: bool,
    /// Where the curve over sessions ends.
    pub sessions_max: u32,
}

impl Plan {
    /// Whether this part is measured.
    fn has(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

/// Measures and prints.
///
/// # Errors
/// When something cannot be built or started, or a check is not allowed.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let mut figures = Figures::new();
    let mut curves = Vec::new();
    if plan.has(Part::Checks) {
        // The whole workspace, as it is built below: another selection has other features, and rebuilds Cedar.
        run_command(cargo(&["bench", "--workspace", "--bench", "decide"]))?;
        let printed = output(cargo(&["bench", "--workspace", "--bench", "alternating"]))?;
        criterion::record(&target().join("criterion"), &Report::parse("alternating", &printed)?, &mut figures)?;
    }
    if plan.has(Part::Decoders) {
        decoders::measure(&mut figures)?;
    }
    if plan.only != Some(Part::Decoders) {
        measure_servers(plan, &mut figures, &mut curves)?;
    }

    figures::print(&figures);
    if plan.has(Part::Decoders) {
        println!("\n{}", figures::decoders_targets(&figures));
    }
    for curve in &curves {
        println!("\n{}", curve.table());
    }
    if let Some(path) = &plan.json {
        fs::write(path, format!("{}\n", serde_json::to_string_pretty(&figures)?))?;
    }
    if plan.docs {
        write_docs(plan, &figures, &curves)?;
    }
    Ok(())
}

/// What is measured of servers.
fn measure_servers(plan: &Plan, figures: &mut Figures, curves: &mut Vec<Curve>) -> anyhow::Result<()> {
    let setting = Setting::build(plan.runtime)?;
    if plan.has(Part::Checks) {
        rounds::measure(&setting, plan, figures)?;
        if plan.curves {
            *curves = curves::measure(&setting, plan, figures)?;
        }
    }
    if plan.has(Part::Stateful) {
        stateful::measure(&setting, plan, figures)?;
    }
    if plan.has(Part::Trail) {
        trail::measure(&setting, plan, figures)?;
    }
    if plan.has(Part::Activations) {
        activations::measure(&setting, figures)?;
    }
    Ok(())
}

/// The tables and plots of what was measured.
fn write_docs(plan: &Plan, figures: &Figures, curves: &[Curve]) -> anyhow::Result<()> {
    if plan.has(Part::Stateful) {
        docs::replace("stateful", &figures::stateful_table(figures))?;
    }
    if plan.has(Part::Trail) {
        docs::replace("trail", &figures::trail_table(figures))?;
    }
    if plan.has(Part::Activations) {
        docs::replace("activations", &figures::activations_table(figures))?;
    }
    if plan.has(Part::Decoders) {
        docs::replace("decoders", &figures::decoders_table(figures))?;
    }
    if !plan.has(Part::Checks) {
        return Ok(());
    }
    docs::replace("figures", &figures::table(figures))?;
    docs::replace("decide", &criterion::table(figures))?;
    for curve in curves {
        docs::replace(curve.name, &curve.table())?;
        curve.draw()?;
    }
    docs::replace("machine", &docs::machine()?)
}
