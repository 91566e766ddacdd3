//! The only place that builds an ext_authz `CheckResponse`, straight into the bytes that leave.
//!
//! INVARIANT (status): every response has a status, because to Envoy one without a status means allow (ext_authz v3
//! `CheckResponse.status`). [`response`] writes one into each, and nothing else makes a response.

use bytes::Bytes;
use chaperone_policy::Reason;
use chaperone_policy::mapping::{HeaderMutation, Mutations, OnFailure};
use serde::Serialize;
use tonic::Code;

use super::ext_authz::Traffic;
use super::wire::Writer;
use crate::no_decision::NoDecision;
use crate::pdp::{Answer, Challenged};

/// What whoever meets a challenge can do.
const INSTRUCTIONS: &str = "a person other than the requester must approve each of these; then ask again, unchanged";
/// About how many bytes an answer has.
const USUAL_BYTES: usize = 640;
/// `HeaderValueOption.HeaderAppendAction`: append, or overwrite, or else add.
const APPEND_IF_EXISTS_OR_ADD: u64 = 0;
const OVERWRITE_IF_EXISTS_OR_ADD: u64 = 2;

/// A denial's body: problem details with members of our own (RFC 9457 section 3).
#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    code: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    approvals: &'a [Wanted<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
}

/// An approval that a challenge asks for, as a member of the problem.
#[derive(Serialize)]
struct Wanted<'a> {
    step_up: &'a str,
    approval: String,
    action: String,
    resource: String,
    expires_at: String,
}

impl<'a> From<&'a Challenged> for Wanted<'a> {
    fn from(wanted: &'a Challenged) -> Self {
        Self {
            step_up: &wanted.step_up,
            approval: wanted.approval.to_string(),
            action: wanted.action.to_string(),
            resource: wanted.resource.to_string(),
            expires_at: wanted.expires_at.to_string(),
        }
    }
}

/// Which of a response's forms says what Envoy is to do; the numbers are those of the fields in `CheckResponse`.
#[derive(Clone, Copy, Debug)]
enum Form {
    Denied = 2,
    Ok = 3,
    Error = 5,
}

/// Lets the request go on, with these changes.
pub(super) fn allow(answer: &Answer, mutations: &Mutations) -> Bytes {
    let ok = |ok: &mut Writer| {
        mutations.headers.iter().for_each(|header| header_option(ok, 2, header));
        mutations.headers_to_remove.iter().for_each(|name| ok.element(5, name));
        mutations.response_headers.iter().for_each(|header| header_option(ok, 6, header));
        for (key, value) in &mutations.query_to_set {
            ok.message(7, |parameter| {
                parameter.text(1, key);
                parameter.text(2, value);
            });
        }
        mutations.query_to_remove.iter().for_each(|name| ok.element(8, name));
    };
    response(Code::Ok, "", Form::Ok, ok, |fields| metadata(fields, answer))
}

/// Stops the request, and says why.
pub(super) fn deny(answer: &Answer, traffic: Traffic) -> Bytes {
    let reason = answer.decision.reason;
    let (code, http) = denied_codes(reason, traffic);
    let acr_values = acr_values(&answer.challenge).filter(|_| matches!(traffic, Traffic::Http));
    let http = if acr_values.is_some() { 401 } else { http };
    let approvals: Vec<Wanted<'_>> = answer.challenge.iter().map(Wanted::from).collect();
    let id = answer.id.to_string();
    let sentence = answer.decision.sentence();
    let body = match traffic {
        Traffic::Http => problem_json(&Problem {
            title: if approvals.is_empty() { "Denied" } else { "Approval required" },
            status: http,
            code: reason.code(),
            reason: sentence,
            decision_id: Some(&id),
            approvals: &approvals,
            instructions: (!approvals.is_empty()).then_some(INSTRUCTIONS),
        }),
        // Envoy makes the body the `grpc-message`.
        Traffic::Grpc | Traffic::Tcp => {
            let mut text = format!("{sentence} [{}, decision {id}", reason.code());
            for wanted in &approvals {
                text.extend([", approval ", &wanted.approval]);
            }
            text.push(']');
            text
        }
    };
    let headers = |headers: &mut Writer| {
        header(headers, "x-chaperone-decision-id", &id);
        if let Some(acr_values) = &acr_values {
            // RFC 9470 section 3.
            let challenge = format!(
                "Bearer realm=\"chaperone\", error=\"insufficient_user_authentication\", \
                 error_description=\"an approval is required\", acr_values=\"{acr_values}\""
            );
            header(headers, "www-authenticate", &challenge);
        } else if http == 401 {
            header(headers, "www-authenticate", "Bearer realm=\"chaperone\"");
        }
    };
    let denied = |response: &mut Writer| denied(response, http, traffic, headers, &body);
    response(code, sentence, Form::Denied, denied, |fields| metadata(fields, answer))
}

/// The authentication contexts that would do, where there are some for everything that is asked for.
fn acr_values(challenge: &[Challenged]) -> Option<String> {
    let mut values: Vec<&str> = Vec::new();
    for wanted in challenge {
        if wanted.acr_values.is_empty() {
            return None;
        }
        let new = wanted.acr_values.iter().filter(|value| !values.contains(&value.as_str()));
        let new: Vec<&str> = new.map(String::as_str).collect();
        values.extend(new);
    }
    (!values.is_empty()).then(|| values.join(" "))
}

/// Stops the request because nothing could be decided.
///
/// A denial, since a failed call is an allow under Envoy's `failure_mode_allow`; the error form only where the mapping of the route
/// asks for it.
pub(super) fn no_decision(failure: NoDecision, traffic: Traffic, on_failure: OnFailure) -> Bytes {
    let sentence = failure.to_string();
    let body = match traffic {
        Traffic::Http => problem_json(&Problem {
            title: "No decision",
            status: 503,
            code: failure.code(),
            reason: &sentence,
            decision_id: None,
            approvals: &[],
            instructions: None,
        }),
        Traffic::Grpc | Traffic::Tcp => format!("{sentence} [{}]", failure.code()),
    };
    let form = match on_failure {
        OnFailure::Deny => Form::Denied,
        OnFailure::Error => Form::Error,
    };
    let denied = |response: &mut Writer| denied(response, 503, traffic, |_| {}, &body);
    response(Code::Unavailable, &sentence, form, denied, |fields| {
        field(fields, "code", |value| value.element(3, failure.code()));
        field(fields, "outcome", |value| value.element(3, "none"));
    })
}

/// A whole response. It has a status, whatever its form and content.
fn response(
    code: Code,
    message: &str,
    form: Form,
    content: impl FnOnce(&mut Writer),
    metadata: impl FnOnce(&mut Writer),
) -> Bytes {
    Writer::frame(USUAL_BYTES, |response| {
        response.message(1, |status| {
            status.varint(1, code as u64);
            status.text(2, message);
        });
        response.message(form as u32, content);
        response.message(4, metadata);
    })
}

/// The gRPC code for Envoy's statistics, and the HTTP status for the client.
///
/// gRPC clients see the HTTP status through Envoy's table: 400 would become INTERNAL, 401 UNAUTHENTICATED, and 429 the retryable
/// UNAVAILABLE. Only 403 becomes `PERMISSION_DENIED`.
fn denied_codes(reason: Reason, traffic: Traffic) -> (Code, u16) {
    let (code, http) = match reason {
        Reason::SessionUnknown | Reason::Unauthenticated => (Code::Unauthenticated, 401),
        Reason::Undecodable => (Code::InvalidArgument, 400),
        // A permit is no reason to deny; whoever asks gets the closed answer.
        Reason::Permitted
        | Reason::NoPermit
        | Reason::Forbidden
        | Reason::StepUpRequired
        | Reason::PolicyError
        | Reason::SessionExpired
        | Reason::SessionIdle
        | Reason::SessionCompleted
        | Reason::SessionRevoked
        | Reason::PrincipalSuspended
        | Reason::BindingMismatch
        | Reason::OutOfScope
        | Reason::MemoryFull => (Code::PermissionDenied, 403),
    };
    match traffic {
        Traffic::Http => (code, http),
        Traffic::Grpc | Traffic::Tcp => (Code::PermissionDenied, 403),
    }
}

/// `DeniedHttpResponse`.
fn denied(response: &mut Writer, http: u16, traffic: Traffic, headers: impl FnOnce(&mut Writer), body: &str) {
    response.message(1, |status| status.varint(1, u64::from(http)));
    match traffic {
        Traffic::Http => {
            header(response, "content-type", "application/problem+json");
            header(response, "cache-control", "no-store");
        }
        // Envoy writes the headers of a gRPC answer itself.
        Traffic::Grpc | Traffic::Tcp => {}
    }
    headers(response);
    response.text(3, body);
}

fn problem_json(problem: &Problem<'_>) -> String {
    // Strings and a number: there is nothing in it that cannot be written as JSON.
    serde_json::to_string(problem).unwrap_or_default()
}

/// A header of a denial.
fn header(denied: &mut Writer, name: &str, value: &str) {
    header_value_option(denied, 2, name, value, false);
}

fn header_option(response: &mut Writer, number: u32, mutation: &HeaderMutation) {
    header_value_option(response, number, &mutation.name, &mutation.value, mutation.append);
}

/// `HeaderValueOption`, with both of Envoy's fields saying the same: older releases read `append`, newer ones `append_action`, whose
/// zero means append.
fn header_value_option(response: &mut Writer, number: u32, name: &str, value: &str, append: bool) {
    let action = if append { APPEND_IF_EXISTS_OR_ADD } else { OVERWRITE_IF_EXISTS_OR_ADD };
    response.message(number, |option| {
        option.message(1, |header| {
            header.text(1, name);
            header.text(2, value);
        });
        option.message(2, |wrapped| wrapped.varint(1, u64::from(append)));
        option.varint(3, action);
        let keep_empty_value = true;
        option.varint(4, u64::from(keep_empty_value));
    });
}

/// What later filters and access logs see under `envoy.filters.http.ext_authz`, sorted by name.
fn metadata(fields: &mut Writer, answer: &Answer) {
    if !answer.challenge.is_empty() {
        field(fields, "approvals", |value| {
            value.message(6, |list| {
                for wanted in &answer.challenge {
                    list.message(1, |value| value.shown(3, wanted.approval));
                }
            });
        });
    }
    #[expect(clippy::cast_precision_loss, reason = "metadata has only doubles; bundle numbers stay far below 2^53")]
    let bundle_number = answer.bundle.get() as f64;
    field(fields, "bundle_number", |value| value.double(2, bundle_number));
    field(fields, "code", |value| value.element(3, answer.decision.reason.code()));
    field(fields, "decision_id", |value| value.shown(3, answer.id));
    field(fields, "outcome", |value| value.element(3, answer.decision.outcome.as_str()));
    field(fields, "policies", |value| {
        value.message(6, |list| {
            for policy in &answer.decision.policies {
                list.message(1, |value| value.element(3, &policy.id));
            }
        });
    });
    field(fields, "session_id", |value| match &answer.session {
        Some(session) => value.shown(3, session.id),
        None => value.element(3, ""),
    });
}

/// A field of a `Struct`, whose `Value` is written by `value`.
fn field(fields: &mut Writer, name: &str, value: impl FnOnce(&mut Writer)) {
    fields.message(1, |entry| {
        entry.text(1, name);
        entry.message(2, value);
    });
}

#[cfg(test)]
#[path = "ext_authz_answer_tests.rs"]
mod tests;
