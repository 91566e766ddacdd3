//! Errors from the server: a gRPC status, read for people.

use std::fmt::{self, Write as _};

use chaperone_api::chaperone::v1::{PolicyServiceValidateResponse, Problem};
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::output::{BAD, paint, plain};

const PROBLEMS_TYPE: &str = "type.googleapis.com/chaperone.v1.PolicyServiceValidateResponse";

/// What the server said instead of an answer.
#[derive(Debug)]
pub struct Refusal {
    /// The canonical code.
    pub code: Code,
    /// The server's sentence.
    pub message: String,
    /// `ErrorInfo.reason`, the stable code.
    pub reason: Option<String>,
    /// `BadRequest.field_violations`: the field, and what is wrong with it.
    pub violations: Vec<(String, String)>,
    /// The problems of a bundle that was refused.
    pub problems: Vec<Problem>,
}

impl Refusal {
    /// Reads a status with its details. Details that do not decode are left out.
    pub fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| {
            bad.field_violations
                .iter()
                .map(|violation| (violation.field.clone(), violation.description.clone()))
                .collect()
        });
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            reason: details.error_info().map(|info| info.reason.clone()).filter(|reason| !reason.is_empty()),
            violations: violations.unwrap_or_default(),
            problems: problems(status),
        }
    }

    /// The styled text for standard error.
    pub fn render(&self) -> String {
        let name = self.reason.clone().unwrap_or_else(|| format!("{:?}", self.code));
        let mut out = format!("{} {}\n", paint(BAD, &format!("error[{}]:", plain(&name))), plain(&self.message));
        for (field, description) in &self.violations {
            let line = format!("{field}: {description}");
            // The sentence of a request with one bad field is that line.
            if line != self.message {
                // Writing to a String cannot fail.
                let _ = writeln!(out, "  {}", plain(&line));
            }
        }
        if let Some(help) = help(self.code) {
            let _ = writeln!(out, "  help: {help}");
        }
        out
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The problems that the refusal of an upload carries.
fn problems(status: &Status) -> Vec<Problem> {
    let Ok(details) = tonic_types::pb::Status::decode(status.details()) else { return Vec::new() };
    details
        .details
        .iter()
        .filter(|detail| detail.type_url == PROBLEMS_TYPE)
        .filter_map(|detail| PolicyServiceValidateResponse::decode(detail.value.as_slice()).ok())
        .flat_map(|response| response.problems)
        .collect()
}

fn help(code: Code) -> Option<&'static str> {
    match code {
        Code::Unauthenticated => Some(
            "the admin plane asks for a token (--token-file FILE) or a client certificate (--client-cert, --client-key)",
        ),
        Code::Unimplemented => Some(
            "checks are served on the data plane (port 7401 by default), everything else on the admin plane (7402): \
             are --data and --admin mixed up, or is the server older than this command?",
        ),
        Code::ResourceExhausted => Some("the server sheds load, or the request is too large; see its message"),
        Code::Unavailable => Some("the server cannot decide or store just now; its /readyz and its log say why"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use chaperone_api::google::rpc;
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn reason_and_fields_are_shown() {
        let mut details = ErrorDetails::with_error_info("invalid_request", "chaperone", [] as [(String, String); 0]);
        details.add_bad_request_violation("principal.type", "`Robot` is not in the schema");
        let status = Status::with_error_details(Code::InvalidArgument, "the request is not valid", details);
        let shown = anstream::adapter::strip_str(&Refusal::of(&status).render()).to_string();
        assert_eq!(
            shown,
            "error[invalid_request]: the request is not valid\n  principal.type: `Robot` is not in the schema\n"
        );
    }

    #[test]
    fn field_that_the_sentence_names_is_not_repeated() {
        let mut details = ErrorDetails::with_error_info("INVALID_FIELD", "chaperone", [] as [(String, String); 0]);
        details.add_bad_request_violation("owner", "is required");
        let status = Status::with_error_details(Code::InvalidArgument, "owner: is required", details);
        let shown = anstream::adapter::strip_str(&Refusal::of(&status).render()).to_string();
        assert_eq!(shown, "error[INVALID_FIELD]: owner: is required\n");
    }

    #[test]
    fn problems_are_found_among_other_details() {
        let problem = Problem { code: "policy_syntax".to_owned(), ..Problem::default() };
        let response = PolicyServiceValidateResponse { problems: vec![problem.clone()], ..Default::default() };
        let any = |type_url: &str, value| prost_types::Any { type_url: type_url.to_owned(), value };
        let details = rpc::Status {
            code: 3,
            message: String::new(),
            details: vec![any("type.googleapis.com/other", vec![1]), any(PROBLEMS_TYPE, response.encode_to_vec())],
        };
        let status =
            Status::with_details(Code::InvalidArgument, "the bundle has problems", details.encode_to_vec().into());
        assert_eq!(Refusal::of(&status).problems, [problem]);
    }

    #[test]
    fn details_that_do_not_decode_leave_code_and_message() {
        let status = Status::with_details(Code::NotFound, "no such session", vec![0xff; 9].into());
        let refusal = Refusal::of(&status);
        assert!(refusal.reason.is_none() && refusal.problems.is_empty());
        assert!(refusal.render().contains("no such session"));
    }
}
