//! `chaperone session open`.

use std::path::PathBuf;
use std::time::Duration;

use chaperone_api::chaperone::v1::{
    Binding, EntityRef, Scope, ScopeGrant, ScopeGrants, SessionServiceOpenRequest, Task, scope,
};
use clap::Args;
use serde::Serialize;

use super::actor;
use super::view::{SessionJson, details};
use crate::cli::connect::AdminOptions;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Format, STRONG, paint, plain};
use crate::cli::{files, parse};

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone session open --principal 'Agent::\"report-bot\"' --owner ann@example.com
  chaperone session open --principal 'Agent::\"report-bot\"' --owner ann@example.com \\
      --task-id TICKET-7 --purpose 'monthly report' --scope-allow 'read:Document::\"welcome\"' --lifetime 1h
  chaperone session open --parent 0198c0de-0000-7000-8000-000000000001 --scope-allow read   # delegate less
  CHAPERONE_SESSION=$(chaperone session open --quiet --principal … --owner …)";

/// How large a scope's file may be, in bytes.
const SCOPE_BYTES_MAX: u64 = 1024 * 1024;

/// Arguments of `session open`.
#[derive(Debug, Args)]
pub struct OpenArgs {
    /// Who acts, such as 'Agent::"report-bot"'; with --parent the parent's principal unless given
    #[arg(long, value_name = "ENTITY", value_parser = parse::entity_ref, required_unless_present = "parent")]
    principal: Option<EntityRef>,
    /// The person or team that answers for it; with --parent the parent's owner unless given
    #[arg(long, value_name = "OWNER", required_unless_present = "parent")]
    owner: Option<String>,
    /// Your id for the task, such as a ticket's
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    task_id: String,
    /// What the session is for, in words
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    purpose: String,
    /// The session to delegate from
    #[arg(long, value_name = "ID", value_parser = parse::session_id)]
    parent: Option<parse::SessionIdArg>,
    /// The act claim (RFC 8693) of the token that it is opened for, as JSON or @FILE (@- is standard input); refused unless it tells of the
    /// actors that --parent and --principal make
    #[arg(long, value_name = "JSON|@FILE", requires = "parent")]
    act: Option<String>,
    /// File with Cedar policies that say what the session may ever do
    #[arg(long, value_name = "FILE", conflicts_with = "scope_allow")]
    scope_file: Option<PathBuf>,
    /// What the session may ever do: ACTION or ACTION:ENTITY, such as 'read:Document::"welcome"' (repeatable)
    #[arg(long, value_name = "GRANT", value_parser = parse::scope_grant)]
    scope_allow: Vec<ScopeGrant>,
    /// Give it this label (repeatable)
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// Only a presenter with this SPIFFE ID may use it
    #[arg(long, value_name = "SPIFFE_ID", default_value = "", hide_default_value = true)]
    bind_spiffe: String,
    /// Only a presenter with this certificate may use it: a PEM file, or sha256:HEX
    #[arg(long, value_name = "FILE|sha256:HEX", value_parser = parse::certificate_sha256)]
    bind_certificate: Option<parse::Thumbprint>,
    /// Only a presenter whose address is in this network zone of the active bundle may use it (repeatable: in any of them)
    #[arg(long = "bind-zone", value_name = "ZONE")]
    bind_zones: Vec<String>,
    /// How long it lasts, such as 1h [default: the server's]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    lifetime: Option<Duration>,
    /// End it when it was not used for this long, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    idle_timeout: Option<Duration>,
    /// Print the handle and nothing else
    #[arg(long, short, conflicts_with = "output")]
    quiet: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

#[derive(Debug, Serialize)]
struct OpenedJson<'a> {
    #[serde(flatten)]
    session: SessionJson<'a>,
    handle: &'a str,
}

impl OpenArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        let (quiet, format) = (self.quiet, self.output);
        let scope = match &self.scope_file {
            Some(path) => Some(scope::Kind::Cedar(files::read_text(path, SCOPE_BYTES_MAX)?)),
            None if self.scope_allow.is_empty() => None,
            None => Some(scope::Kind::Grants(ScopeGrants { grants: self.scope_allow })),
        };
        let certificate_sha256 = self.bind_certificate.map(parse::Thumbprint::into_bytes).unwrap_or_default();
        let parent_id = self.parent.map(parse::SessionIdArg::into_id).transpose()?.unwrap_or_default();
        let zones = self.bind_zones;
        let is_bound = !(self.bind_spiffe.is_empty() && certificate_sha256.is_empty() && zones.is_empty());
        let act = self.act.as_deref().map(actor::read).transpose()?;
        let link = self.admin.connect().await?;
        let request = SessionServiceOpenRequest {
            principal: self.principal,
            owner: self.owner.unwrap_or_default(),
            task: Some(Task { id: self.task_id, purpose: self.purpose }),
            parent_id,
            scope: scope.map(|kind| Scope { kind: Some(kind) }),
            labels: self.labels,
            binding: is_bound.then_some(Binding { spiffe_id: self.bind_spiffe, certificate_sha256, zones }),
            lifetime: self.lifetime.map(parse::to_wire),
            idle_timeout: self.idle_timeout.map(parse::to_wire),
            act,
        };
        let response = link.answer(link.sessions().open(request)).await?;
        let (session, handle) = (response.session.unwrap_or_default(), plain(&response.handle));
        if quiet {
            return output::print(&format!("{handle}\n"));
        }
        match format {
            Format::Json => output::print_json(&OpenedJson { session: (&session).into(), handle: &handle }),
            Format::Table => {
                output::print(&format!("{}\nhandle {}\n", details(&session).trim_end(), paint(STRONG, &handle)))?;
                output::note(
                    "note: the handle is a secret and cannot be shown again; \
                     `chaperone check` reads it from CHAPERONE_SESSION or --session-file",
                );
                Ok(())
            }
        }
    }
}
