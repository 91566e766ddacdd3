//! `chaperone approval approve`, `deny` and `cancel`.

use std::time::Duration;

use chaperone_api::chaperone::v1::{
    ApprovalScope, ApprovalServiceApproveRequest, ApprovalServiceCancelRequest, ApprovalServiceDenyRequest,
};
use clap::Args;

use super::{approval_id, view};
use crate::cli::connect::AdminOptions;
use crate::cli::failure::Failure;
use crate::cli::output::Format;
use crate::cli::parse;

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone approval approve 0198c0de-0000-7000-8000-000000000001 --by bob@example.com
  chaperone approval approve 0198c0de-0000-7000-8000-000000000001 --by bob@example.com --duration 5m --uses 3

Look at what is asked with `chaperone approval show` first. Whoever asked cannot approve it.";

/// Arguments of `approval approve`.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    #[command(flatten)]
    answer: AnswerArgs,
    /// How long it counts, such as 5m; as long as it may, unless this says less
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    duration: Option<Duration>,
    /// How many actions it lets pass
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    uses: u32,
    /// Let it count for every session of the tree, not only for the one that asked
    #[arg(long)]
    tree: bool,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Arguments of `approval deny` and `approval cancel`.
#[derive(Debug, Args)]
pub struct CloseArgs {
    #[command(flatten)]
    answer: AnswerArgs,
    #[command(flatten)]
    admin: AdminOptions,
}

#[derive(Debug, Args)]
struct AnswerArgs {
    /// The approval's id
    #[arg(value_name = "ID", value_parser = approval_id)]
    approval: String,
    /// Who answers, where the admin plane's credentials do not say: with a token, and without authentication
    #[arg(long, value_name = "NAME", env = "CHAPERONE_APPROVER", default_value = "", hide_default_value = true)]
    by: String,
    /// A note for the record
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    comment: String,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

impl ApproveArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        let Self { answer: AnswerArgs { approval, by, comment, output }, duration, uses, tree, admin } = self;
        let scope = if tree { ApprovalScope::Tree } else { ApprovalScope::Session };
        let request = ApprovalServiceApproveRequest {
            approval_id: approval,
            by,
            comment,
            duration: duration.map(parse::to_wire),
            uses,
            scope: scope.into(),
        };
        let link = admin.connect().await?;
        let approved = link.answer(link.approvals().approve(request)).await?.approval.unwrap_or_default();
        view::print(&approved, output)
    }
}

impl CloseArgs {
    /// Says no.
    ///
    /// # Errors
    /// As they come.
    pub async fn deny(self) -> Result<(), Failure> {
        let AnswerArgs { approval, by, comment, output } = self.answer;
        let request = ApprovalServiceDenyRequest { approval_id: approval, by, comment };
        let link = self.admin.connect().await?;
        let closed = link.answer(link.approvals().deny(request)).await?.approval.unwrap_or_default();
        view::print(&closed, output)
    }

    /// Withdraws the question, or what was granted.
    ///
    /// # Errors
    /// As they come.
    pub async fn cancel(self) -> Result<(), Failure> {
        let AnswerArgs { approval, by, comment, output } = self.answer;
        let request = ApprovalServiceCancelRequest { approval_id: approval, by, comment };
        let link = self.admin.connect().await?;
        let closed = link.answer(link.approvals().cancel(request)).await?.approval.unwrap_or_default();
        view::print(&closed, output)
    }
}
