//! The load: h2load, which is neither server's own client.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, bail};

use super::server::Server;
use crate::command::{command, output};

/// What a run needs.
pub struct Load {
    /// The program.
    pub h2load: PathBuf,
    /// The framed check.
    pub frame: PathBuf,
    /// Where it writes a line for each request.
    pub log: PathBuf,
}

/// What one run of one server came to.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// CPU time of the server for a request, in microseconds.
    pub cpu_us: f64,
    /// Requests a second.
    pub requests_per_s: f64,
    /// The median latency, in microseconds.
    pub p50_us: f64,
    /// The 99th percentile, in microseconds.
    pub p99_us: f64,
}

impl Load {
    /// Sends so many requests.
    ///
    /// # Errors
    /// When one is not answered with success.
    pub fn run(&self, server: &Server, connections: u32, streams: u32, requests: u32) -> anyhow::Result<Run> {
        let uri = format!("http://{}/envoy.service.auth.v3.Authorization/Check", server.address);
        let (requests_text, connections, streams) =
            (requests.to_string(), connections.to_string(), streams.to_string());
        let mut h2load = command(&self.h2load, &["-n", &requests_text, "-c", &connections, "-m", &streams, "-t", "1"]);
        h2load.args(["-H", "content-type: application/grpc", "-H", "te: trailers", "-H", "grpc-timeout: 250m"]);
        h2load.arg("-d").arg(&self.frame).arg("--log-file").arg(&self.log).arg(uri);
        // h2load appends.
        let _ = fs::remove_file(&self.log);
        let (ticks_before, started) = (server.cpu_ticks()?, Instant::now());
        let printed = output(h2load)?;
        let (elapsed, ticks) = (started.elapsed(), server.cpu_ticks()? - ticks_before);
        if !printed.contains(&format!("{requests} succeeded, 0 failed, 0 errored, 0 timeout")) {
            bail!("not every check was answered:\n{printed}");
        }
        let mut latencies = self.latencies_us()?;
        latencies.sort_unstable();
        let percentile = |percent: usize| {
            let place = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
            latencies.get(place).copied().map(f64::from).context("h2load logged no request")
        };
        let requests = f64::from(requests);
        #[expect(clippy::cast_precision_loss, reason = "ticks of one run are far below 2^52")]
        let cpu_s = ticks as f64 / ticks_per_second()?;
        Ok(Run {
            cpu_us: cpu_s * 1e6 / requests,
            requests_per_s: requests / elapsed.as_secs_f64(),
            p50_us: percentile(50)?,
            p99_us: percentile(99)?,
        })
    }

    /// Each line is start, HTTP status and duration in microseconds.
    fn latencies_us(&self) -> anyhow::Result<Vec<u32>> {
        let log = fs::read_to_string(&self.log).context("h2load wrote no log")?;
        Ok(log.lines().filter_map(|line| line.split('\t').nth(2)?.trim().parse().ok()).collect())
    }
}

fn ticks_per_second() -> anyhow::Result<f64> {
    static TICKS: std::sync::OnceLock<f64> = std::sync::OnceLock::new();
    if let Some(ticks) = TICKS.get() {
        return Ok(*ticks);
    }
    let ticks = output(command("getconf", &["CLK_TCK"]))?.trim().parse().context("getconf CLK_TCK is a number")?;
    Ok(*TICKS.get_or_init(|| ticks))
}
