//! The commands that run the server: the seam between the command line and the wiring.
//!
//! To connect: take `ServeConfig` from `crate::config`, let `parse` call `crate::config::parse::<Cli, _>`, and let each
//! function below call its namesake in `crate::wiring`.

use std::ffi::OsString;

use anyhow::bail;
use clap::{Args, Parser as _};

use super::Cli;
use super::dev::DevOptions;
use super::failure::Verdict;

/// The server's options.
#[derive(Debug, Args)]
pub struct ServeConfig {}

/// Reads the command line, the environment and the configuration file.
///
/// # Errors
/// With clap's error, which knows its exit code and stream.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments)
}

/// Serves until a signal says to stop.
///
/// # Errors
/// When it cannot start.
#[expect(clippy::unused_async, reason = "the wiring's is asynchronous")]
pub async fn serve(ServeConfig {}: ServeConfig) -> anyhow::Result<()> {
    bail!("this build serves nothing yet")
}

/// Brings the store's schema up to date, and says what was applied.
///
/// # Errors
/// When the store cannot be reached, or has a schema from the future.
#[expect(clippy::unused_async, reason = "the wiring's is asynchronous")]
pub async fn migrate(ServeConfig {}: ServeConfig) -> anyhow::Result<String> {
    bail!("this build migrates nothing yet")
}

/// Serves from an embedded store with a sample bundle and session.
///
/// # Errors
/// When it cannot start.
#[expect(clippy::unused_async, reason = "the wiring's is asynchronous")]
pub async fn dev(options: DevOptions) -> anyhow::Result<()> {
    bail!("this build serves nothing yet at {}", options.data_listen)
}

/// Says what the configuration is, where each value came from, and whether it is fit to serve with.
///
/// # Errors
/// When a file that it names cannot be read.
pub fn check_config(ServeConfig {}: ServeConfig) -> anyhow::Result<(Verdict, String)> {
    bail!("this build has no configuration yet")
}
