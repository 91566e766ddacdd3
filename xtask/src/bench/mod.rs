//! Chaperone against a server that does nothing, in turn, with the same check; and the decision core by itself.
//!
//! Absolute times depend on the machine and on what else it does. CPU time from the processes' own accounting and the ratios of a round, whose
//! two halves follow each other at once, are the steady figures.

mod criterion;
mod figures;
mod load;
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use self::figures::{Measured, median};
use self::load::Load;
use self::server::Server;
use crate::Runtime;
use crate::command::{cargo, command, run as run_command, target};
use crate::tools;

/// Connections, and streams on each, that the load keeps busy.
const CROWD: (u32, u32) = (8, 32);
/// Requests, one after the other on one connection, of a round.
const LONE_REQUESTS: u32 = 5_000;

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
}

/// Measures and prints.
///
/// # Errors
/// When something cannot be built or started, or a check is not answered with success.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let h2load = tools::h2load()?;
    run_command(cargo(&["build", "--release", "--workspace", "--bins"]))?;
    let binaries = target().join("release");
    let directory = target().join("bench");
    fs::create_dir_all(&directory)?;
    let frame = directory.join("check.frame");

    let sink = Server::start(&binaries.join("sink"), |ports| vec![ports.next_address()])?;
    let floor = Server::start(&binaries.join("floor"), |ports| vec![ports.next_address()])?;
    let chaperone =
        Server::start(&binaries.join("chaperone"), |ports| chaperone_arguments(plan.runtime, sink.address, ports))?;
    let admin = chaperone.further.first().context("Chaperone has an admin plane")?;
    let place = frame.to_str().context("the target directory's path is not UTF-8")?;
    run_command(command(binaries.join("frame"), &[&admin.to_string(), &chaperone.address.to_string(), place]))?;

    let load = Load { h2load, frame, log: directory.join("h2load.log") };
    let mut figures = BTreeMap::new();
    measure(&load, CROWD, plan.requests, plan.rounds, [&floor, &chaperone])?.record("", &mut figures);
    measure(&load, (1, 1), LONE_REQUESTS, plan.rounds, [&floor, &chaperone])?.record("lone_", &mut figures);
    // The whole workspace, as it was built: another selection has other features, and rebuilds Cedar.
    run_command(cargo(&["bench", "--workspace", "--bench", "decide"]))?;
    criterion::record(&target().join("criterion"), &mut figures)?;

    figures::print(&figures);
    if let Some(path) = &plan.json {
        fs::write(path, format!("{}\n", serde_json::to_string_pretty(&figures)?))?;
    }
    Ok(())
}

/// `chaperone serve` with the embedded store in memory, so that its CPU time is its own and no database's client's; with traces on.
fn chaperone_arguments(runtime: Runtime, sink: std::net::SocketAddr, ports: &mut server::Ports) -> Vec<String> {
    let (data, admin, http) = (ports.next_address(), ports.next_address(), ports.next_address());
    let token_file = crate::command::root().join("tests/fixtures/admin-token");
    let runtime = match runtime {
        Runtime::Shared => "shared",
        Runtime::PerCore => "per-core",
    };
    let traces = format!("http://{sink}");
    let token_file = token_file.display().to_string();
    let pairs = [
        ("--store-url", "embedded::memory:"),
        ("--data-listen", &data),
        ("--admin-listen", &admin),
        ("--http-listen", &http),
        ("--admin-token-file", &token_file),
        ("--telemetry-otlp-endpoint", &traces),
        ("--data-runtime", runtime),
        ("--log-filter", "warn"),
    ];
    let pairs = pairs.iter().flat_map(|(option, value)| [(*option).to_owned(), (*value).to_owned()]);
    std::iter::once("serve".to_owned()).chain(pairs).collect()
}

/// Floor and Chaperone in turn.
fn measure(
    load: &Load,
    (connections, streams): (u32, u32),
    requests: u32,
    rounds: usize,
    servers: [&Server; 2],
) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    for server in servers {
        // Not counted: connections, allocator and caches warm up.
        load.run(server, connections, streams, requests / 10)?;
    }
    for _ in 0..rounds {
        let [floor, chaperone] = servers.map(|server| load.run(server, connections, streams, requests));
        measured.push(floor?, chaperone?);
    }
    let ratio = median(measured.cpu_ratios()).unwrap_or_default();
    eprintln!("{connections} connections with {streams} streams: {ratio:.2} times the floor's CPU");
    Ok(measured)
}
