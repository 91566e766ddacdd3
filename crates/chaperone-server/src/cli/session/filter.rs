//! Which sessions a listing or a watch is about.

use chaperone_api::chaperone::v1::{EntityRef, SessionFilter, SessionState};
use clap::{Args, ValueEnum};

use crate::cli::failure::Failure;
use crate::cli::parse::{self, SessionIdArg};

/// Options that narrow a set of sessions; every one that is given must hold.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub struct FilterOptions {
    /// Of this principal, such as 'Agent::"report-bot"'
    #[arg(long, value_name = "ENTITY", value_parser = parse::entity_ref)]
    principal: Option<EntityRef>,
    /// Of this owner
    #[arg(long, value_name = "OWNER", default_value = "", hide_default_value = true)]
    owner: String,
    /// Of this task
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    task_id: String,
    /// In the tree under this root session
    #[arg(long, value_name = "ID", value_parser = parse::session_id)]
    tree: Option<SessionIdArg>,
}

/// A session's state, as an option.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum StateOption {
    /// It has authority by its own record, whatever became of its ancestors
    Active,
    /// Its time is over
    Expired,
    /// It was unused for too long
    Idle,
    /// Its task was completed
    Completed,
    /// It was revoked
    Revoked,
}

impl FilterOptions {
    /// The filter that the API takes.
    ///
    /// # Errors
    /// `Input` when a handle was given for an id.
    pub fn into_filter(self, state: Option<StateOption>) -> Result<SessionFilter, Failure> {
        Ok(SessionFilter {
            principal: self.principal,
            owner: self.owner,
            task_id: self.task_id,
            tree_id: self.tree.map(SessionIdArg::into_id).transpose()?.unwrap_or_default(),
            state: state.map_or(SessionState::Unspecified, SessionState::from).into(),
        })
    }
}

impl From<StateOption> for SessionState {
    fn from(state: StateOption) -> Self {
        match state {
            StateOption::Active => Self::Active,
            StateOption::Expired => Self::Expired,
            StateOption::Idle => Self::Idle,
            StateOption::Completed => Self::Completed,
            StateOption::Revoked => Self::Revoked,
        }
    }
}
