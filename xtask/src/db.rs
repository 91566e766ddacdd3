//! A Postgres: for development, in the foreground, kept in the system's temporary directory; or a bench's own. Open to this machine's users.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::command::{command, print, run};
use crate::tools;

/// How long it may take to accept connections.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs it until it is interrupted.
///
/// # Errors
/// When there is no Postgres and it cannot be installed, or it does not start.
pub fn run_postgres(port: u16) -> anyhow::Result<()> {
    let programs = Programs::find()?;
    let directory = std::env::temp_dir().join(format!("chaperone-db-{port}"));
    let data = programs.initialise(&directory)?;
    eprintln!("{}", url(port));
    run(programs.server(&data, port))
}

/// A server with Postgres's own defaults: what is committed is on disk. It ends, and its data goes, when this is dropped.
pub struct Postgres {
    port: u16,
    directory: PathBuf,
    child: Child,
}

impl Postgres {
    /// Initialises one in a directory, whose content is lost, and starts it.
    ///
    /// # Errors
    /// When there is no Postgres and it cannot be installed, or it does not start.
    pub fn start(directory: PathBuf, port: u16) -> anyhow::Result<Self> {
        let programs = Programs::find()?;
        // Of a bench that was interrupted.
        let _ = fs::remove_dir_all(&directory);
        let data = programs.initialise(&directory)?;
        let mut server = programs.server(&data, port);
        // It logs every checkpoint.
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        print(&server);
        let child = server.spawn().context("cannot run postgres")?;
        let mut postgres = Self { port, directory, child };
        let deadline = Instant::now() + PATIENCE;
        while !programs.accepts_connections(port)? {
            if let Some(status) = postgres.child.try_wait()? {
                bail!("postgres ended with {status}");
            }
            if Instant::now() > deadline {
                bail!("postgres accepts no connections on port {port}");
            }
            sleep(Duration::from_millis(50));
        }
        Ok(postgres)
    }

    /// Where its one database is.
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Its process id. Each connection has a process of its own, which is this one's child.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once, and its children with it: killed, it would leave them behind.
        let _ = command("kill", &["-QUIT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The server's programs, and whom they run as.
struct Programs {
    directory: PathBuf,
    /// User and group, where this process's own cannot be.
    account: Option<(u32, u32)>,
}

impl Programs {
    fn find() -> anyhow::Result<Self> {
        let account = tools::is_root().then(unprivileged_account).transpose()?;
        Ok(Self { directory: tools::postgres()?, account })
    }

    /// Makes an empty cluster below a directory, unless there is one. Returns where it is.
    fn initialise(&self, directory: &Path) -> anyhow::Result<PathBuf> {
        let data = directory.join("data");
        if !data.join("PG_VERSION").is_file() {
            fs::create_dir_all(directory)?;
            if let Some((user, group)) = self.account {
                chown(directory, Some(user), Some(group))?;
            }
            let mut initdb =
                self.command("initdb", &["--auth=trust", "--username=chaperone", "--encoding=UTF8", "--no-locale"]);
            initdb.arg("--pgdata").arg(&data);
            run(initdb)?;
        }
        Ok(data)
    }

    fn server(&self, data: &Path, port: u16) -> Command {
        let (port, sockets) = (port.to_string(), "unix_socket_directories=");
        let mut server = self.command("postgres", &["-p", &port, "-c", "listen_addresses=127.0.0.1", "-c", sockets]);
        server.arg("-D").arg(data);
        server
    }

    fn accepts_connections(&self, port: u16) -> anyhow::Result<bool> {
        let mut ready = self.command("pg_isready", &["--quiet", "--host=127.0.0.1", "--port", &port.to_string()]);
        Ok(ready.status().context("cannot run pg_isready")?.success())
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = command(self.directory.join(program), arguments);
        command.current_dir("/");
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command
    }
}

fn url(port: u16) -> String {
    format!("postgres://chaperone@127.0.0.1:{port}/postgres")
}

/// Postgres refuses to run as root: the package's own account, or nobody.
fn unprivileged_account() -> anyhow::Result<(u32, u32)> {
    let accounts = fs::read_to_string("/etc/passwd")?;
    let find = |name: &str| {
        let mut fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let fields = fields.find(|fields| fields.first() == Some(&name))?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody")).context("neither an account `postgres` nor `nobody`")
}
