use std::sync::Arc;

use chaperone_api::envoy::service::auth::v3::CheckResponse;
use chaperone_api::envoy::service::auth::v3::check_response::HttpResponse;
use chaperone_policy::{BundleNumber, Decision, DecisionId, EntityRef, Outcome, Timestamp};
use proptest::prelude::*;
use prost::Message as _;
use prost_types::value::Kind;

use super::*;

const TRAFFIC: [Traffic; 3] = [Traffic::Http, Traffic::Grpc, Traffic::Tcp];

fn answer(decision: Decision) -> Answer {
    Answer {
        id: DecisionId::new(uuid::Uuid::nil()),
        decision,
        challenge: Box::default(),
        principal: Some(EntityRef::new("Agent", "a")),
        session: None::<Arc<chaperone_policy::Session>>,
        delegation: None,
        ancestors: Box::default(),
        bundle: BundleNumber::new(3),
        at: Timestamp::from_micros(0),
        read: crate::pdp::Read::default(),
    }
}

fn allowed() -> Answer {
    answer(Decision { outcome: Outcome::Allow, ..Decision::deny(Reason::Permitted) })
}

/// The response in a frame, which must be written as prost writes it.
fn read(frame: &Bytes) -> CheckResponse {
    let (prefix, message) = frame.split_at(5);
    assert_eq!(prefix[0], 0, "it is not compressed");
    assert_eq!(u32::from_be_bytes(prefix[1..].try_into().expect("four bytes")) as usize, message.len());
    let response = CheckResponse::decode(message).expect("a response");
    assert_eq!(response.encode_to_vec(), message, "prost writes it otherwise: {response:?}");
    response
}

fn http_status(response: &CheckResponse) -> i32 {
    match &response.http_response {
        Some(HttpResponse::DeniedResponse(denied) | HttpResponse::ErrorResponse(denied)) => {
            denied.status.as_ref().expect("a status").code
        }
        other => panic!("no denial: {other:?}"),
    }
}

fn challenged(acr_values: &[&[&str]]) -> Answer {
    let wanted = |values: &&[&str]| Challenged {
        step_up: "mfa".into(),
        approval: chaperone_policy::ApprovalId::new(uuid::Uuid::nil()),
        action: EntityRef::action("read"),
        resource: EntityRef::new("Document", "1"),
        expires_at: Timestamp::from_micros(0),
        acr_values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let decision = Decision { outcome: Outcome::Challenge, ..Decision::deny(Reason::StepUpRequired) };
    Answer { challenge: acr_values.iter().map(wanted).collect(), ..answer(decision) }
}

#[test]
fn challenge_is_a_denial_that_names_its_approvals() {
    for traffic in TRAFFIC {
        let response = read(&deny(&challenged(&[&[], &[]]), traffic));
        assert_eq!((response.status.as_ref().expect("a status").code, http_status(&response)), (7, 403));
        let Some(HttpResponse::DeniedResponse(denied)) = &response.http_response else { panic!("{response:?}") };
        assert!(denied.body.contains("step_up_required") && denied.body.contains("00000000-0000"), "{}", denied.body);
    }
}

#[test]
fn challenge_is_one_of_rfc_9470_where_every_step_up_has_acr_values() {
    for (acr_values, traffic, http) in [
        (&[&["a", "b"][..], &["b", "c"]][..], Traffic::Http, 401),
        (&[&["a"], &[]], Traffic::Http, 403),
        (&[&["a"]], Traffic::Grpc, 403),
    ] {
        let response = read(&deny(&challenged(acr_values), traffic));
        assert_eq!(http_status(&response), http);
        assert_ne!(response.status.as_ref().expect("a status").code, 0);
        let Some(HttpResponse::DeniedResponse(denied)) = &response.http_response else { panic!("{response:?}") };
        let headers = denied.headers.iter().filter_map(|option| option.header.as_ref());
        let mut challenges = headers.filter(|header| header.key == "www-authenticate").map(|header| &header.value);
        let challenge = challenges.next();
        assert_eq!(challenge.is_some(), http == 401);
        assert!(challenge.is_none_or(
            |value| value.contains("insufficient_user_authentication") && value.ends_with("acr_values=\"a b c\"")
        ));
    }
}

#[test]
fn only_an_allow_has_status_zero() {
    assert_eq!(read(&allow(&allowed(), &Mutations::default())).status.expect("a status").code, 0);
    for traffic in TRAFFIC {
        for reason in [Reason::NoPermit, Reason::Permitted, Reason::Undecodable, Reason::SessionUnknown] {
            let response = read(&deny(&answer(Decision::deny(reason)), traffic));
            assert_ne!(response.status.expect("a status").code, 0);
        }
        for failure in NoDecision::ALL {
            let response = read(&no_decision(failure, traffic, OnFailure::Deny));
            assert_ne!(response.status.expect("a status").code, 0);
        }
    }
}

#[test]
fn no_decision_is_a_denial_with_503_unless_the_route_asks_for_an_error() {
    for failure in NoDecision::ALL {
        let denied = read(&no_decision(failure, Traffic::Http, OnFailure::Deny));
        assert_eq!(http_status(&denied), 503);
        assert!(matches!(denied.http_response, Some(HttpResponse::DeniedResponse(_))));
        let error = read(&no_decision(failure, Traffic::Http, OnFailure::Error));
        assert!(matches!(error.http_response, Some(HttpResponse::ErrorResponse(_))));
    }
}

#[test]
fn grpc_denials_become_permission_denied() {
    for reason in [Reason::NoPermit, Reason::Undecodable, Reason::SessionUnknown, Reason::Unauthenticated] {
        assert_eq!(http_status(&read(&deny(&answer(Decision::deny(reason)), Traffic::Grpc))), 403);
    }
}

#[test]
fn denial_over_http_is_problem_json() {
    let response = read(&deny(&answer(Decision::deny(Reason::NoPermit)), Traffic::Http));
    let Some(HttpResponse::DeniedResponse(denied)) = response.http_response else { panic!("a denial") };
    let body: serde_json::Value = serde_json::from_str(&denied.body).expect("JSON");
    assert_eq!(body["status"], 403);
    assert_eq!(body["code"], "no_permit");
    assert_eq!(body["reason"], "no policy permits this");
    assert_eq!(body["decision_id"], "00000000-0000-0000-0000-000000000000");
    let names: Vec<_> = denied.headers.iter().filter_map(|option| Some(option.header.as_ref()?.key.as_str())).collect();
    assert_eq!(names, ["content-type", "cache-control", "x-chaperone-decision-id"]);
}

#[test]
fn unknown_session_is_asked_to_authenticate() {
    let response = read(&deny(&answer(Decision::deny(Reason::SessionUnknown)), Traffic::Http));
    let Some(HttpResponse::DeniedResponse(denied)) = response.http_response else { panic!("a denial") };
    let header = denied.headers.iter().filter_map(|option| option.header.as_ref()).next_back().expect("headers");
    assert_eq!((header.key.as_str(), header.value.as_str()), ("www-authenticate", "Bearer realm=\"chaperone\""));
}

#[test]
fn metadata_tells_of_the_decision() {
    let response = read(&deny(&answer(Decision::deny(Reason::NoPermit)), Traffic::Http));
    let fields = response.dynamic_metadata.expect("metadata").fields;
    let text = |name: &str| match fields[name].kind.as_ref().expect("a value") {
        Kind::StringValue(text) => text.clone(),
        other => panic!("no text: {other:?}"),
    };
    assert_eq!(text("outcome"), "deny");
    assert_eq!(text("code"), "no_permit");
    assert_eq!(text("decision_id"), "00000000-0000-0000-0000-000000000000");
    assert_eq!(text("session_id"), "");
    assert_eq!(fields["bundle_number"].kind, Some(Kind::NumberValue(3.0)));
    assert!(matches!(fields["policies"].kind, Some(Kind::ListValue(_))));
}

fn header_mutations() -> impl Strategy<Value = Vec<HeaderMutation>> {
    let mutation = ("[a-z-]{1,12}", "\\PC{0,150}", any::<bool>());
    proptest::collection::vec(mutation.prop_map(|(name, value, append)| HeaderMutation { name, value, append }), 0..4)
}

prop_compose! {
    fn mutations()(
        headers in header_mutations(),
        headers_to_remove in proptest::collection::vec("[a-z-]{0,12}", 0..4),
        response_headers in header_mutations(),
        query_to_set in proptest::collection::vec(("\\PC{0,12}", "\\PC{0,300}"), 0..4),
        query_to_remove in proptest::collection::vec("\\PC{0,12}", 0..4),
    ) -> Mutations {
        Mutations { headers, headers_to_remove, response_headers, query_to_set, query_to_remove }
    }
}

proptest! {
    /// Every change arrives as it was asked for, in the bytes that prost would write.
    #[test]
    fn allow_carries_every_mutation(mutations in mutations()) {
        let response = read(&allow(&allowed(), &mutations));
        let Some(HttpResponse::OkResponse(ok)) = response.http_response else { panic!("an allow") };
        let mutations_of = |options: Vec<chaperone_api::envoy::config::core::v3::HeaderValueOption>| {
            let mutation = |option: chaperone_api::envoy::config::core::v3::HeaderValueOption| {
                let header = option.header.expect("a header");
                let append = option.append.expect("it says so");
                assert_eq!(option.append_action, if append { 0 } else { 2 }, "both fields say the same");
                assert!(option.keep_empty_value);
                HeaderMutation { name: header.key, value: header.value, append }
            };
            options.into_iter().map(mutation).collect()
        };
        let arrived = Mutations {
            headers: mutations_of(ok.headers),
            headers_to_remove: ok.headers_to_remove,
            response_headers: mutations_of(ok.response_headers_to_add),
            query_to_set: ok.query_parameters_to_set.into_iter().map(|parameter| (parameter.key, parameter.value)).collect(),
            query_to_remove: ok.query_parameters_to_remove,
        };
        prop_assert_eq!(arrived, mutations);
    }
}
