//! The `chaperone` command line.
//!
//! Results go to standard output, errors and notes to standard error. Exit codes are the same everywhere: 0 done, allowed or
//! valid; 1 a definite no (denied, not valid); 2 not able to tell.

#![expect(clippy::doc_markdown, reason = "an argument's documentation is its help text, which would show backticks")]

mod approval;
mod bundle;
mod check;
mod completions;
mod connect;
pub mod dev;
pub mod dev_output;
mod differences;
mod entity;
pub mod failure;
mod files;
mod findings;
mod map;
pub(crate) use map::Message;
pub mod output;
mod paging;
pub(crate) mod parse;
mod problems;
pub mod refusal;
mod report;
pub mod server_commands;
mod session;
mod time;
mod trail;

use std::future::Future;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::approval::ApprovalCommand;
use self::bundle::BundleCommand;
use self::check::CheckArgs;
use self::completions::CompletionsArgs;
use self::dev::DevOptions;
use self::entity::EntityCommand;
use self::failure::{EXIT_FAILED, Failure, Verdict};
use self::map::MapCommand;
use self::report::ReportArgs;
use self::session::SessionCommand;
use self::trail::TrailCommand;
use crate::config::{ConfigError, MigrateConfig, ServeConfig, Setting};

const HELP: &str = "\
Start here:
  chaperone dev                    # a server with a sample bundle, and what to try next
  chaperone check --help           # ask for a decision

Exit codes: 0 done, allowed or valid; 1 denied or not valid; 2 wrong arguments, or it could not be done.
Colours are used on terminals only, and never when NO_COLOR is set.";

const CONFIG_HELP: &str = "\
Exit codes: 0 fit to serve with, 1 not, 2 it could not be read.";

/// Decides every action that a session takes after login
#[derive(Debug, Parser)]
#[command(name = "chaperone", version, after_help = HELP, propagate_version = true, max_term_width = 120)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<ServeConfig>),
    /// Bring the store's schema up to date
    Migrate(Box<MigrateConfig>),
    /// Run a server to try things out, with a sample bundle and an open session
    #[command(after_help = dev::HELP)]
    Dev(DevOptions),
    /// Look at the server's configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Validate, lint, push and activate bundles of policies, and draft some
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// See what a bundle's mapping makes of requests
    #[command(subcommand)]
    Map(MapCommand),
    /// Open, follow and end sessions
    #[command(subcommand)]
    Session(SessionCommand),
    /// Answer what challenges ask people for
    #[command(subcommand)]
    Approval(ApprovalCommand),
    /// Keep entities beside those of the bundle
    #[command(subcommand)]
    Entity(EntityCommand),
    /// Read the trail of what was decided, export it, and prove that nothing was changed
    #[command(subcommand)]
    Trail(Box<TrailCommand>),
    /// Ask for one decision
    #[command(after_help = check::HELP)]
    Check(Box<CheckArgs>),
    /// Tell what became of an allowed action
    #[command(after_help = report::HELP)]
    Report(Box<ReportArgs>),
    /// Print a completion script for a shell
    #[command(after_help = completions::HELP)]
    Completions(CompletionsArgs),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say what the configuration is and where each value came from, without serving
    #[command(after_help = CONFIG_HELP)]
    Check(Box<ServeConfig>),
}

/// Which threads a command runs on.
#[derive(Clone, Copy, Debug)]
enum Threads {
    /// This one: a client waits for one answer at a time.
    One,
    /// One a core.
    Many,
}

/// Parses the process's arguments, runs the command and gives the exit code.
pub fn main() -> ExitCode {
    // One provider for all of TLS, before anything can ask for one. Only a second call could fail.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match server_commands::parse(std::env::args_os()) {
        Ok(loaded) => finish(loaded.command.run(&loaded.settings)),
        Err(ConfigError::Usage(error)) => {
            // Help that nobody reads is no failure; a message that cannot be printed has its exit code.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_FAILED))
        }
        Err(error) => finish(Err(Failure::Input(error.to_string()))),
    }
}

/// Reads the folder of a bundle; its notes go to standard error.
pub(crate) fn read_bundle(folder: &std::path::Path) -> anyhow::Result<chaperone_policy::BundleSource> {
    let read = bundle::read_folder(folder)?;
    read.notes.iter().for_each(|note| output::note(note));
    Ok(read.source)
}

impl Cli {
    fn run(self, settings: &[Setting]) -> Result<Verdict, Failure> {
        use Threads::{Many, One};
        match self.command {
            Command::Serve(config) => {
                block_on(Many, async { server_commands::serve(*config).await.map_err(Failure::Server) })?;
            }
            Command::Migrate(config) => {
                let applied =
                    block_on(Many, async { server_commands::migrate(*config).await.map_err(Failure::Server) })?;
                output::print(&format!("{}\n", applied.trim_end()))?;
            }
            Command::Dev(options) => {
                block_on(Many, async { server_commands::dev(options).await.map_err(Failure::Server) })?;
            }
            Command::Config(ConfigCommand::Check(config)) => {
                let (verdict, text) = server_commands::check_config(&config, settings);
                output::print(&format!("{}\n", text.trim_end()))?;
                return Ok(verdict);
            }
            Command::Bundle(command) => return block_on(One, command.run()),
            Command::Map(command) => return command.run(),
            Command::Session(command) => block_on(One, command.run())?,
            Command::Approval(command) => block_on(One, command.run())?,
            Command::Entity(command) => block_on(One, command.run())?,
            Command::Trail(command) => return block_on(One, command.run()),
            Command::Check(args) => return block_on(One, args.run()),
            Command::Report(args) => return block_on(One, args.run()),
            Command::Completions(args) => args.run()?,
        }
        Ok(Verdict::Yes)
    }
}

fn finish(result: Result<Verdict, Failure>) -> ExitCode {
    match result {
        Ok(verdict) => verdict.exit_code(),
        Err(failure) => {
            // Where standard error is gone too, the exit code is all that can be told.
            let _ = anstream::stderr().write_all(failure.render().as_bytes());
            failure.exit_code()
        }
    }
}

fn block_on<T>(threads: Threads, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut builder = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::Many => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Input(format!("cannot start: {error}")))?;
    runtime.block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parses(arguments: &[&str]) -> Result<(), String> {
        let arguments = ["chaperone"].iter().chain(arguments);
        Cli::try_parse_from(arguments).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn revoke_takes_exactly_one_target() {
        const ID: &str = "0198c0de-0000-7000-8000-000000000001";
        assert_eq!(parses(&["session", "revoke", ID]), Ok(()));
        assert_eq!(parses(&["session", "revoke", "--owner", "ann", "--reason", "left"]), Ok(()));
        assert!(parses(&["session", "revoke"]).is_err());
        assert!(parses(&["session", "revoke", ID, "--owner", "ann"]).is_err());
        assert!(parses(&["session", "revoke", "--owner", ""]).is_err());
    }

    #[test]
    fn root_session_needs_principal_and_owner_and_a_child_only_its_parent() {
        const ID: &str = "0198c0de-0000-7000-8000-000000000001";
        assert_eq!(parses(&["session", "open", "--principal", "Agent::a", "--owner", "ann"]), Ok(()));
        assert_eq!(parses(&["session", "open", "--parent", ID]), Ok(()));
        assert!(parses(&["session", "open", "--principal", "Agent::a"]).is_err());
        let both = ["session", "open", "--parent", ID, "--scope-file", "f", "--scope-allow", "read"];
        assert!(parses(&both).is_err());
    }

    #[test]
    fn check_asks_for_an_action_or_for_what_a_decoder_reads() {
        let check = |arguments: &[&str]| parses(&[&["check"], arguments].concat());
        let action = ["--action", "read", "--resource", "Document::a"];
        assert_eq!(check(&action), Ok(()));
        assert_eq!(check(&["--decoder", "crm", "--text", "select 1"]), Ok(()));
        assert_eq!(check(&["--decoder", "mail", "--message", "-"]), Ok(()));
        assert_eq!(check(&["--decoder", "shell", "--", "rm", "-rf", "/"]), Ok(()));
        assert!(check(&[]).is_err() && check(&["--action", "read"]).is_err());
        assert!(check(&["--decoder", "crm"]).is_err() && check(&["--text", "select 1"]).is_err());
        assert!(check(&["--decoder", "crm", "--text", "a", "--message", "b"]).is_err());
        assert!(check(&[&action[..], &["--decoder", "crm", "--text", "a"]].concat()).is_err());
        assert!(check(&[&action[..], &["--", "rm"]].concat()).is_err());
        assert!(check(&["--decoder", "crm", "--text", "a", "--attr", "b=c"]).is_err());
    }

    #[test]
    fn request_to_explain_is_given_in_one_way() {
        let explain = |arguments: &[&str]| parses(&[&["map", "explain"], arguments].concat());
        let request = ["-X", "PUT", "-H", "a: b", "-d", "c", "--peer", "spiffe://example.org/ci", "/d"];
        assert_eq!(explain(&request), Ok(()));
        assert_eq!(explain(&["--request", "-", "--extension", "a=b", "--source-ip", "::1"]), Ok(()));
        assert!(explain(&[]).is_err() && explain(&["--request", "-", "/a"]).is_err());
        assert!(explain(&["--request", "-", "-d", "a"]).is_err() && explain(&["-H", "a", "/b"]).is_err());
        assert!(explain(&["--peer", "ci", "/a"]).is_err());
    }

    #[test]
    fn client_certificate_needs_its_key() {
        let check = ["check", "--action", "read", "--resource", "Document::a", "--client-cert", "c.pem"];
        assert!(parses(&check).is_err());
        assert_eq!(parses(&[&check[..], &["--client-key", "k.pem"]].concat()), Ok(()));
    }
}
