//! The use cases of the admin plane: sessions, bundles, entities, approvals, the trail. They see neither protobuf nor SQL.

pub mod approvals;
pub mod backfill;
pub mod bundles;
pub mod canary;
pub mod entities;
pub mod memories;
pub mod rollouts;
pub mod sessions;
pub mod signals;
pub mod trail;

use std::time::Duration;

use chaperone_policy::{ChangeError, Problem, SessionId, TransitionError};
use chaperone_store::StoreError;
use chaperone_trail::SourceError;

/// How long an administrator's call waits for this replica to apply what it changed.
const CATCH_UP: Duration = Duration::from_secs(2);
/// How often a change is tried again when another writer was faster.
const CONFLICT_RETRIES: usize = 5;

/// Why an administrator's call was refused.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// A field is not as it must be.
    #[error("{field}: {message}")]
    Invalid {
        /// The field, as the API names it.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// A bundle has problems.
    #[error("the bundle has {} problem(s)", .0.len())]
    Problems(Vec<Problem>),
    /// There is no such thing.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The state of things does not allow it.
    #[error("{message}")]
    Precondition {
        /// A stable code.
        code: &'static str,
        /// Why not.
        message: String,
    },
    /// There is no room for what was to be remembered.
    #[error(transparent)]
    Full(ChangeError),
    /// What gives authority is not done while it could not be recorded. Nothing was done.
    #[error("the trail cannot be written now, so this is not done")]
    TrailUnavailable,
    /// It was done, and stands; but there is no record of it.
    #[error("`{act}` was done, but it is not on record: the trail cannot be written")]
    NotRecorded {
        /// What was done, as its record would have it.
        act: String,
    },
    /// The store did not do it.
    #[error(transparent)]
    Store(StoreError),
    /// The trail cannot be read.
    #[error(transparent)]
    Trail(#[from] SourceError),
}

impl AdminError {
    fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), message: message.into() }
    }

    /// A refusal with this stable code.
    pub(crate) fn precondition(code: &'static str, message: impl Into<String>) -> Self {
        Self::Precondition { code, message: message.into() }
    }

    fn no_session(id: SessionId) -> Self {
        Self::NotFound(format!("session `{id}`"))
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what } => Self::NotFound(what),
            StoreError::BundleConflict { active } => Self::Precondition {
                code: "bundle_conflict",
                message: format!("bundle {active} is active, not the expected one"),
            },
            other => Self::Store(other),
        }
    }
}

impl From<TransitionError> for AdminError {
    fn from(error: TransitionError) -> Self {
        Self::Precondition { code: "session_ended", message: error.to_string() }
    }
}
