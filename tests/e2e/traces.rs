//! Spans as a collector gets them.

use chaperone_e2e::client::Request;
use chaperone_e2e::otlp::{Otlp, ReceivedSpan};
use chaperone_e2e::world::World;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT_SPAN_ID: &str = "00f067aa0ba902b7";

fn has_value(span: &ReceivedSpan, value: &str) -> bool {
    span.attributes.values().any(|attribute| attribute == value)
}

async fn world_with(otlp: &Otlp) -> World {
    World::builder().serve(&["--telemetry-otlp-endpoint", &format!("http://{}", otlp.address)]).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn span_of_a_check_is_a_child_of_the_callers() {
    let otlp = Otlp::start().await;
    let world = world_with(&otlp).await;
    let opened = world.session().await;
    let request = Request::get("/documents/42")
        .session(&opened.handle)
        .header("traceparent", format!("00-{TRACE_ID}-{PARENT_SPAN_ID}-01"));
    let response = world.send(request).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let decision_id = response.header("x-decision-id").expect("a decision id");
    let span = otlp.span("a span of the caller's trace", |span| span.trace_id == TRACE_ID).await;
    assert_eq!(span.parent_span_id, PARENT_SPAN_ID);
    for (name, value) in [
        ("chaperone.decision.id", decision_id),
        ("chaperone.decision.outcome", "allow"),
        ("chaperone.decision.reason", "permitted"),
        ("chaperone.policy.ids", "agents-read"),
        ("chaperone.session.id", opened.session.id.as_str()),
        ("chaperone.session.owner", "team-docs"),
    ] {
        assert_eq!(span.attributes.get(name).map(String::as_str), Some(value), "{name} in {span:?}");
    }
    assert!(span.attributes.contains_key("chaperone.bundle.number"), "{span:?}");
    assert_eq!(span.resource.get("service.name").map(String::as_str), Some("chaperone"));
    let secret = &opened.handle[4..];
    assert!(!format!("{span:?}").contains(secret), "the handle is in the span");
}

#[tokio::test(flavor = "multi_thread")]
async fn denial_in_an_unsampled_trace_is_recorded_all_the_same() {
    let otlp = Otlp::start().await;
    let world = world_with(&otlp).await;
    let handle = world.session().await.handle;
    let request = Request::get("/documents/42/export?format=mail")
        .session(&handle)
        .header("traceparent", format!("00-{TRACE_ID}-{PARENT_SPAN_ID}-00"));
    assert_eq!(world.send(request).await.status, 403);
    let span = otlp.span("the denial's span", |span| span.trace_id == TRACE_ID).await;
    for value in ["deny", "forbidden", "no-export-by-mail"] {
        assert!(has_value(&span, value), "no `{value}` in {span:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_a_direct_call_carries_the_trace_too() {
    use chaperone_api::chaperone::v1::decision_service_client::DecisionServiceClient;
    use chaperone_api::chaperone::v1::{ActionRequest, CheckRequest};
    let otlp = Otlp::start().await;
    let world = world_with(&otlp).await;
    let action = ActionRequest {
        action: "read".to_owned(),
        resource: Some(chaperone_e2e::admin::entity("Document", "42")),
        ..Default::default()
    };
    let session_handle = world.session().await.handle;
    let mut request = tonic::Request::new(CheckRequest { session_handle, action: Some(action), ..Default::default() });
    let traceparent = format!("00-{TRACE_ID}-{PARENT_SPAN_ID}-01");
    request.metadata_mut().insert("traceparent", traceparent.parse().expect("ASCII"));
    let mut client = DecisionServiceClient::new(world.replicas[0].data_channel().await);
    client.check(request).await.expect("a decision");
    let span = otlp.span("a span of the caller's trace", |span| span.trace_id == TRACE_ID).await;
    assert_eq!(span.parent_span_id, PARENT_SPAN_ID);
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_collector_costs_no_decision() {
    let nobody = chaperone_e2e::ports::free();
    let world = World::builder().serve(&["--telemetry-otlp-endpoint", &format!("http://{nobody}")]).start().await;
    let handle = world.session().await.handle;
    for _ in 0..20 {
        assert_eq!(world.send(Request::get("/documents/42").session(&handle)).await.status, 200);
    }
    assert!(world.replicas[0].metrics().await.contains("chaperone_"));
}
