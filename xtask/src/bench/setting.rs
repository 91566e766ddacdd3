//! What is measured: the servers, and the checks that they are sent.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::load::Load;
use super::server::{Ports, Server};
use crate::Runtime;
use crate::command::{cargo, command, root, run, target};
use crate::db::Postgres;
use crate::tools;

/// The part of the checks that is traced. They bring no trace of their own, so that it is the server's choice.
const SAMPLE_RATIO: &str = "0.01";
/// The program's own crate keeps its symbols, which cost no time, so that what is profiled is what is measured. Given for this one package:
/// for the whole profile, it would have every dependency built again.
const WITH_SYMBOLS: &str = "profile.release.package.chaperone-server.strip=\"none\"";
/// What is wrong, but not that many sessions wait for the one connection of the embedded store while they are loaded at once.
const LOG_FILTER: &str = "warn,sqlx=error";
/// Callers that ask directly, each with a session of its own.
pub const CALLERS: u32 = 8;
/// A machine that is busy for a second is no outage of the store.
const MAX_STALENESS: &str = "30s";
/// The same for one call of the store.
const STORE_TIMEOUT: &str = "10s";

/// The servers beside Chaperone, and what starts it.
pub struct Setting {
    /// What sends.
    pub load: Load,
    /// The server that does nothing.
    pub floor: Server,
    runtime: Runtime,
    directory: PathBuf,
    sink: Server,
}

/// A Chaperone with the bench bundle and an open session.
pub struct Prepared {
    /// The server.
    pub server: Server,
    /// A framed check that it allows.
    pub frame: PathBuf,
}

/// An embedded store's file, and the handles of its sessions. Both are removed when this is dropped.
pub struct FilledStore {
    file: PathBuf,
    /// The handles, one a line.
    pub handles: PathBuf,
}

impl Setting {
    /// Builds all programs, and starts the servers that need no preparation.
    ///
    /// # Errors
    /// When something is missing, or cannot be built or started.
    pub fn build(runtime: Runtime) -> anyhow::Result<Self> {
        let h2load = tools::h2load()?;
        run(cargo(&["build", "--release", "--workspace", "--bins", "--config", WITH_SYMBOLS]))?;
        let binaries = target().join("release");
        let directory = target().join("bench");
        fs::create_dir_all(&directory)?;
        let sink = Server::start(&binaries.join("sink"), |ports| vec![ports.next_address()])?;
        let floor = Server::start(&binaries.join("floor"), |ports| vec![ports.next_address()])?;
        let load = Load { h2load, log: directory.join("h2load.log"), binaries };
        Ok(Self { load, floor, runtime, directory, sink })
    }

    /// Where the bench keeps its files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts a Chaperone and gives it `policies` policies. `options` go to `chaperone serve`, before those that it has otherwise.
    ///
    /// # Errors
    /// When it does not start, or does not come to allow the check.
    pub fn chaperone(&self, policies: u32, options: &[(&str, &str)]) -> anyhow::Result<Prepared> {
        let server = self.serve(options)?;
        let arguments = [policies, CALLERS].map(|number| number.to_string());
        let arguments = arguments.each_ref().map(String::as_str);
        let frame = self.prepare(&server, &server, &format!("check-{policies}"), &arguments)?;
        Ok(Prepared { server, frame })
    }

    /// Starts a Chaperone, which has no bundle unless its store has one. `options` as in [`Setting::chaperone`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn serve(&self, options: &[(&str, &str)]) -> anyhow::Result<Server> {
        let arguments = |ports: &mut Ports| chaperone_arguments(self.runtime, self.sink.address, options, ports);
        Server::start(&self.load.binaries.join("chaperone"), arguments)
    }

    /// Pushes a bundle and opens sessions, as `frame` takes it from `arguments`, at one replica's admin plane. Returns where the check is that
    /// the other one allows.
    ///
    /// # Errors
    /// When it does not come to allow it.
    pub fn prepare(&self, told: &Server, asked: &Server, name: &str, arguments: &[&str]) -> anyhow::Result<PathBuf> {
        let frame = self.directory.join(format!("{name}.frame"));
        let mut program =
            command(self.load.binaries.join("frame"), &[&admin_plane(told)?.to_string(), &asked.address.to_string()]);
        program.arg(&frame).args(arguments);
        run(program)?;
        Ok(frame)
    }

    /// Starts a Postgres of the bench's own, and makes Chaperone's tables.
    ///
    /// # Errors
    /// When it does not start.
    pub fn postgres(&self) -> anyhow::Result<Postgres> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let postgres = Postgres::start(self.directory.join("postgres"), port)?;
        run(command(self.load.binaries.join("chaperone"), &["migrate", "--store-url", &postgres.url()]))?;
        Ok(postgres)
    }

    /// Starts a Chaperone of this name over Postgres, with an empty journal. `options` as in [`Setting::chaperone`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn replica(&self, postgres: &Postgres, name: &str, options: &[(&str, &str)]) -> anyhow::Result<Server> {
        let directory = self.directory.join(format!("trail-{name}"));
        // Of an earlier bench.
        let _ = fs::remove_dir_all(&directory);
        let (url, journal) = (postgres.url(), directory.display().to_string());
        let stored = [("--store-url", url.as_str()), ("--store-timeout", STORE_TIMEOUT), ("--trail-dir", &journal)];
        self.serve(&[&stored, options].concat())
    }

    /// Makes a store with so many sessions.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn fill_store(&self, count: u32) -> anyhow::Result<FilledStore> {
        let [file, handles] = ["sessions.db", "sessions.handles"].map(|name| self.directory.join(name));
        let store = FilledStore { file, handles };
        // Of a bench that was interrupted.
        store.remove();
        let mut sessions = command(self.load.binaries.join("sessions"), &[]);
        sessions.arg(&store.file).arg(&store.handles).arg(count.to_string());
        run(sessions)?;
        Ok(store)
    }
}

impl FilledStore {
    /// As `--store-url` takes it.
    pub fn url(&self) -> String {
        format!("embedded:{}", self.file.display())
    }

    /// Whatever is there; a store in use has two files more.
    fn remove(&self) {
        for ending in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{ending}", self.file.display()));
        }
        let _ = fs::remove_dir_all(format!("{}-trail", self.file.display()));
        let _ = fs::remove_file(&self.handles);
    }
}

impl Drop for FilledStore {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Prepared {
    /// The file beside the frame with this ending.
    pub fn beside(&self, ending: &str) -> PathBuf {
        PathBuf::from(format!("{}.{ending}", self.frame.display()))
    }
}

/// Where a Chaperone is administered.
///
/// # Errors
/// When the server is none.
pub fn admin_plane(server: &Server) -> anyhow::Result<SocketAddr> {
    server.further.first().copied().context("Chaperone has an admin plane")
}

/// `chaperone serve` with the embedded store in memory, unless the options say otherwise, so that its CPU time is its own and no database's
/// client's; with traces on.
fn chaperone_arguments(runtime: Runtime, sink: SocketAddr, options: &[(&str, &str)], ports: &mut Ports) -> Vec<String> {
    let (data, admin, http) = (ports.next_address(), ports.next_address(), ports.next_address());
    let token_file = root().join("tests/fixtures/admin-token").display().to_string();
    let traces = format!("http://{sink}");
    let pairs = [
        ("--store-url", "embedded::memory:"),
        ("--data-listen", &data),
        ("--admin-listen", &admin),
        ("--http-listen", &http),
        ("--admin-token-file", &token_file),
        ("--telemetry-otlp-endpoint", &traces),
        ("--telemetry-sample-ratio", SAMPLE_RATIO),
        ("--feed-max-staleness", MAX_STALENESS),
        ("--data-runtime", runtime.as_str()),
        ("--log-filter", LOG_FILTER),
        // What it costs is measured by itself; the floor has none.
        ("--trail-ack", "off"),
    ];
    let otherwise = pairs.iter().filter(|(name, _)| options.iter().all(|(option, _)| option != name));
    let pairs = options.iter().chain(otherwise);
    let pairs = pairs.flat_map(|(option, value)| [(*option).to_owned(), (*value).to_owned()]);
    std::iter::once("serve".to_owned()).chain(pairs).collect()
}
