//! A real `chaperone serve` process.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus};

use tempfile::TempDir;
use tonic::transport::Channel;

use crate::admin::Admin;
use crate::client::{self, Request};
use crate::process::{Process, Signal};
use crate::{binaries, ports, wait};

/// What opens the admin plane of every test's Chaperone.
pub const ADMIN_TOKEN: &str = "end-to-end-admin-token-0123456789";

/// A running replica.
pub struct Chaperone {
    /// The data plane.
    pub data: SocketAddr,
    /// The admin plane.
    pub admin: SocketAddr,
    /// The HTTP door.
    pub http: SocketAddr,
    process: Process,
    /// Where it keeps its journal, unless its options say otherwise.
    journal: TempDir,
}

impl Chaperone {
    /// Starts a replica on this store with these further options, without waiting for anything.
    pub fn spawn(store_url: &str, options: &[&str]) -> Self {
        Self::spawn_at(store_url, options, [ports::free(), ports::free(), ports::free()])
    }

    /// As [`Self::spawn`], with the addresses of data plane, admin plane and HTTP door.
    pub fn spawn_at(store_url: &str, options: &[&str], [data, admin, http]: [SocketAddr; 3]) -> Self {
        let mut command = command();
        command
            .args(["serve", "--store-url", store_url])
            .args(["--data-listen", &data.to_string(), "--admin-listen", &admin.to_string()])
            .args(["--http-listen", &http.to_string(), "--log-format", "json"])
            .args(["--admin-token-file", &admin_token_file()])
            .args(options);
        Self::spawn_command(&mut command, [data, admin, http])
    }

    /// Runs a command that serves on these addresses: data plane, admin plane, HTTP door.
    pub fn spawn_command(command: &mut Command, [data, admin, http]: [SocketAddr; 3]) -> Self {
        let journal = tempfile::Builder::new().prefix("chaperone-e2e-trail-").tempdir().expect("a directory");
        command.env("CHAPERONE_TRAIL_DIR", journal.path());
        Self { data, admin, http, process: Process::spawn("chaperone", command), journal }
    }

    /// Where it keeps its journal, unless its options say otherwise.
    pub fn journal(&self) -> &Path {
        self.journal.path()
    }

    /// Starts a replica and waits until it is alive. It may have no bundle yet, and so not be ready.
    pub async fn start(store_url: &str, options: &[&str]) -> Self {
        let mut replica = Self::spawn(store_url, options);
        replica.alive().await;
        replica
    }

    /// Waits until the process answers.
    pub async fn alive(&mut self) {
        let address = self.http;
        let process = &mut self.process;
        wait::until("Chaperone is alive", async || {
            process.assert_running();
            (Request::get("/livez").send(address).await.status == 200).then_some(())
        })
        .await;
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&mut self) {
        let address = self.http;
        let process = &mut self.process;
        wait::until("Chaperone is ready", async || {
            process.assert_running();
            (Request::get("/readyz").send(address).await.status == 200).then_some(())
        })
        .await;
    }

    /// The status of `/readyz` now.
    pub async fn readiness(&self) -> u16 {
        Request::get("/readyz").send(self.http).await.status
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> String {
        Request::get("/metrics").send(self.http).await.text()
    }

    /// A connection to the data plane.
    pub async fn data_channel(&self) -> Channel {
        client::channel(self.data).await
    }

    /// A client of the admin plane.
    pub async fn administer(&self) -> Admin {
        Admin::connect(self.admin, ADMIN_TOKEN).await
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process.signal(Signal::Terminate);
        self.process.ended().await
    }
}

/// The binary, with nothing of the surroundings' configuration.
pub fn command() -> Command {
    let mut command = Command::new(binaries::chaperone());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHAPERONE_") {
            command.env_remove(&name);
        }
    }
    // Some environments send loopback through a proxy.
    command.env("NO_PROXY", "127.0.0.1,localhost").env("NO_COLOR", "1");
    command
}

/// Applies the migrations to a database.
pub fn migrate(store_url: &str) {
    let output = command().args(["migrate", "--store-url", store_url]).output().expect("chaperone runs");
    assert!(output.status.success(), "chaperone migrate failed: {}", String::from_utf8_lossy(&output.stderr));
}

/// Where the admin token lies, for commands that take a file.
pub fn admin_token_file() -> String {
    let path = binaries::repository().join("tests/fixtures/admin-token");
    debug_assert_eq!(fs::read_to_string(&path).unwrap_or_default().trim(), ADMIN_TOKEN, "the fixture holds the token");
    path.to_str().expect("a path in UTF-8").to_owned()
}
