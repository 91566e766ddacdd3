//! `chaperone bundle`: init, validate, lint, fmt, test, push, activate, list, show, history, rollback, diff, and drafts.

mod analysis;
mod canary;
mod diff;
mod fmt;
mod history;
mod import_mcp;
mod init;
mod lint;
mod replay;
mod rollback;
mod rollout;
mod shadow;
mod sign;
mod source_dir;
mod test;
pub(crate) use source_dir::read as read_folder;
mod validate;
pub(crate) use validate::read as read_to_send;
mod view;

use std::path::PathBuf;

use chaperone_api::chaperone::v1::{
    BundleFile, PolicyServiceActivateRequest, PolicyServiceGetRequest, PolicyServiceListRequest,
    PolicyServiceUploadRequest,
};
use clap::{Args, Subcommand};
use serde::Serialize;

use self::canary::CanaryCommand;
use self::diff::DiffArgs;
use self::fmt::FmtArgs;
use self::history::HistoryArgs;
use self::import_mcp::ImportMcpArgs;
use self::init::InitArgs;
use self::lint::LintArgs;
use self::replay::ReplayArgs;
use self::rollback::RollbackArgs;
use self::rollout::{RolloutArgs, WaitOptions};
use self::shadow::ShadowCommand;
use self::sign::{KeygenArgs, SignArgs};
use self::test::TestArgs;
use self::validate::ValidateArgs;
pub(super) use self::validate::compile_folder;
use self::view::{BundleJson, BundleWithFilesJson};
use super::connect::AdminOptions;
use super::failure::{Failure, Verdict};
use super::output::{self, Format, GOOD, paint};
use super::paging;

/// What an activation may take its time for.
const WORK: &str = "the bundle is checked, and what it newly counts, labels and remembers is filled in from the trail";

const VALIDATE_HELP: &str = "\
Examples:
  chaperone bundle validate ./bundle
  chaperone bundle validate ./bundle --output json
  chaperone bundle validate ./bundle --output github   # in a workflow

Exit codes: 0 the bundle is valid, 1 it has problems, 2 it could not be read.";

const PUSH_HELP: &str = "\
Examples:
  chaperone bundle push ./bundle --message 'exports need an approval'
  chaperone bundle push ./bundle --activate             # and wait until every live replica serves it
  chaperone bundle push ./bundle --activate --wait 5m

The same files again are the bundle that they are: nothing is stored twice. A signature in bundle.sig is sent along.

Exit codes: 0 stored, and served where it was activated, 1 the bundle has problems, 2 it could not be read or sent, or a replica does not
serve it in time.";

const ACTIVATE_HELP: &str = "\
Examples:
  chaperone bundle activate 7
  chaperone bundle activate 7 --expected 6   # only if 6 is still active";

const SHOW_HELP: &str = "\
Examples:
  chaperone bundle show
  chaperone bundle show 6 --file policies/main.cedar";

/// Validate, test, push and activate bundles of policies
#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Write a good first bundle
    #[command(after_help = init::HELP)]
    Init(InitArgs),
    /// Say what is wrong with a bundle, without a server
    #[command(after_help = VALIDATE_HELP)]
    Validate(ValidateArgs),
    /// Run a bundle's tests, without a server
    #[command(after_help = test::HELP)]
    Test(TestArgs),
    /// Say what is valid in a bundle and hardly meant, without a server
    #[command(after_help = lint::HELP)]
    Lint(LintArgs),
    /// Put policies into one spelling
    #[command(after_help = fmt::HELP)]
    Fmt(FmtArgs),
    /// Sign a bundle
    #[command(after_help = sign::HELP)]
    Sign(SignArgs),
    /// Make a key to sign bundles with, and print its public half
    #[command(after_help = sign::HELP)]
    Keygen(KeygenArgs),
    /// Store a bundle under the next number
    #[command(after_help = PUSH_HELP)]
    Push(PushArgs),
    /// Make a stored bundle the one that decides, on every replica
    #[command(after_help = ACTIVATE_HELP)]
    Activate(ActivateArgs),
    /// Make an earlier bundle the one that decides again, on every replica
    #[command(after_help = rollback::HELP)]
    Rollback(RollbackArgs),
    /// List the stored bundles, newest first
    List(ListArgs),
    /// Show which bundle each live replica serves
    #[command(after_help = rollout::HELP)]
    Rollout(RolloutArgs),
    /// List what was active, newest first: which bundle, when, by whom and why
    #[command(after_help = history::HELP)]
    History(HistoryArgs),
    /// Show one bundle, or one of its files
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),
    /// Show where two bundles differ: stored ones, or folders
    #[command(after_help = diff::HELP)]
    Diff(DiffArgs),
    /// Say what a bundle would have decided otherwise, by the trail, before it is activated
    #[command(after_help = replay::HELP)]
    Replay(Box<ReplayArgs>),
    /// Have a bundle decide beside the active one, on live traffic, without answering anybody
    #[command(subcommand)]
    Shadow(ShadowCommand),
    /// Have a bundle decide for a part of the sessions; then widen that, promote the bundle, or abort
    #[command(subcommand)]
    Canary(CanaryCommand),
    /// Draft schema and mapping for the tools of an MCP server
    #[command(after_help = import_mcp::HELP)]
    ImportMcp(ImportMcpArgs),
}

/// Arguments of `bundle push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// The bundle's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Activate it at once
    #[arg(long)]
    activate: bool,
    #[command(flatten)]
    expansion: ExpansionOption,
    #[command(flatten)]
    backfill: BackfillOption,
    #[command(flatten)]
    wait: WaitOptions,
    /// A note for the history
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Whether a bundle may allow more than the active one.
#[derive(Clone, Copy, Debug, Args)]
struct ExpansionOption {
    /// Go ahead also where it can allow what the active bundle does not, or that cannot be decided
    #[arg(long)]
    allow_expansion: bool,
}

/// Whether what a bundle newly keeps is filled in.
#[derive(Clone, Copy, Debug, Args)]
struct BackfillOption {
    /// Let what it counts, labels and remembers for the first time begin with its activation, instead of filling that in from the trail
    #[arg(long)]
    skip_backfill: bool,
}

/// Arguments of `bundle activate`.
#[derive(Debug, Args)]
pub struct ActivateArgs {
    /// The bundle's number
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    number: u64,
    /// Only if this one is active now
    #[arg(long, value_name = "NUMBER")]
    expected: Option<u64>,
    #[command(flatten)]
    expansion: ExpansionOption,
    #[command(flatten)]
    backfill: BackfillOption,
    #[command(flatten)]
    wait: WaitOptions,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Arguments of `bundle list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Arguments of `bundle show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The bundle's number, or `active`
    #[arg(default_value = "active", value_parser = number_or_active)]
    number: u64,
    /// Print the text of this file, such as policies/main.cedar
    #[arg(long, value_name = "PATH")]
    file: Option<String>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table, conflicts_with = "file")]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

#[derive(Debug, Serialize)]
struct PushedJson<'a> {
    #[serde(flatten)]
    bundle: BundleJson<'a>,
    created: bool,
}

impl BundleCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// `Invalid` for a bundle with problems; the others as they come.
    pub async fn run(self) -> Result<Verdict, Failure> {
        match self {
            Self::Validate(args) => return args.run(),
            Self::Test(args) => return args.run().await,
            Self::Lint(args) => return args.run(),
            Self::Fmt(args) => return args.run(),
            Self::Rollout(args) => return args.run().await,
            Self::Init(args) => args.run(),
            Self::Sign(args) => args.run(),
            Self::Keygen(args) => args.run(),
            Self::Diff(args) => return args.run().await,
            Self::Replay(args) => return args.run().await,
            Self::Shadow(command) => return command.run().await,
            Self::Canary(command) => command.run().await,
            Self::Push(args) => args.run().await,
            Self::Activate(args) => args.run().await,
            Self::Rollback(args) => args.run().await,
            Self::List(args) => args.run().await,
            Self::History(args) => args.run().await,
            Self::Show(args) => args.run().await,
            Self::ImportMcp(args) => args.run(),
        }?;
        Ok(Verdict::Yes)
    }
}

impl PushArgs {
    async fn run(self) -> Result<(), Failure> {
        let (source, signature) = validate::read_signed(&self.folder)?;
        let link = self.admin.connect().await?;
        let files = source.files.into_iter().map(|(path, content)| BundleFile { path, content }).collect();
        let (ExpansionOption { allow_expansion }, BackfillOption { skip_backfill }) = (self.expansion, self.backfill);
        let (message, activate) = (self.message, self.activate);
        let request =
            PolicyServiceUploadRequest { files, message, activate, signature, allow_expansion, skip_backfill };
        let mut policies = link.policies_without_deadline();
        let response =
            link.answer_of_long_work(policies.upload(request), WORK).await.map_err(|failure| match failure {
                Failure::Refused(refusal) if !refusal.problems.is_empty() => {
                    Failure::Invalid { place: self.folder.display().to_string(), problems: refusal.problems }
                }
                other => other,
            })?;
        let bundle = response.bundle.unwrap_or_default();
        if self.activate {
            view::tell_backfill(response.backfill.as_ref());
            self.wait.until_served(&link, bundle.number).await?;
        }
        if self.output == Format::Json {
            return output::print_json(&PushedJson { bundle: (&bundle).into(), created: response.created });
        }
        let (number, count) = (bundle.number, bundle.policy_count);
        let what = if response.created {
            format!("stored as bundle {number} ({count} policies)")
        } else {
            format!("this is bundle {number} already; nothing was stored")
        };
        let state = if bundle.active {
            paint(GOOD, "active")
        } else {
            format!("not active; activate it with `chaperone bundle activate {number}`")
        };
        output::print(&format!("{what}, {state}\n"))
    }
}

impl ActivateArgs {
    async fn run(self) -> Result<(), Failure> {
        let link = self.admin.connect().await?;
        let request = PolicyServiceActivateRequest {
            number: self.number,
            expected_active: self.expected,
            message: self.message,
            allow_expansion: self.expansion.allow_expansion,
            skip_backfill: self.backfill.skip_backfill,
        };
        let mut policies = link.policies_without_deadline();
        let response = link.answer_of_long_work(policies.activate(request), WORK).await?;
        view::tell_backfill(response.backfill.as_ref());
        let bundle = response.bundle.unwrap_or_default();
        self.wait.until_served(&link, bundle.number).await?;
        match self.output {
            Format::Json => output::print_json(&BundleJson::from(&bundle)),
            Format::Table => output::print(&format!("bundle {} is {}\n", bundle.number, paint(GOOD, "active"))),
        }
    }
}

impl ListArgs {
    async fn run(self) -> Result<(), Failure> {
        let link = self.admin.connect().await?;
        let bundles = paging::collect(self.limit, async |page_size, page_token| {
            let request = PolicyServiceListRequest { page_size, page_token };
            let response = link.answer(link.policies().list(request)).await?;
            Ok((response.bundles, response.next_page_token))
        })
        .await?;
        match self.output {
            Format::Json => output::print_json(&bundles.iter().map(BundleJson::from).collect::<Vec<_>>()),
            Format::Table => output::print(&view::list(&bundles)),
        }
    }
}

impl ShowArgs {
    async fn run(self) -> Result<(), Failure> {
        let link = self.admin.connect().await?;
        let request = PolicyServiceGetRequest { number: self.number };
        let response = link.answer(link.policies().get(request)).await?;
        let bundle = response.bundle.unwrap_or_default();
        let Some(path) = self.file else {
            return match self.output {
                Format::Json => output::print_json(&BundleWithFilesJson::new(&bundle, &response.files)),
                Format::Table => output::print(&view::details(&bundle, &response.files)),
            };
        };
        if let Some(file) = response.files.iter().find(|file| file.path == path) {
            return output::print_raw(file.content.as_bytes());
        }
        let paths: Vec<&str> = response.files.iter().map(|file| file.path.as_str()).collect();
        Err(Failure::Input(format!("bundle {} has no file `{path}`; it has {}", bundle.number, paths.join(", "))))
    }
}

/// Zero stands for the active bundle.
fn number_or_active(text: &str) -> Result<u64, String> {
    match text {
        "active" => Ok(0),
        _ => text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "a number from 1, or `active`".to_owned()),
    }
}
