//! Alerts: at the webhook, in traces and logs; and what a stolen session does.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use chaperone_api::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use chaperone_api::envoy::service::auth::v3::check_response::HttpResponse;
use chaperone_e2e::admin::{self, Admin, Opened};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::Chaperone;
use chaperone_e2e::direct::{Direct, read};
use chaperone_e2e::otlp::Otlp;
use chaperone_e2e::webhook::Receiver;
use chaperone_e2e::world::World;
use chaperone_e2e::{frame, wait};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const HONEYPOT: &str = "@id(\"kill-switch\")\n@alert(\"honeypot:critical\")\n\
                        forbid (principal, action, resource == Document::\"honeypot\");\n";

async fn serve(policies: &str, options: &[String]) -> Chaperone {
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let mut replica = Chaperone::start("embedded::memory:", &options).await;
    replica.administer().await.push(&Bundle::documents().with("policies/alerts.cedar", policies)).await;
    replica.ready().await;
    replica
}

async fn open(replica: &Chaperone) -> Opened {
    replica.administer().await.open(admin::agent("reader")).await
}

/// A session that only the usual caller may present, and a child of it, bound in the same way.
async fn open_bound(admin: &Admin) -> [Opened; 2] {
    let binding = Some(admin::bound_to(frame::CALLER));
    let mut request = admin::agent("reader");
    request.binding.clone_from(&binding);
    let parent = admin.open(request).await;
    let mut request = admin::child_of(&parent.session);
    request.binding = binding;
    let child = admin.open(request).await;
    [parent, child]
}

/// The code of the answer to Envoy on reading a document, presented by the usual caller or by another; empty for an allow.
async fn presented(replica: &Chaperone, handle: &str, by_another: bool) -> String {
    let mut check = frame::check(handle, "/documents/42");
    if by_another {
        let source = check.attributes.as_mut().and_then(|attributes| attributes.source.as_mut());
        "spiffe://example.org/thief".clone_into(&mut source.expect("a source").principal);
    }
    let mut client = AuthorizationClient::new(replica.data_channel().await);
    match client.check(check).await.expect("Envoy is always answered").into_inner().http_response {
        Some(HttpResponse::OkResponse(_)) => String::new(),
        Some(HttpResponse::DeniedResponse(denied)) => {
            let problem: serde_json::Value = serde_json::from_str(&denied.body).expect("a problem");
            problem["code"].as_str().expect("a code").to_owned()
        }
        other => panic!("neither allowed nor denied: {other:?}"),
    }
}

async fn count(replica: &Chaperone, series: &str) -> Option<f64> {
    replica.metrics().await.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

async fn until_counted(replica: &Chaperone, series: &str, expected: f64) {
    wait::until(format!("{series} is {expected}"), async || {
        (count(replica, series).await == Some(expected)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_alert_arrives_although_the_receiver_failed_twice() {
    let failure = Some(StatusCode::INTERNAL_SERVER_ERROR);
    let receiver = Receiver::start(&[failure, failure]).await;
    let options = [receiver.options(), vec!["--replica-id".to_owned(), "pdp-1".to_owned()]].concat();
    let mut replica = serve(HONEYPOT, &options).await;
    let opened = open(&replica).await;
    let decision = Direct::to(&replica).await.check(read("honeypot", &opened.handle)).await.expect("a decision");
    let deliveries = receiver.received(3).await;
    assert_eq!(deliveries[2].answered, StatusCode::NO_CONTENT);
    for delivery in &deliveries {
        assert_eq!(delivery.id, format!("{}-0", decision.decision_id));
        assert_eq!(delivery.content_type, "application/cloudevents+json; charset=utf-8");
        let event = &delivery.event;
        let data = &event["data"];
        for (found, expected) in [
            (&event["specversion"], "1.0"),
            (&event["id"], delivery.id.as_str()),
            (&event["source"], "chaperone/pdp-1"),
            (&event["type"], "chaperone.alert.v1"),
            (&event["subject"], opened.session.id.as_str()),
            (&data["alert"], "honeypot"),
            (&data["severity"], "critical"),
            (&data["policy"], "kill-switch"),
            (&data["decision_id"], decision.decision_id.as_str()),
            (&data["outcome"], "deny"),
            (&data["code"], "forbidden"),
            (&data["principal"], "Agent::\"reader\""),
            (&data["actions"][0], "Action::\"read\""),
            (&data["resources"][0], "Document::\"honeypot\""),
            (&data["session"], opened.session.id.as_str()),
            (&data["owner"], "team-docs"),
        ] {
            assert_eq!(found, expected, "{event}");
        }
        assert!(!event.to_string().contains(&opened.handle[4..]), "the handle is in the event");
    }
    until_counted(&replica, "chaperone_alerts_total{name=\"honeypot\",severity=\"critical\"}", 1.0).await;
    until_counted(&replica, "chaperone_alerts_delivered_total", 1.0).await;
    until_counted(&replica, "chaperone_alerts_retried_total", 2.0).await;
    let logged = replica.process().stderr();
    let line = logged.lines().find(|line| line.contains("\"target\":\"chaperone::alert\"")).expect("a record");
    for part in ["\"level\":\"ERROR\"", "\"alert.name\":\"honeypot\"", &decision.decision_id] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    assert!(!logged.contains(&opened.handle[4..]), "the handle is in the log");
    assert_eq!(receiver.deliveries().len(), 3, "it is not delivered again");
}

#[tokio::test(flavor = "multi_thread")]
async fn receiver_that_hangs_delays_neither_checks_nor_the_end_for_long() {
    let receiver = Receiver::start(&[None; 8]).await;
    let options = [receiver.options(), vec!["--drain-timeout".to_owned(), "1s".to_owned()]].concat();
    let mut replica = serve(HONEYPOT, &options).await;
    let caller = Direct::to(&replica).await;
    for _ in 0..3 {
        let handle = open(&replica).await.handle;
        assert_eq!(caller.check(read("honeypot", &handle)).await.expect("a decision").code, "forbidden");
        wait::until("the receiver hangs", async || (receiver.hanging() > 0).then_some(())).await;
    }
    assert!(receiver.deliveries().is_empty());
    drop(caller);
    let began = Instant::now();
    assert!(replica.terminate().await.success());
    // After the time to drain, not after that for an attempt.
    assert!(began.elapsed() < Duration::from_secs(9), "it took {:?}", began.elapsed());
    wait::until("the log says what was lost", async || {
        replica.process().stderr().contains("alerts could not be delivered before the end").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_next_attempt_is_delivered_before_the_end() {
    let receiver = Receiver::start(&[Some(StatusCode::SERVICE_UNAVAILABLE)]).await;
    let mut replica = serve(HONEYPOT, &receiver.options()).await;
    let handle = open(&replica).await.handle;
    let decision = Direct::to(&replica).await.check(read("honeypot", &handle)).await.expect("a decision");
    receiver.received(1).await;
    assert!(replica.terminate().await.success());
    let deliveries = receiver.deliveries();
    let last = deliveries.last().expect("a delivery");
    assert_eq!((last.answered, &last.id), (StatusCode::NO_CONTENT, &format!("{}-0", decision.decision_id)));
    assert!(!replica.process().stderr().contains("could not be delivered before the end"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_alert_is_not_sent_again_and_the_next_one_is_sent() {
    let receiver = Receiver::start(&[Some(StatusCode::BAD_REQUEST)]).await;
    let replica = serve(HONEYPOT, &receiver.options()).await;
    let caller = Direct::to(&replica).await;
    for _ in 0..2 {
        let handle = open(&replica).await.handle;
        caller.check(read("honeypot", &handle)).await.expect("a decision");
    }
    let deliveries = receiver.received(2).await;
    assert_ne!(deliveries[0].id, deliveries[1].id);
    until_counted(&replica, "chaperone_alerts_dropped_total{reason=\"refused\"}", 1.0).await;
    until_counted(&replica, "chaperone_alerts_delivered_total", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stolen_session_alerts_once_a_minute_and_stays_the_owners() {
    let receiver = Receiver::start(&[]).await;
    let replica = serve("", &receiver.options()).await;
    let [parent, child] = open_bound(&replica.administer().await).await;
    for _ in 0..3 {
        assert_eq!(presented(&replica, &child.handle, true).await, "binding_mismatch");
    }
    assert_eq!(presented(&replica, &parent.handle, true).await, "binding_mismatch");
    assert_eq!(presented(&replica, &child.handle, false).await, "");
    let deliveries = receiver.received(2).await;
    for (delivery, session) in deliveries.iter().zip([&child, &parent]) {
        let data = &delivery.event["data"];
        for (field, expected) in [
            ("alert", "token-reuse"),
            ("severity", "high"),
            ("policy", ""),
            ("code", "binding_mismatch"),
            ("session", session.session.id.as_str()),
        ] {
            assert_eq!(data[field], expected, "{field} in {data}");
        }
    }
    until_counted(&replica, "chaperone_alerts_total{name=\"token-reuse\",severity=\"high\"}", 4.0).await;
    until_counted(&replica, "chaperone_alerts_suppressed_total", 2.0).await;
    assert_eq!(receiver.deliveries().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn stolen_session_ends_where_that_is_configured() {
    for (action, parent_after) in [("revoke-session", ""), ("revoke-tree", "session_revoked")] {
        let receiver = Receiver::start(&[]).await;
        let options = [receiver.options(), vec!["--on-token-reuse".to_owned(), action.to_owned()]].concat();
        let replica = serve("", &options).await;
        let [parent, child] = open_bound(&replica.administer().await).await;
        assert_eq!(presented(&replica, &child.handle, false).await, "", "{action}");
        assert_eq!(presented(&replica, &child.handle, true).await, "binding_mismatch", "{action}");
        // At once: it was stored before the thief was answered.
        assert_eq!(presented(&replica, &child.handle, false).await, "session_revoked", "{action}");
        assert_eq!(presented(&replica, &parent.handle, false).await, parent_after, "{action}");
        assert_eq!(receiver.received(1).await[0].event["data"]["alert"], "token-reuse");
        assert_eq!(presented(&replica, &child.handle, true).await, "session_revoked", "{action}");
        assert_eq!(receiver.deliveries().len(), 1, "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_that_cannot_be_stored_is_not_answered_as_if_it_were() {
    let options = [
        "--on-token-reuse=revoke-session",
        "--feed-max-staleness=60s",
        "--store-timeout=1s",
        "--data-default-deadline=20s",
    ];
    let world = World::builder().own_postgres().serve(&options).start().await;
    let [_, child] = open_bound(&world.admin).await;
    assert_eq!(presented(&world.replicas[0], &child.handle, false).await, "");
    world.database.server().kill();
    assert_eq!(presented(&world.replicas[0], &child.handle, true).await, "store_unavailable");
    assert_eq!(count(&world.replicas[0], "chaperone_alerts_total{name=\"token-reuse\",severity=\"high\"}").await, None);
    world.database.server().restart();
    wait::until("the thief's attempt ends the session", async || {
        (presented(&world.replicas[0], &child.handle, true).await == "binding_mismatch").then_some(())
    })
    .await;
    assert_eq!(presented(&world.replicas[0], &child.handle, false).await, "session_revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn alert_of_an_allow_in_an_unsampled_trace_is_an_event_of_its_span() {
    let otlp = Otlp::start().await;
    let options = ["--telemetry-otlp-endpoint".to_owned(), format!("http://{}", otlp.address)];
    let policies = "@id(\"watch-reads\")\n@observe\n@alert(\"sensitive-read:medium\")\n\
                    permit (principal, action == Action::\"read\", resource);\n";
    let replica = serve(policies, &options).await;
    let handle = open(&replica).await.handle;
    let mut request = tonic::Request::new(read("42", &handle));
    let traceparent = format!("00-{TRACE_ID}-00f067aa0ba902b7-00");
    request.metadata_mut().insert("traceparent", traceparent.parse().expect("ASCII"));
    let answer = Direct::to(&replica).await.client().check(request).await.expect("an answer").into_inner();
    assert_eq!(answer.decision.expect("a decision").code, "permitted");
    let span = otlp.span("the alert's span", |span| span.trace_id == TRACE_ID).await;
    let [(name, attributes)] = &span.events[..] else { panic!("one event: {span:?}") };
    assert_eq!(name, "chaperone.alert");
    for (attribute, value) in [
        ("chaperone.alert.name", "sensitive-read"),
        ("chaperone.alert.severity", "medium"),
        ("chaperone.alert.policy.id", "watch-reads"),
    ] {
        assert_eq!(attributes.get(attribute).map(String::as_str), Some(value), "{attribute} in {span:?}");
    }
}
