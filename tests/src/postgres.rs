//! A private Postgres: on loopback, without fsync, gone with the last test that uses it.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tempfile::TempDir;

use crate::process::{Process, Signal};
use crate::{binaries, ports, wait};

/// A Postgres server.
pub struct Postgres {
    binaries: PathBuf,
    account: Option<Account>,
    directory: TempDir,
    port: u16,
    process: Mutex<Option<Process>>,
}

/// A database of its own, for one test.
#[derive(Clone)]
pub struct Database {
    server: Arc<Postgres>,
    name: String,
}

/// Whom the server runs as, since Postgres refuses to run as root.
#[derive(Clone, Copy)]
struct Account {
    user_id: u32,
    group_id: u32,
}

/// The server that tests share, as long as one of them holds it.
static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
static DATABASES: AtomicU32 = AtomicU32::new(0);

impl Postgres {
    /// The shared server, started when no test holds it. Tests that stop the server start their own.
    pub fn shared() -> Arc<Self> {
        // A test that failed while it started the server leaves nothing half-made behind.
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Self::start();
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// Initialises and starts a server.
    pub fn start() -> Arc<Self> {
        let server = Self::create();
        server.restart();
        Arc::new(server)
    }

    /// Initialises a server that does not run yet.
    pub fn create() -> Self {
        let account = unprivileged_account();
        let directory = tempfile::Builder::new().prefix("chaperone-pg-").tempdir().expect("a temporary directory");
        if let Some(account) = account {
            chown(directory.path(), Some(account.user_id), Some(account.group_id)).expect("root may change owners");
        }
        let server = Self {
            binaries: binaries::postgres_directory(),
            account,
            directory,
            port: ports::free().port(),
            process: Mutex::new(None),
        };
        let data = server.data_directory();
        let output = server
            .command("initdb")
            .args(["--auth=trust", "--username=chaperone", "--encoding=UTF8", "--no-locale", "--no-sync", "--pgdata"])
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
        server
    }

    /// Starts it again where it was, on the same port, with the same data.
    pub fn restart(&self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data_directory()).arg("-p").arg(self.port.to_string());
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "full_page_writes=off",
            "max_connections=300",
            "shared_buffers=32MB",
        ] {
            command.args(["-c", setting]);
        }
        let mut process = Process::spawn("postgres", &mut command);
        wait::until_blocking("Postgres accepts connections", || {
            process.assert_running();
            self.psql("postgres", "SELECT 1").is_ok().then_some(())
        });
        *self.lock() = Some(process);
    }

    /// Ends it at once, as a crash does. Connections break.
    pub fn kill(&self) {
        if let Some(mut process) = self.lock().take() {
            // SIGQUIT takes the server's children along; SIGKILL would leave them with the port.
            process.signal(Signal::Quit);
            wait::until_blocking("Postgres ends", || process.exit_status());
        }
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://chaperone@127.0.0.1:{}/{database}", self.port)
    }

    fn psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = self
            .command("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--command", sql])
            .arg(self.url(database))
            .output()
            .map_err(|error| format!("cannot run psql: {error}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command.current_dir("/").env_remove("PGOPTIONS").env("LC_ALL", "C");
        if let Some(Account { user_id, group_id }) = self.account {
            command.uid(user_id).gid(group_id);
        }
        command
    }

    fn data_directory(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Database {
    /// A new, empty database on the shared server.
    pub fn create() -> Self {
        Self::create_on(&Postgres::shared())
    }

    /// A new, empty database on `server`.
    pub fn create_on(server: &Arc<Postgres>) -> Self {
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        server.psql("postgres", &format!("CREATE DATABASE {name}")).expect("a database can be created");
        Self { server: Arc::clone(server), name }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// The server that it is on.
    pub fn server(&self) -> &Postgres {
        &self.server
    }

    /// Locks a table against every reader and writer, as a migration gone wrong does, until the returned process is dropped.
    pub async fn lock_table(&self, table: &str) -> Process {
        let mut command = self.server.command("psql");
        command.arg("--no-psqlrc").arg(self.url());
        for sql in [
            // So that the lock ends with the process.
            "SET client_connection_check_interval = '50ms'",
            "BEGIN",
            &format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"),
            "SELECT pg_sleep(600)",
        ] {
            command.args(["--command", sql]);
        }
        let mut process = Process::spawn("psql", &mut command);
        let locks = format!(
            "SELECT count(*) FROM pg_locks WHERE relation = '{table}'::regclass AND mode = 'AccessExclusiveLock' AND granted"
        );
        wait::until(format!("{table} is locked"), async || {
            process.assert_running();
            (self.sql(&locks) == "1").then_some(())
        })
        .await;
        process
    }

    /// Runs SQL, and returns its rows as text.
    pub fn sql(&self, sql: &str) -> String {
        self.server.psql(&self.name, sql).unwrap_or_else(|error| panic!("`{sql}` failed: {error}"))
    }
}

/// Root cannot run Postgres: the package's own account does, or nobody.
fn unprivileged_account() -> Option<Account> {
    use std::os::unix::fs::MetadataExt as _;
    let is_root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    if !is_root {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").expect("the accounts can be read");
    let account = |name: &str| {
        accounts.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name).map(
            |fields| Account {
                user_id: fields[2].parse().expect("a user id"),
                group_id: fields[3].parse().expect("a group id"),
            },
        )
    };
    account("postgres").or_else(|| account("nobody"))
}
