//! A private Postgres for tests: its own data, its own port, gone with the process that started it.

use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::sync::{Mutex, OnceCell};

use crate::error::StoreError;
use crate::postgres::{PostgresOptions, PostgresStore};

/// How often starting is tried: another process may take the free port first.
const START_ATTEMPTS_MAX: usize = 3;
const TEMPLATE: &str = "chaperone_template";

/// Why there is no test Postgres.
#[derive(Debug, thiserror::Error)]
pub enum TestPostgresError {
    /// No server binaries were found.
    #[error(
        "tests need the PostgreSQL server: `initdb`, `pg_ctl` and `postgres` are neither in PATH nor in \
         /usr/lib/postgresql/*/bin; install the package `postgresql` (Debian, Ubuntu) or `postgresql-server` (Fedora), or set \
         CHAPERONE_SKIP_POSTGRES=1 to go without these tests"
    )]
    NotInstalled,
    /// A command could not be started.
    #[error("cannot run `{command}`")]
    Spawn {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A command failed.
    #[error("`{command}` failed: {output}")]
    Failed {
        /// The command.
        command: String,
        /// What it said.
        output: String,
    },
    /// A database could not be made.
    #[error("cannot make a test database")]
    Database(#[from] sqlx::Error),
    /// The schema could not be made.
    #[error("cannot migrate the template database")]
    Migrate(#[from] StoreError),
}

/// A Postgres server of this process alone.
#[derive(Debug)]
pub struct TestPostgres {
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
    /// Ends the server and removes its folder when its input closes: when this is dropped, or this process ends, in whatever way.
    watchdog: Child,
    template: Mutex<bool>,
    databases: AtomicU32,
}

impl TestPostgres {
    /// The server that all tests of this process share, started when the first one asks. `None`, loudly, when the environment
    /// says `CHAPERONE_SKIP_POSTGRES=1`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn shared() -> Result<Option<&'static Self>, TestPostgresError> {
        static SHARED: OnceCell<TestPostgres> = OnceCell::const_new();
        if Self::is_skipped() {
            return Ok(None);
        }
        SHARED.get_or_try_init(|| async { Self::launch() }).await.map(Some)
    }

    /// Whether the environment says to go without Postgres; says so on standard error.
    pub fn is_skipped() -> bool {
        let skipped = std::env::var_os("CHAPERONE_SKIP_POSTGRES").is_some_and(|value| value == "1");
        if skipped {
            eprintln!("SKIPPED, NOT PASSED: CHAPERONE_SKIP_POSTGRES=1, so this test ran without Postgres");
        }
        skipped
    }

    /// Starts a server of its own, for a test that stops it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch() -> Result<Self, TestPostgresError> {
        let binaries = find_binaries().ok_or(TestPostgresError::NotInstalled)?;
        // In /tmp, whatever TMPDIR says: a socket's path has at most 107 bytes.
        let folder = run(unprivileged(Path::new("mktemp"))?.args(["-d", "/tmp/chaperone-postgres.XXXXXXXX"]))?;
        let folder = PathBuf::from(folder.trim());
        let watchdog = watch(&binaries, &folder)?;
        let mut server =
            Self { binaries, folder, port: 0, watchdog, template: Mutex::new(false), databases: AtomicU32::new(0) };
        run(unprivileged(&server.binaries.join("initdb"))?
            .args(["--username=chaperone", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(server.data()))?;
        let mut attempt = 1;
        loop {
            server.port = free_port()?;
            match server.start() {
                Err(_) if attempt < START_ATTEMPTS_MAX => attempt += 1,
                result => return result.map(|()| server),
            }
        }
    }

    /// Starts the server again, on the same port.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self) -> Result<(), TestPostgresError> {
        // Without fsync, but with synchronous commits: what is committed survives the server's death, if not the machine's.
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off -c full_page_writes=off \
             -c max_connections=200",
            self.port,
            self.folder.display(),
        );
        // Without `output`: the server keeps what it inherits, so that the end of a pipe would never come.
        let mut command = unprivileged(&self.binaries.join("pg_ctl"))?;
        command.arg("-D").arg(self.data()).arg("-l").arg(self.folder.join("log"));
        command.args(["-w", "-t", "60", "-o", &options, "start"]);
        let name = format!("{command:?}");
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                Err(TestPostgresError::Failed { command: name, output: log })
            }
            Err(source) => Err(TestPostgresError::Spawn { command: name, source }),
        }
    }

    /// Stops the server as a crash would: connections are cut, nothing is written down.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(&self) -> Result<(), TestPostgresError> {
        let mut command = unprivileged(&self.binaries.join("pg_ctl"))?;
        run(command.arg("-D").arg(self.data()).args(["-m", "immediate", "-w", "stop"])).map(|_| ())
    }

    /// The URL of a new database with this program's schema.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn database(&self) -> Result<String, TestPostgresError> {
        // A database can be a template only while no one is connected to it, so one at a time.
        let mut has_template = self.template.lock().await;
        if !*has_template {
            self.create(TEMPLATE, "template0").await?;
            PostgresStore::migrate(&PostgresOptions::new(self.url(TEMPLATE))).await?;
            *has_template = true;
        }
        self.create_numbered(TEMPLATE).await
    }

    /// The URL of a new database with nothing in it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn empty_database(&self) -> Result<String, TestPostgresError> {
        self.create_numbered("template0").await
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    async fn create_numbered(&self, template: &str) -> Result<String, TestPostgresError> {
        let name = format!("chaperone_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.create(&name, template).await?;
        Ok(self.url(&name))
    }

    async fn create(&self, name: &str, template: &str) -> Result<(), TestPostgresError> {
        let mut connection = PgConnection::connect(&self.url("postgres")).await?;
        let statement = format!("CREATE DATABASE {name} TEMPLATE {template}");
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://chaperone@127.0.0.1:{}/{database}", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

impl Drop for TestPostgres {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        if let Err(error) = self.watchdog.wait() {
            eprintln!("the test Postgres in {} may still run: {error}", self.folder.display());
        }
    }
}

/// The folder of the server's binaries: the one in PATH, or else the newest that is installed.
fn find_binaries() -> Option<PathBuf> {
    let in_path =
        std::env::var_os("PATH").into_iter().flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut installed: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    installed.sort();
    let installed = installed.into_iter().rev().map(|(_, folder)| folder);
    in_path
        .chain(installed)
        .find(|folder| ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file()))
}

/// A command that does not run as root, because the server refuses to.
fn unprivileged(program: &Path) -> Result<Command, TestPostgresError> {
    let mut command = if run(Command::new("id").arg("-u"))?.trim() == "0" {
        let user = if run(Command::new("id").args(["-u", "postgres"])).is_ok() { "postgres" } else { "nobody" };
        let mut command = Command::new("runuser");
        command.args(["-u", user, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // The present folder may be closed to that user.
    command.current_dir("/");
    Ok(command)
}

/// Waits until some transaction of the database waits for another's lock.
///
/// # Errors
/// When the database does not answer.
pub async fn lock_is_awaited(url: &str) -> Result<(), TestPostgresError> {
    let waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut connection = PgConnection::connect(url).await?;
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut connection).await? == 0 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn watch(binaries: &Path, folder: &Path) -> Result<Child, TestPostgresError> {
    // Ignores an interrupt from the terminal: the end of its input comes with it.
    let script = "trap '' INT TERM HUP; cat >/dev/null; \"$1\" -D \"$2/data\" -m immediate -w stop; rm -rf \"$2\"";
    let mut command = unprivileged(Path::new("sh"))?;
    command.args(["-c", script, "watchdog"]).arg(binaries.join("pg_ctl")).arg(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn().map_err(|source| TestPostgresError::Spawn { command: format!("{command:?}"), source })
}

fn free_port() -> Result<u16, TestPostgresError> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    port.map(|address| address.port()).map_err(|source| TestPostgresError::Spawn { command: "bind".to_owned(), source })
}

fn run(command: &mut Command) -> Result<String, TestPostgresError> {
    let name = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| TestPostgresError::Spawn { command: name.clone(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(TestPostgresError::Failed { command: name, output: String::from_utf8_lossy(&said).into_owned() })
}
