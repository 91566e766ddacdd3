//! What failures look like in gRPC: a canonical code and `google.rpc` details, whose `ErrorInfo.reason` is the stable code.

use chaperone_api::chaperone::v1 as api;
use chaperone_policy::{Problem, ReportError};
use chaperone_store::{StoreError, TreeLimit};
use chaperone_trail::SourceError;
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::admin::AdminError;
use crate::causes::causes;
use crate::no_decision::NoDecision;
use crate::pdp::ReportFailure;

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "chaperone";

impl From<NoDecision> for Status {
    fn from(failure: NoDecision) -> Self {
        let code = match failure {
            NoDecision::Stale
            | NoDecision::StoreUnavailable
            | NoDecision::NoBundle
            | NoDecision::BundleUnusable
            | NoDecision::TrailUnavailable => Code::Unavailable,
            NoDecision::Deadline => Code::DeadlineExceeded,
            NoDecision::Overloaded => Code::ResourceExhausted,
            NoDecision::Contention => Code::Aborted,
            NoDecision::Unreadable => Code::InvalidArgument,
            NoDecision::Internal => Code::Internal,
        };
        with_reason(code, failure.code(), failure.to_string())
    }
}

impl From<AdminError> for Status {
    fn from(error: AdminError) -> Self {
        let message = error.to_string();
        match error {
            AdminError::Invalid { field, message: violation } => {
                let mut details = ErrorDetails::new();
                details.set_error_info("INVALID_FIELD", DOMAIN, []).add_bad_request_violation(field, violation);
                Self::with_error_details(Code::InvalidArgument, message, details)
            }
            AdminError::Problems(problems) => with_problems(&problems, message),
            AdminError::NotFound(_) => with_reason(Code::NotFound, "not_found", message),
            AdminError::Precondition { code, .. } => with_reason(Code::FailedPrecondition, code, message),
            AdminError::Full(_) => with_reason(Code::ResourceExhausted, "memory_full", message),
            AdminError::TrailUnavailable => with_reason(Code::Unavailable, "trail_unavailable", message),
            AdminError::NotRecorded { .. } => with_reason(Code::DataLoss, "act_not_recorded", message),
            AdminError::Store(error) => store_status(&error),
            AdminError::Trail(error) => trail_status(&error),
        }
    }
}

impl From<ReportFailure> for Status {
    fn from(failure: ReportFailure) -> Self {
        let message = failure.to_string();
        match failure {
            ReportFailure::NoSession(_) => with_reason(Code::NotFound, "not_found", message),
            ReportFailure::Refused(ReportError::Fact { name, message }) => {
                AdminError::Invalid { field: format!("facts.{name}"), message }.into()
            }
            ReportFailure::Refused(ReportError::AlreadyReported(_)) => {
                with_reason(Code::FailedPrecondition, "already_reported", message)
            }
            ReportFailure::Refused(ReportError::Full { .. }) => {
                with_reason(Code::ResourceExhausted, "memory_full", message)
            }
            ReportFailure::Unable(failure) => failure.into(),
        }
    }
}

fn store_status(error: &StoreError) -> Status {
    match error {
        StoreError::SessionConflict { .. } | StoreError::ApprovalConflict { .. } => {
            with_reason(Code::Aborted, "contention", error.to_string())
        }
        StoreError::TreeFull { limit } => {
            let reason = match limit {
                TreeLimit::Children { .. } => "too_many_children",
                TreeLimit::Sessions { .. } => "too_many_sessions",
            };
            with_reason(Code::ResourceExhausted, reason, error.to_string())
        }
        StoreError::BundleConflict { .. } => {
            with_reason(Code::FailedPrecondition, "bundle_conflict", error.to_string())
        }
        StoreError::NotFound { .. } => with_reason(Code::NotFound, "not_found", error.to_string()),
        StoreError::FeedGap | StoreError::Unavailable(_) => {
            tracing::error!(error = causes(error), "the store did not do what was asked");
            with_reason(Code::Unavailable, "store_unavailable", "the store is unavailable".into())
        }
        // No caller of ours asks for this; one that does is not told more.
        StoreError::Overlap { .. } => {
            tracing::error!(error = causes(error), "the store was asked for what it does not do");
            with_reason(Code::Internal, "internal", "the store was asked for what it does not do".into())
        }
        // The caller can do nothing about these, and learns nothing of our insides.
        StoreError::Corrupt { .. } | StoreError::Schema(_) => {
            tracing::error!(error = causes(error), "the store holds what this program cannot use");
            with_reason(Code::Internal, "internal", "the store holds what this program cannot use".into())
        }
    }
}

fn trail_status(error: &SourceError) -> Status {
    tracing::error!(error = causes(error), "the trail was not read");
    match error {
        SourceError::Unavailable(_) => with_reason(Code::Unavailable, "trail_unavailable", error.to_string()),
        SourceError::Damaged { .. } => with_reason(Code::DataLoss, "trail_damaged", error.to_string()),
    }
}

/// A status with its stable code.
pub fn with_reason(code: Code, reason: &str, message: String) -> Status {
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, []))
}

/// The end of a stream that stopping cuts short.
pub fn draining() -> Status {
    with_reason(Code::Unavailable, "draining", "the server is stopping".into())
}

/// `INVALID_ARGUMENT` with every problem of a bundle, as a `PolicyServiceValidateResponse` in the details.
fn with_problems(problems: &[Problem], message: String) -> Status {
    // Details travel in a header, and headers are small. Validate lists all of them.
    const LISTED_BYTES_MAX: usize = 4096;
    let mut bytes = 0;
    let listed = problems.iter().map(problem_to_api).take_while(|problem| {
        bytes += problem.encoded_len();
        bytes <= LISTED_BYTES_MAX
    });
    let response =
        api::PolicyServiceValidateResponse { problems: listed.collect(), digest: String::new(), policy_count: 0 };
    let details = chaperone_api::google::rpc::Status {
        code: i32::from(Code::InvalidArgument),
        message: message.clone(),
        details: vec![prost_types::Any {
            type_url: "type.googleapis.com/chaperone.v1.PolicyServiceValidateResponse".into(),
            value: response.encode_to_vec(),
        }],
    };
    Status::with_details(Code::InvalidArgument, message, details.encode_to_vec().into())
}

/// As the API writes it.
pub fn problem_to_api(problem: &Problem) -> api::Problem {
    api::Problem {
        file: problem.file.clone(),
        line: problem.line,
        column: problem.column,
        code: problem.code.to_owned(),
        message: problem.message.clone(),
        excerpt: problem.excerpt.clone(),
        help: problem.help.clone(),
    }
}
