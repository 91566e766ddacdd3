//! The commands that run the server: the seam between the command line and the wiring.

use std::ffi::OsString;
use std::fmt::Write as _;

use super::Cli;
use super::dev::DevOptions;
use super::failure::Verdict;
use super::output::{Cell, DIM, PLAIN, STRONG, Table};
use crate::config::{self, ConfigError, Loaded, MigrateConfig, ServeConfig, Setting};

/// Reads the command line, the environment and the configuration file.
///
/// # Errors
/// See [`ConfigError`].
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Loaded<Cli>, ConfigError> {
    config::parse::<Cli, _>(arguments)
}

/// Serves until a signal says to stop.
///
/// # Errors
/// When the configuration is not fit to serve with, or it cannot start.
pub async fn serve(config: ServeConfig) -> anyhow::Result<()> {
    let problems = config.validate();
    if !problems.is_empty() {
        return Err(ConfigError::Invalid(problems).into());
    }
    crate::wiring::serve(config).await
}

/// Brings the store's schema up to date, and says what was applied.
///
/// # Errors
/// When the store cannot be reached, or has a schema from the future.
pub async fn migrate(config: MigrateConfig) -> anyhow::Result<String> {
    crate::telemetry::logs::init(&config.log)?;
    let applied = crate::wiring::migrate(&config.store).await?;
    Ok(match applied.as_slice() {
        [] => "The schema is up to date; nothing was applied.".to_owned(),
        names => names.iter().fold("Applied:".to_owned(), |mut text, name| {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n  {name}");
            text
        }),
    })
}

/// Serves from an embedded store with a sample bundle and session.
///
/// # Errors
/// When it cannot start.
pub async fn dev(options: DevOptions) -> anyhow::Result<()> {
    crate::dev::dev(options).await
}

/// Says what the configuration is, where each value came from, and whether it is fit to serve with.
pub fn check_config(config: &ServeConfig, settings: &[Setting]) -> (Verdict, String) {
    let mut table = Table::with_header(&["OPTION", "VALUE", "FROM"]);
    for Setting { option, value, source } in settings {
        let cell = |style, text: &str| Cell::new(style, text);
        table.row([
            cell(STRONG, option),
            cell(PLAIN, value.as_deref().unwrap_or_default()),
            cell(DIM, &source.to_string()),
        ]);
    }
    let mut text = table.render();
    let mut add = |kind: &str, problems: Vec<config::OptionProblem>| {
        for problem in problems {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{kind}: --{}: {}", problem.option, problem.message);
        }
    };
    add("warning", config.warnings());
    let problems = config.validate();
    let verdict = if problems.is_empty() { Verdict::Yes } else { Verdict::No };
    add("problem", problems);
    text.push_str(if verdict == Verdict::Yes {
        "\nThis configuration can be served with."
    } else {
        "\nThis configuration cannot be served with."
    });
    (verdict, text)
}
