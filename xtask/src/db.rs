//! A Postgres for development: kept in the system's temporary directory, open to this machine's users, in the foreground.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use crate::command::{command, run};
use crate::tools;

/// Runs it until it is interrupted.
///
/// # Errors
/// When there is no Postgres and it cannot be installed, or it does not start.
pub fn run_postgres(port: u16) -> anyhow::Result<()> {
    let binaries = tools::postgres()?;
    let directory = std::env::temp_dir().join(format!("chaperone-db-{port}"));
    let data = directory.join("data");
    let place = data.to_str().context("the temporary directory's path is not UTF-8")?;
    let account = tools::is_root().then(unprivileged_account).transpose()?;
    let as_account = |mut command: Command| {
        command.current_dir("/");
        if let Some((user, group)) = account {
            command.uid(user).gid(group);
        }
        command
    };
    if !data.join("PG_VERSION").is_file() {
        fs::create_dir_all(&directory)?;
        if let Some((user, group)) = account {
            chown(&directory, Some(user), Some(group))?;
        }
        let options = ["--auth=trust", "--username=chaperone", "--encoding=UTF8", "--no-locale", "--pgdata", place];
        run(as_account(command(binaries.join("initdb"), &options)))?;
    }
    eprintln!("postgres://chaperone@127.0.0.1:{port}/postgres");
    let (port, sockets) = (port.to_string(), "unix_socket_directories=");
    let options = ["-D", place, "-p", &port, "-c", "listen_addresses=127.0.0.1", "-c", sockets];
    run(as_account(command(binaries.join("postgres"), &options)))
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
