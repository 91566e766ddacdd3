//! The servers that are measured.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::cpu;
use crate::command;

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long metrics may lag behind.
const COUNT_PATIENCE: Duration = Duration::from_secs(3);

/// A child that listens, and ends with this value.
pub struct Server {
    /// Where it answers.
    pub address: SocketAddr,
    /// Its other listeners, in the order in which they were asked for.
    pub further: Vec<SocketAddr>,
    name: String,
    child: Child,
}

/// Hands out free addresses.
#[derive(Default)]
pub struct Ports {
    held: Vec<TcpListener>,
}

impl Ports {
    /// A free address, as text.
    pub fn next_address(&mut self) -> String {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) {
            Ok(listener) => {
                let address = listener.local_addr().map(|address| address.to_string());
                // Held until all are chosen, so that none is chosen twice.
                self.held.push(listener);
                address.unwrap_or_default()
            }
            Err(_) => String::new(),
        }
    }
}

impl Server {
    /// Starts `binary` with arguments that name its addresses, and waits until the first of them answers.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(binary: &Path, arguments: impl FnOnce(&mut Ports) -> Vec<String>) -> anyhow::Result<Self> {
        let mut ports = Ports::default();
        let arguments = arguments(&mut ports);
        let addresses: Vec<SocketAddr> = ports.held.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        drop(ports);
        let (&address, further) = addresses.split_first().context("no free port")?;
        let mut command = Command::new(binary);
        command.args(&arguments).current_dir(command::root()).stdin(Stdio::null());
        command::print(&command);
        let child = command.spawn().with_context(|| format!("cannot run {}", binary.display()))?;
        let name = binary.file_name().unwrap_or_default().display().to_string();
        let mut server = Self { address, further: further.to_vec(), name, child };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{} ended with {status}", server.name);
            }
            if Instant::now() > deadline {
                bail!("{} does not listen on {address}", server.name);
            }
            sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// User and system time that it has used, in clock ticks.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_ticks(&self) -> anyhow::Result<u64> {
        cpu::of_process(self.child.id())
    }

    /// How much memory it has, in bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .with_context(|| format!("{} has ended", self.name))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let kibibytes: u64 = resident.context("/proc/PID/status has another form")?.parse()?;
        Ok(kibibytes * 1024)
    }

    /// How many checks were allowed so far, as its metrics count them; `None` of a server that has no third listener for them.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn allowed(&self) -> anyhow::Result<Option<u64>> {
        if self.further.get(1).is_none() {
            return Ok(None);
        }
        Ok(Some(self.counted("chaperone_decisions_total", "outcome=\"allow\"")?))
    }

    /// The sum of a metric over those of its series whose line contains `part`.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn counted(&self, metric: &str, part: &str) -> anyhow::Result<u64> {
        let http = self.further.get(1).context("it has no listener for metrics")?;
        let mut answer = String::new();
        let mut stream = TcpStream::connect(http)?;
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: {http}\r\nconnection: close\r\n\r\n")?;
        stream.read_to_string(&mut answer)?;
        let series = answer.lines().filter_map(|line| {
            let rest = line.strip_prefix(metric).filter(|rest| rest.starts_with(['{', ' ']) && rest.contains(part))?;
            rest.rsplit(' ').next()?.parse::<u64>().ok()
        });
        Ok(series.sum())
    }

    /// Waits until so many more checks were allowed than `before`.
    ///
    /// # Errors
    /// When that does not come to pass: then checks were answered, but not allowed.
    pub fn require_allowed(&self, before: Option<u64>, checks: u64) -> anyhow::Result<()> {
        let Some(before) = before else { return Ok(()) };
        let deadline = Instant::now() + COUNT_PATIENCE;
        loop {
            let allowed = self.allowed()?.unwrap_or_default().saturating_sub(before);
            if allowed == checks {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} was asked for {checks} checks and allowed {allowed}", self.name);
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
