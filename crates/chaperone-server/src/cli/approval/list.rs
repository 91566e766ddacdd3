//! `chaperone approval list`, `show` and `watch`.

use chaperone_api::chaperone::v1::{
    Approval, ApprovalFilter, ApprovalServiceGetRequest, ApprovalServiceListRequest, ApprovalServiceWatchRequest,
    ApprovalState, EntityRef,
};
use clap::{Args, ValueEnum};

use super::approval_id;
use super::view::{self, ApprovalJson};
use crate::cli::connect::AdminOptions;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Format};
use crate::cli::paging;
use crate::cli::parse::{self, SessionIdArg};

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone approval list
  chaperone approval list --state any --session 0198c0de-0000-7000-8000-000000000001 --output json";

/// Arguments of `approval list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// In this state
    #[arg(long, value_enum, default_value_t = StateOption::Pending, help_heading = "Filters")]
    state: StateOption,
    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Arguments of `approval show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The approval's id
    #[arg(value_name = "ID", value_parser = approval_id)]
    approval: String,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Arguments of `approval watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// How to print the changes; JSON is one document a line
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Options that narrow a set of approvals; every one that is given must hold.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
struct FilterOptions {
    /// Asked by this session
    #[arg(long, value_name = "ID", value_parser = parse::session_id)]
    session: Option<SessionIdArg>,
    /// Asked by this principal, such as 'Agent::"report-bot"'
    #[arg(long, value_name = "ENTITY", value_parser = parse::entity_ref)]
    principal: Option<EntityRef>,
}

/// An approval's state, as an option.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum StateOption {
    /// It waits for answers
    Pending,
    /// Enough people said yes
    Approved,
    /// A person said no
    Denied,
    /// It was withdrawn
    Cancelled,
    /// Nobody answered in time
    Expired,
    /// Any of them
    Any,
}

impl FilterOptions {
    fn into_filter(self, state: ApprovalState) -> Result<ApprovalFilter, Failure> {
        Ok(ApprovalFilter {
            state: state.into(),
            session_id: self.session.map(SessionIdArg::into_id).transpose()?.unwrap_or_default(),
            principal: self.principal,
        })
    }
}

impl From<StateOption> for ApprovalState {
    fn from(state: StateOption) -> Self {
        match state {
            StateOption::Pending => Self::Pending,
            StateOption::Approved => Self::Approved,
            StateOption::Denied => Self::Denied,
            StateOption::Cancelled => Self::Cancelled,
            StateOption::Expired => Self::Expired,
            StateOption::Any => Self::Unspecified,
        }
    }
}

impl ListArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        let filter = self.filter.into_filter(self.state.into())?;
        let link = self.admin.connect().await?;
        let approvals: Vec<Approval> = paging::collect(self.limit, async |page_size, page_token| {
            let request = ApprovalServiceListRequest { filter: Some(filter.clone()), page_size, page_token };
            let page = link.answer(link.approvals().list(request)).await?;
            Ok((page.approvals, page.next_page_token))
        })
        .await?;
        match self.output {
            Format::Json => output::print_json(&approvals.iter().map(ApprovalJson::from).collect::<Vec<_>>()),
            Format::Table => output::print(&view::list(&approvals)),
        }
    }
}

impl ShowArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        let link = self.admin.connect().await?;
        let request = ApprovalServiceGetRequest { approval_id: self.approval };
        let approval = link.answer(link.approvals().get(request)).await?.approval.unwrap_or_default();
        view::print(&approval, self.output)
    }
}

impl WatchArgs {
    /// Runs the command until Ctrl-C.
    ///
    /// # Errors
    /// As they come, and when the server ends the stream: changes after that would be missed in silence.
    pub async fn run(self) -> Result<(), Failure> {
        let filter = self.filter.into_filter(ApprovalState::Unspecified)?;
        let link = self.admin.connect().await?;
        let mut approvals = link.approvals_without_deadline();
        let request = ApprovalServiceWatchRequest { filter: Some(filter) };
        let changes = link.answer(approvals.watch(request)).await?;
        link.follow("approvals", changes, |response| {
            let approval = response.approval.unwrap_or_default();
            match self.output {
                Format::Json => output::print_json_line(&ApprovalJson::from(&approval)),
                Format::Table => output::print(&view::change(&approval)),
            }
        })
        .await
    }
}
