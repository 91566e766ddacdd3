//! The only place that builds an ext_authz `CheckResponse`.
//!
//! INVARIANT (status): every response has a status, because to Envoy one without a status means allow (ext_authz v3
//! `CheckResponse.status`). The three functions here each set one, and nothing else makes a response.

use std::collections::BTreeMap;

use chaperone_api::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use chaperone_api::envoy::config::core::v3::{HeaderValue, HeaderValueOption, QueryParameter};
use chaperone_api::envoy::service::auth::v3::check_response::HttpResponse;
use chaperone_api::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use chaperone_api::envoy::r#type::v3::HttpStatus;
use chaperone_api::google::rpc;
use chaperone_policy::Reason;
use chaperone_policy::mapping::{HeaderMutation, Mutations, OnFailure};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde::Serialize;
use tonic::Code;

use super::ext_authz::Traffic;
use crate::no_decision::NoDecision;
use crate::pdp::Answer;

/// A denial's body: problem details with three members of our own (RFC 9457 section 3).
#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    code: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_id: Option<String>,
}

/// Lets the request go on, with these changes.
pub(super) fn allow(answer: &Answer, mutations: Mutations) -> CheckResponse {
    let ok = OkHttpResponse {
        headers: mutations.headers.into_iter().map(header_option).collect(),
        headers_to_remove: mutations.headers_to_remove,
        response_headers_to_add: mutations.response_headers.into_iter().map(header_option).collect(),
        query_parameters_to_set: mutations
            .query_to_set
            .into_iter()
            .map(|(key, value)| QueryParameter { key, value })
            .collect(),
        query_parameters_to_remove: mutations.query_to_remove,
        dynamic_metadata: None,
    };
    CheckResponse {
        status: Some(status(Code::Ok, String::new())),
        http_response: Some(HttpResponse::OkResponse(ok)),
        dynamic_metadata: Some(metadata(answer)),
    }
}

/// Stops the request, and says why.
pub(super) fn deny(answer: &Answer, traffic: Traffic) -> CheckResponse {
    let reason = answer.decision.reason;
    let (code, http) = denied_codes(reason, traffic);
    let id = answer.id.to_string();
    let sentence = answer.decision.sentence();
    let body = match traffic {
        Traffic::Http => {
            let problem = Problem {
                title: "Denied",
                status: http,
                code: reason.code(),
                reason: sentence,
                decision_id: Some(id.clone()),
            };
            problem_json(&problem)
        }
        // Envoy makes the body the `grpc-message`.
        Traffic::Grpc | Traffic::Tcp => format!("{sentence} [{}, decision {id}]", reason.code()),
    };
    let mut headers = body_headers(traffic);
    headers.push(header("x-chaperone-decision-id", id));
    if http == 401 {
        headers.push(header("www-authenticate", "Bearer realm=\"chaperone\"".to_owned()));
    }
    CheckResponse {
        status: Some(status(code, sentence.to_owned())),
        http_response: Some(HttpResponse::DeniedResponse(denied(http, headers, body))),
        dynamic_metadata: Some(metadata(answer)),
    }
}

/// Stops the request because nothing could be decided.
///
/// A denial, since a failed call is an allow under Envoy's `failure_mode_allow`; the error form only where the mapping of the route
/// asks for it.
pub(super) fn no_decision(failure: NoDecision, traffic: Traffic, on_failure: OnFailure) -> CheckResponse {
    let body = match traffic {
        Traffic::Http => problem_json(&Problem {
            title: "No decision",
            status: 503,
            code: failure.code(),
            reason: &failure.to_string(),
            decision_id: None,
        }),
        Traffic::Grpc | Traffic::Tcp => format!("{failure} [{}]", failure.code()),
    };
    let response = denied(503, body_headers(traffic), body);
    let fields = BTreeMap::from([("outcome".to_owned(), text("none")), ("code".to_owned(), text(failure.code()))]);
    CheckResponse {
        status: Some(status(Code::Unavailable, failure.to_string())),
        http_response: Some(match on_failure {
            OnFailure::Deny => HttpResponse::DeniedResponse(response),
            OnFailure::Error => HttpResponse::ErrorResponse(response),
        }),
        dynamic_metadata: Some(Struct { fields }),
    }
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
        | Reason::PolicyError
        | Reason::SessionExpired
        | Reason::SessionIdle
        | Reason::SessionCompleted
        | Reason::SessionRevoked
        | Reason::PrincipalSuspended
        | Reason::BindingMismatch
        | Reason::OutOfScope => (Code::PermissionDenied, 403),
    };
    match traffic {
        Traffic::Http => (code, http),
        Traffic::Grpc | Traffic::Tcp => (Code::PermissionDenied, 403),
    }
}

fn denied(http: u16, headers: Vec<HeaderValueOption>, body: String) -> DeniedHttpResponse {
    DeniedHttpResponse { status: Some(HttpStatus { code: i32::from(http) }), headers, body }
}

fn problem_json(problem: &Problem<'_>) -> String {
    // Strings and a number: there is nothing in it that cannot be written as JSON.
    serde_json::to_string(problem).unwrap_or_default()
}

fn body_headers(traffic: Traffic) -> Vec<HeaderValueOption> {
    match traffic {
        Traffic::Http => vec![
            header("content-type", "application/problem+json".to_owned()),
            header("cache-control", "no-store".to_owned()),
        ],
        // Envoy writes the headers of a gRPC answer itself.
        Traffic::Grpc | Traffic::Tcp => Vec::new(),
    }
}

fn status(code: Code, message: String) -> rpc::Status {
    rpc::Status { code: i32::from(code), message, details: Vec::new() }
}

fn header(name: &str, value: String) -> HeaderValueOption {
    header_option(HeaderMutation { name: name.to_owned(), value, append: false })
}

/// Both of Envoy's fields, saying the same: older releases read `append`, newer ones `append_action`, whose zero means append.
fn header_option(mutation: HeaderMutation) -> HeaderValueOption {
    let action = if mutation.append {
        HeaderAppendAction::AppendIfExistsOrAdd
    } else {
        HeaderAppendAction::OverwriteIfExistsOrAdd
    };
    HeaderValueOption {
        header: Some(HeaderValue { key: mutation.name, value: mutation.value, raw_value: bytes::Bytes::new() }),
        append: Some(mutation.append),
        append_action: i32::from(action),
        keep_empty_value: true,
    }
}

/// What later filters and access logs see under `envoy.filters.http.ext_authz`.
fn metadata(answer: &Answer) -> Struct {
    let policies = answer.decision.policies.iter().map(|policy| text(&policy.id)).collect();
    let session_id = answer.session.as_ref().map(|session| session.id.to_string()).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "metadata has only doubles; bundle numbers stay far below 2^53")]
    let bundle_number = answer.bundle.get() as f64;
    Struct {
        fields: BTreeMap::from([
            ("decision_id".to_owned(), text(&answer.id.to_string())),
            ("session_id".to_owned(), text(&session_id)),
            ("outcome".to_owned(), text(answer.decision.outcome.as_str())),
            ("code".to_owned(), text(answer.decision.reason.code())),
            ("policies".to_owned(), Value { kind: Some(Kind::ListValue(ListValue { values: policies })) }),
            ("bundle_number".to_owned(), Value { kind: Some(Kind::NumberValue(bundle_number)) }),
        ]),
    }
}

fn text(value: &str) -> Value {
    Value { kind: Some(Kind::StringValue(value.to_owned())) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chaperone_policy::{BundleNumber, Decision, DecisionId, EntityRef, Outcome, Timestamp};

    use super::*;

    const TRAFFIC: [Traffic; 3] = [Traffic::Http, Traffic::Grpc, Traffic::Tcp];

    fn answer(decision: Decision) -> Answer {
        Answer {
            id: DecisionId::new(uuid::Uuid::nil()),
            decision,
            principal: Some(EntityRef::new("Agent", "a")),
            session: None::<Arc<chaperone_policy::Session>>,
            bundle: BundleNumber::new(3),
            at: Timestamp::from_micros(0),
        }
    }

    fn http_status(response: &CheckResponse) -> i32 {
        match &response.http_response {
            Some(HttpResponse::DeniedResponse(denied) | HttpResponse::ErrorResponse(denied)) => {
                denied.status.as_ref().expect("a status").code
            }
            other => panic!("no denial: {other:?}"),
        }
    }

    #[test]
    fn only_an_allow_has_status_zero() {
        let allowed =
            Decision { outcome: Outcome::Allow, reason: Reason::Permitted, policies: Vec::new(), detail: None };
        assert_eq!(allow(&answer(allowed), Mutations::default()).status.expect("a status").code, 0);
        for traffic in TRAFFIC {
            for reason in [Reason::NoPermit, Reason::Permitted, Reason::Undecodable, Reason::SessionUnknown] {
                assert_ne!(deny(&answer(Decision::deny(reason)), traffic).status.expect("a status").code, 0);
            }
            for failure in NoDecision::ALL {
                assert_ne!(no_decision(failure, traffic, OnFailure::Deny).status.expect("a status").code, 0);
            }
        }
    }

    #[test]
    fn no_decision_is_a_denial_with_503_unless_the_route_asks_for_an_error() {
        for failure in NoDecision::ALL {
            let denied = no_decision(failure, Traffic::Http, OnFailure::Deny);
            assert_eq!(http_status(&denied), 503);
            assert!(matches!(denied.http_response, Some(HttpResponse::DeniedResponse(_))));
            let error = no_decision(failure, Traffic::Http, OnFailure::Error);
            assert!(matches!(error.http_response, Some(HttpResponse::ErrorResponse(_))));
        }
    }

    #[test]
    fn grpc_denials_become_permission_denied() {
        for reason in [Reason::NoPermit, Reason::Undecodable, Reason::SessionUnknown, Reason::Unauthenticated] {
            assert_eq!(http_status(&deny(&answer(Decision::deny(reason)), Traffic::Grpc)), 403);
        }
    }

    #[test]
    fn overwriting_says_so_in_both_fields() {
        let option = header("x-user", "a".into());
        assert_eq!((option.append, option.append_action), (Some(false), 2));
    }

    #[test]
    fn denial_over_http_is_problem_json() {
        let response = deny(&answer(Decision::deny(Reason::NoPermit)), Traffic::Http);
        let Some(HttpResponse::DeniedResponse(denied)) = response.http_response else { panic!("a denial") };
        let body: serde_json::Value = serde_json::from_str(&denied.body).expect("JSON");
        assert_eq!(body["status"], 403);
        assert_eq!(body["code"], "no_permit");
        assert_eq!(body["reason"], "no policy permits this");
        assert_eq!(body["decision_id"], "00000000-0000-0000-0000-000000000000");
    }
}
