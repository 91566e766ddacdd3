use std::sync::{Arc, Mutex};

use chaperone_policy::{Severity, Timestamp};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SpanData, SpanExporter};

use super::*;
use crate::clock::{Clock, system_time};

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

#[derive(Clone, Debug, Default)]
struct Collected(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Collected {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("not poisoned").extend(batch);
        Ok(())
    }
}

fn fields(result: SpanResult) -> DecisionFields<'static> {
    DecisionFields {
        result,
        decision_id: Clock::manual(START).decision_id(),
        protocol: "ext_authz",
        elapsed: Duration::from_micros(250),
        session: None,
        delegation: None,
        principal: None,
        requests: &[],
        policies: &[],
        alerts: &[],
        bundle: None,
        is_stale: false,
    }
}

const ALLOW: SpanResult = SpanResult::Decided(Outcome::Allow, Reason::Permitted);
const DENY: SpanResult = SpanResult::Decided(Outcome::Deny, Reason::Forbidden);
const ERROR: SpanResult = SpanResult::NotDecided("stale");

/// What is exported of one check.
fn record(ratio: f64, parent: Option<&str>, fields: &DecisionFields<'_>) -> Vec<SpanData> {
    let collected = Collected::default();
    let provider =
        SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).with_simple_exporter(collected.clone()).build();
    let spans = DecisionSpans::new(&provider, ratio);
    let parent = parent.map(|text| ParentContext::from_traceparent(text).expect("it is valid"));
    spans.record(parent.as_ref(), system_time(START), fields);
    collected.0.lock().expect("not poisoned").clone()
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    span.attributes.iter().find(|pair| pair.key.as_str() == name).map(|pair| pair.value.to_string())
}

#[test]
fn allows_follow_the_caller_or_the_ratio_and_all_else_is_recorded() {
    for (result, parent, ratio, recorded) in [
        (ALLOW, Some(SAMPLED), 0.0, true),
        (ALLOW, Some(UNSAMPLED), 1.0, false),
        (ALLOW, None, 1.0, true),
        (ALLOW, None, 0.0, false),
        (DENY, Some(UNSAMPLED), 0.0, true),
        (DENY, None, 0.0, true),
        (ERROR, Some(UNSAMPLED), 0.0, true),
        (ERROR, None, 0.0, true),
    ] {
        let found = !record(ratio, parent, &fields(result)).is_empty();
        assert_eq!(found, recorded, "{result:?} under {parent:?} at {ratio}");
    }
}

#[test]
fn alert_is_an_event_and_the_allow_that_raised_it_is_recorded() {
    let alert = Alert { name: "bulk-read".into(), severity: Severity::Medium, policy: "watch-reads".into() };
    let told = DecisionFields { alerts: &[&alert], ..fields(ALLOW) };
    let spans = record(0.0, Some(UNSAMPLED), &told);
    let [event] = &spans[0].events.events[..] else { panic!("one event: {:?}", spans[0].events) };
    assert_eq!(event.name, names::ALERT_EVENT);
    let attributes: Vec<_> = event.attributes.iter().map(|pair| (pair.key.as_str(), pair.value.to_string())).collect();
    assert_eq!(
        attributes,
        [
            (names::ALERT_NAME, "bulk-read".to_owned()),
            (names::ALERT_SEVERITY, "medium".to_owned()),
            (names::ALERT_POLICY_ID, "watch-reads".to_owned()),
        ]
    );
}

#[test]
fn ratio_takes_about_its_part() {
    let clock = Clock::manual(START);
    let taken = (0..10_000).filter(|_| share(clock.decision_id()) < 0.25).count();
    assert!((2_000..3_000).contains(&taken), "{taken}");
}

#[test]
fn span_belongs_to_the_callers_trace_with_its_own_times() {
    let spans = record(0.0, Some(UNSAMPLED), &fields(DENY));
    let span = &spans[0];
    assert_eq!(span.span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert!(span.parent_span_is_remote && span.span_context.is_sampled());
    assert_eq!((span.name.as_ref(), &span.span_kind), (names::CHECK_SPAN, &SpanKind::Server));
    assert_eq!(span.start_time, system_time(START));
    assert_eq!(span.end_time, system_time(START) + Duration::from_micros(250));
    assert_eq!(span.status, Status::Unset, "a denial is no error");
}

#[test]
fn check_without_a_caller_begins_a_trace() {
    let spans = record(1.0, None, &fields(ALLOW));
    assert!(spans[0].span_context.is_valid());
    assert_eq!(spans[0].parent_span_id, opentelemetry::trace::SpanId::INVALID);
}

#[test]
fn span_tells_what_was_decided_and_why() {
    let request = Request::new(EntityRef::new("Action", "export"), EntityRef::new("Document", "42"));
    let principal = EntityRef::new("Agent", "a");
    let policies = [DeterminingPolicy { id: "no-export".into(), reason: None, failure: None }];
    let chain = [&principal, &EntityRef::new("Agent", "b"), &EntityRef::new("User", "u")];
    let delegation = Delegation::of(chain).expect("two actors");
    let told = DecisionFields {
        delegation: Some(&delegation),
        principal: Some(&principal),
        requests: std::slice::from_ref(&request),
        policies: &policies,
        bundle: Some(BundleNumber::new(7)),
        is_stale: true,
        ..fields(DENY)
    };
    let span = &record(0.0, None, &told)[0];
    for (name, expected) in [
        (names::DECISION_ID, told.decision_id.to_string().as_str()),
        (names::DECISION_OUTCOME, "deny"),
        (names::DECISION_REASON, "forbidden"),
        (names::DECISION_STALE, "true"),
        (names::PROTOCOL, "ext_authz"),
        (names::PRINCIPAL, r#"Agent::"a""#),
        (names::SESSION_SUBJECT, r#"User::"u""#),
        (names::SESSION_ACTORS, r#"["Agent::"a"","Agent::"b""]"#),
        (names::ACTIONS, r#"["Action::"export""]"#),
        (names::RESOURCES, r#"["Document::"42""]"#),
        (names::POLICY_IDS, r#"["no-export"]"#),
        (names::BUNDLE_NUMBER, "7"),
    ] {
        assert_eq!(attribute(span, name).as_deref(), Some(expected), "{name}");
    }
}

#[test]
fn check_that_could_not_be_decided_is_an_error() {
    let span = &record(0.0, None, &fields(ERROR))[0];
    assert_eq!(span.status, Status::error("stale"));
    assert_eq!(attribute(span, names::DECISION_OUTCOME).as_deref(), Some("none"));
    assert_eq!(attribute(span, names::ERROR_TYPE).as_deref(), Some("stale"));
}

#[test]
fn disabled_spans_cost_nothing_and_do_nothing() {
    let spans = DecisionSpans::disabled();
    assert!(!spans.is_enabled());
    spans.record(None, system_time(START), &fields(DENY));
}
