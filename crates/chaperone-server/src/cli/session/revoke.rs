//! `chaperone session revoke`.

use chaperone_api::chaperone::v1::session_service_revoke_request::Target;
use chaperone_api::chaperone::v1::{EntityRef, SessionServiceRevokeRequest};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;

use crate::cli::connect::AdminOptions;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Format};
use crate::cli::parse::{self, SessionIdArg};

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone session revoke 0198c0de-0000-7000-8000-000000000001 --reason 'laptop stolen'
  chaperone session revoke --principal 'Agent::\"report-bot\"'
  chaperone session revoke --owner ann@example.com --reason 'left the company'

A revoked session stays revoked, and every session that was delegated from it ends with it.";

/// Arguments of `session revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Why; shown to whoever is denied by it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Which sessions: exactly one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// One session's id
    #[arg(value_name = "ID", value_parser = parse::session_id)]
    session: Option<SessionIdArg>,
    /// Every session of the tree with this root
    #[arg(long, value_name = "ID", value_parser = parse::session_id)]
    tree: Option<SessionIdArg>,
    /// Every session of this principal, such as 'Agent::"report-bot"'
    #[arg(long, value_name = "ENTITY", value_parser = parse::entity_ref)]
    principal: Option<EntityRef>,
    /// Every session of this owner
    #[arg(long, value_name = "OWNER", value_parser = NonEmptyStringValueParser::new())]
    owner: Option<String>,
    /// Every session of this task
    #[arg(long = "task", alias = "task-id", value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    task: Option<String>,
}

#[derive(Debug, Serialize)]
struct RevokedJson {
    revoked_count: u64,
}

impl RevokeArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        let request = SessionServiceRevokeRequest { target: self.target.into_target()?, reason: self.reason };
        let link = self.admin.connect().await?;
        let revoked_count = link.answer(link.sessions().revoke(request)).await?.revoked_count;
        if self.output == Format::Json {
            return output::print_json(&RevokedJson { revoked_count });
        }
        output::print(
            match revoked_count {
                0 => "no session was revoked: none matches that had not ended already\n".to_owned(),
                1 => "1 session was revoked, and with it whatever was delegated from it\n".to_owned(),
                count => format!("{count} sessions were revoked, and with them whatever was delegated from them\n"),
            }
            .as_str(),
        )
    }
}

impl TargetArgs {
    /// INVARIANT (one target): clap's group lets exactly one through; without one the server refuses the request.
    fn into_target(self) -> Result<Option<Target>, Failure> {
        let Self { session, tree, principal, owner, task } = self;
        Ok(session
            .map(SessionIdArg::into_id)
            .transpose()?
            .map(Target::SessionId)
            .or(tree.map(SessionIdArg::into_id).transpose()?.map(Target::TreeId))
            .or(principal.map(Target::Principal))
            .or(owner.map(Target::Owner))
            .or(task.map(Target::TaskId)))
    }
}
