//! The load: h2load, which is neither server's own client, and programs of ours for what it cannot send.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::cpu;
use super::server::Server;
use crate::command::{command, output};

/// Where Envoy asks.
pub const CHECK: &str = "envoy.service.auth.v3.Authorization/Check";
/// Where direct callers ask several things at once.
pub const CHECK_BATCH: &str = "chaperone.v1.DecisionService/CheckBatch";

/// What sends.
pub struct Load {
    /// The program.
    pub h2load: PathBuf,
    /// Where it writes a line for each request.
    pub log: PathBuf,
    /// Where our own programs are.
    pub binaries: PathBuf,
}

/// Requests that h2load sends.
#[derive(Clone, Copy, Debug)]
pub struct Requests<'a> {
    /// The method's path, without the slash before it.
    pub path: &'a str,
    /// The framed message.
    pub frame: &'a Path,
    /// Connections.
    pub connections: u32,
    /// Streams that each of them keeps busy.
    pub streams: u32,
    /// How many.
    pub count: u32,
    /// How many checks each of them asks for.
    pub checks_each: u32,
}

/// What one run of one server came to.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// CPU time of the server for a check, in microseconds.
    pub cpu_us: f64,
    /// Checks a second.
    pub requests_per_s: f64,
    /// The median latency of a request, in microseconds.
    pub p50_us: f64,
    /// The 99th percentile, in microseconds.
    pub p99_us: f64,
}

/// What one of our own programs says at its end.
pub struct Report {
    program: String,
    figures: Value,
}

impl Report {
    /// What a program printed, of which the last line counts.
    ///
    /// # Errors
    /// When that is no JSON.
    pub fn parse(program: &str, printed: &str) -> anyhow::Result<Self> {
        let line = printed.lines().last().and_then(|line| serde_json::from_str(line).ok());
        let figures = line.with_context(|| format!("`{program}` reports in one line of JSON, not:\n{printed}"))?;
        Ok(Self { program: program.to_owned(), figures })
    }

    /// One of its figures.
    ///
    /// # Errors
    /// When it has none of this name.
    pub fn figure(&self, key: &str) -> anyhow::Result<f64> {
        let figure = self.figures.get(key).and_then(Value::as_f64);
        figure.with_context(|| format!("`{}` does not report `{key}`", self.program))
    }

    /// All of its figures.
    pub fn figures(&self) -> impl Iterator<Item = (&str, f64)> {
        let all = self.figures.as_object().into_iter().flatten();
        all.filter_map(|(name, value)| Some((name.as_str(), value.as_f64()?)))
    }
}

impl Load {
    /// Sends requests with h2load.
    ///
    /// # Errors
    /// When one is not answered with success, or a check is not allowed.
    pub fn run(&self, server: &Server, requests: Requests<'_>) -> anyhow::Result<Run> {
        let uri = format!("http://{}/{}", server.address, requests.path);
        let [count, connections, streams] =
            [requests.count, requests.connections, requests.streams].map(|number| number.to_string());
        let mut h2load = command(&self.h2load, &["-n", &count, "-c", &connections, "-m", &streams, "-t", "1"]);
        h2load.args(["-H", "content-type: application/grpc", "-H", "te: trailers", "-H", "grpc-timeout: 10S"]);
        h2load.arg("-d").arg(requests.frame).arg("--log-file").arg(&self.log).arg(uri);
        // h2load appends.
        let _ = fs::remove_file(&self.log);
        let began = Instant::now();
        let (printed, cpu_us) = accounted(server, h2load, requests.count * requests.checks_each)?;
        let elapsed = began.elapsed();
        if !printed.contains(&format!("{count} succeeded, 0 failed, 0 errored, 0 timeout")) {
            bail!("not every request was answered:\n{printed}");
        }
        let mut latencies = self.latencies_us()?;
        latencies.sort_unstable();
        let percentile = |percent: usize| {
            let place = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
            latencies.get(place).copied().map(f64::from).context("h2load logged no request")
        };
        Ok(Run {
            cpu_us,
            requests_per_s: f64::from(requests.count * requests.checks_each) / elapsed.as_secs_f64(),
            p50_us: percentile(50)?,
            p99_us: percentile(99)?,
        })
    }

    /// Runs one of our own programs, whose first argument is the data plane's address, and which prints what came of it.
    ///
    /// # Errors
    /// When it is missing or fails, or a check is not allowed.
    pub fn program(&self, server: &Server, name: &str, arguments: &[&str], checks: u32) -> anyhow::Result<Run> {
        let program = self.binaries.join(name);
        if !program.is_file() {
            bail!("there is no program `{name}` in {}: it is one of tests/src/bin", self.binaries.display());
        }
        let mut program = command(program, &[&server.address.to_string()]);
        program.args(arguments);
        let (printed, cpu_us) = accounted(server, program, checks)?;
        let report = Report::parse(name, &printed)?;
        Ok(Run {
            cpu_us,
            requests_per_s: f64::from(checks) / report.figure("elapsed_s")?,
            p50_us: report.figure("p50_us")?,
            p99_us: report.figure("p99_us")?,
        })
    }

    /// Runs one of our own programs that is no load of one server.
    ///
    /// # Errors
    /// When it fails.
    pub fn report(&self, name: &str, arguments: &[&str]) -> anyhow::Result<Report> {
        Report::parse(name, &output(command(self.binaries.join(name), arguments))?)
    }

    /// Each line is start, HTTP status and duration in microseconds.
    fn latencies_us(&self) -> anyhow::Result<Vec<u32>> {
        let log = fs::read_to_string(&self.log).context("h2load wrote no log")?;
        Ok(log.lines().filter_map(|line| line.split('\t').nth(2)?.trim().parse().ok()).collect())
    }
}

/// Runs a client; returns what it printed, and the server's CPU time for each of `checks` in microseconds. The client's is not in it.
fn accounted(server: &Server, client: Command, checks: u32) -> anyhow::Result<(String, f64)> {
    let (allowed, ticks_before) = (server.allowed()?, server.cpu_ticks()?);
    let printed = output(client)?;
    let ticks = server.cpu_ticks()? - ticks_before;
    server.require_allowed(allowed, checks.into())?;
    Ok((printed, cpu::us_each(ticks, checks)?))
}
