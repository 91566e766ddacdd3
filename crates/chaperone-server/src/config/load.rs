//! Loading: flag, else environment, else file, else default.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};

use super::alerts::WebhookUrl;
use super::file::{FileError, FileSettings};
use super::values::StoreUrl;
use super::{OptionProblem, ServeConfig};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line or the environment does not parse, or asks for help. It knows its own exit code and stream.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The values are not fit to run with; every problem at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<OptionProblem>),
}

/// A parsed command line, and where its options came from.
#[derive(Debug)]
pub struct Loaded<C> {
    /// The command.
    pub command: C,
    /// The server's options that this command has, with their values and sources, in the order of the help.
    pub settings: Vec<Setting>,
}

/// An option in effect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// The option, without dashes before it.
    pub option: String,
    /// Its value as text, several with commas between; passwords are hidden. `None` when it is not set.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: Source,
}

/// Where an option's value came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// The command line.
    Flag,
    /// The environment.
    Environment,
    /// The configuration file.
    File,
    /// Nobody set it.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// Parses a command line, the environment, and the file that `--config` names.
///
/// `C` may have any of this module's structs flattened into it or into its subcommands; those without `--config` read no file.
///
/// # Errors
/// [`ConfigError::Usage`] or [`ConfigError::File`].
pub fn parse<C, I>(arguments: I) -> Result<Loaded<C>, ConfigError>
where
    C: CommandFactory + FromArgMatches,
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let mut matches = C::command().try_get_matches_from(&arguments)?;
    let mut file = FileSettings::default();
    if let Some(path) = deepest(&matches).try_get_one::<PathBuf>("config").ok().flatten() {
        file = FileSettings::read(path)?;
        // Again, with the file's values as defaults: the flag and the environment go before them.
        matches = with_defaults(C::command(), &file).try_get_matches_from(&arguments)?;
    }
    let command = C::from_arg_matches(&matches).map_err(|error| error.format(&mut C::command()))?;
    let settings = settings(deepest(&matches), &file);
    Ok(Loaded { command, settings })
}

impl ServeConfig {
    /// Parses and checks a server's configuration. `arguments` starts with the program's name.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load<I>(arguments: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        let config = parse::<Self, _>(arguments)?.command;
        match config.validate() {
            problems if problems.is_empty() => Ok(config),
            problems => Err(ConfigError::Invalid(problems)),
        }
    }
}

fn deepest(matches: &ArgMatches) -> &ArgMatches {
    let mut matches = matches;
    while let Some((_, inner)) = matches.subcommand() {
        matches = inner;
    }
    matches
}

fn with_defaults(mut command: Command, file: &FileSettings) -> Command {
    for (option, values) in &file.0 {
        if command.get_arguments().any(|arg| arg.get_id() == option.as_str()) {
            command = command.mut_arg(option, |arg| arg.default_values(values.clone()));
        }
    }
    command.mut_subcommands(|inner| with_defaults(inner, file))
}

fn settings(matches: &ArgMatches, file: &FileSettings) -> Vec<Setting> {
    let known = ServeConfig::command();
    let options = known.get_arguments().map(|arg| arg.get_id().as_str());
    let present = options.filter(|option| matches.try_contains_id(option).is_ok());
    present
        .map(|option| {
            let raw = matches.get_raw(option);
            let text = raw.map(|values| values.map(std::ffi::OsStr::to_string_lossy).collect::<Vec<_>>().join(","));
            let source = match matches.value_source(option) {
                Some(ValueSource::CommandLine) => Source::Flag,
                Some(ValueSource::EnvVariable) => Source::Environment,
                _ if file.values(option).is_some() => Source::File,
                _ => Source::Default,
            };
            Setting { option: option.to_owned(), value: text.map(|text| shown(option, text)), source }
        })
        .collect()
}

fn shown(option: &str, text: String) -> String {
    match option {
        "store-url" => text.parse::<StoreUrl>().map_or_else(|_| "***".to_owned(), |url| url.to_string()),
        "alert-webhook-url" => WebhookUrl::from(text).to_string(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use clap::{Parser, Subcommand};

    use super::super::MigrateConfig;
    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Commands,
    }

    #[derive(Debug, Subcommand)]
    enum Commands {
        Serve(Box<ServeConfig>),
        Migrate(MigrateConfig),
        Other,
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("it is written");
        file
    }

    fn setting<'a, C>(loaded: &'a Loaded<C>, option: &str) -> &'a Setting {
        loaded.settings.iter().find(|setting| setting.option == option).expect("the option exists")
    }

    /// The process's environment cannot be set without `unsafe`, so a variable that every process here has stands in for one.
    fn with_variable(option: &'static str) -> Command {
        ServeConfig::command().mut_arg(option, |arg| arg.env("CARGO_PKG_NAME"))
    }

    #[test]
    fn flag_goes_before_file_and_file_before_default() {
        let file = file("[data]\nlisten = \"127.0.0.1:1111\"\nmax-streams = 7\n[store]\nurl = \"embedded::memory:\"\n");
        let path = file.path().to_str().expect("UTF-8");
        let loaded: Loaded<Cli> =
            parse(["chaperone", "serve", "--config", path, "--data-max-streams", "9"]).expect("it parses");
        let Commands::Serve(config) = &loaded.command.command else { panic!("another command") };
        assert_eq!(config.data.listen.port(), 1111);
        assert_eq!(config.data.max_streams, 9);
        assert_eq!(config.admin.listen.port(), 7402);
        assert_eq!(setting(&loaded, "data-listen").source, Source::File);
        assert_eq!(setting(&loaded, "data-max-streams").source, Source::Flag);
        assert_eq!(setting(&loaded, "admin-listen").source, Source::Default);
    }

    #[test]
    fn environment_goes_before_file_and_flag_before_environment() {
        let settings = FileSettings::parse(std::path::Path::new("c"), "replica-id = \"from-file\"").expect("valid");
        let command = with_defaults(with_variable("replica-id"), &settings);
        let matches = command.clone().try_get_matches_from(["chaperone"]).expect("it parses");
        let config = ServeConfig::from_arg_matches(&matches).expect("it parses");
        assert_eq!(config.process.replica_id.as_deref(), Some(env!("CARGO_PKG_NAME")));
        let matches = command.try_get_matches_from(["chaperone", "--replica-id=flag"]).expect("it parses");
        let config = ServeConfig::from_arg_matches(&matches).expect("it parses");
        assert_eq!(config.process.replica_id.as_deref(), Some("flag"));
    }

    #[test]
    fn every_option_has_its_variable_and_its_help() {
        for arg in ServeConfig::command().get_arguments() {
            let id = arg.get_id().as_str();
            assert_eq!(arg.get_long(), Some(id));
            let variable = format!("CHAPERONE_{}", id.to_uppercase().replace('-', "_"));
            assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(variable.as_str()));
            assert!(arg.get_help().is_some(), "{id} has no help");
        }
    }

    #[test]
    fn command_takes_its_part_of_a_whole_file() {
        let file = file("drain-timeout = \"5s\"\n[store]\nurl = \"embedded:/x\"\n");
        let path = file.path().to_str().expect("UTF-8");
        let loaded: Loaded<Cli> = parse(["chaperone", "migrate", "--config", path]).expect("it parses");
        let Commands::Migrate(config) = &loaded.command.command else { panic!("another command") };
        assert_eq!(config.store.url.as_ref().map(StoreUrl::reveal), Some("embedded:/x"));
        assert!(loaded.settings.iter().all(|setting| setting.option != "data-listen"));
    }

    #[test]
    fn command_without_options_reads_no_file() {
        let loaded: Loaded<Cli> = parse(["chaperone", "other"]).expect("it parses");
        assert!(matches!(loaded.command.command, Commands::Other));
        assert!(loaded.settings.is_empty());
    }

    #[test]
    fn settings_hide_what_may_be_secret() {
        let loaded: Loaded<ServeConfig> =
            parse(["chaperone", "--store-url=postgres://me:s3cret@db/c", "--alert-webhook-url=https://hooks/s3cret"])
                .expect("it parses");
        assert_eq!(setting(&loaded, "store-url").value.as_deref(), Some("postgres://me:***@db/c"));
        assert_eq!(setting(&loaded, "alert-webhook-url").value.as_deref(), Some("https://hooks/***"));
        assert!(!format!("{loaded:?}").contains("s3cret"));
    }

    #[test]
    fn store_url_that_does_not_parse_is_not_repeated() {
        let file = file("[store]\nurl = \"postgre://me:secret@db/c\"\n");
        let path = file.path().to_str().expect("UTF-8");
        for arguments in [["chaperone", "--store-url", "postgre://me:secret@db/c"], ["chaperone", "--config", path]] {
            let error = parse::<ServeConfig, _>(arguments).expect_err("it is refused").to_string();
            assert!(error.contains("--store-url") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn missing_file_is_an_error_that_names_it() {
        let error = parse::<ServeConfig, _>(["chaperone", "--config", "/nowhere/c.toml"]).expect_err("it is refused");
        assert!(error.to_string().contains("/nowhere/c.toml"));
    }

    #[test]
    fn load_tells_every_problem() {
        let error = ServeConfig::load(["chaperone", "--admin-listen", "0.0.0.0:7402", "--data-tls-cert", "/nowhere"])
            .expect_err("it is refused");
        let text = error.to_string();
        for option in ["--store-url", "--admin-listen", "--data-tls-key"] {
            assert!(text.contains(option), "{option}: {text}");
        }
    }
}
