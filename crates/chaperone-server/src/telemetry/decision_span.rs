//! A span per check.
//!
//! It is made when the check has ended, with the time at which it began, so that what is recorded can depend on the outcome: allows
//! follow the caller's sampling, denials, errors and whatever raises an alert are always recorded. The record in the trail, not the span, is the evidence.

use std::time::{Duration, SystemTime};

use chaperone_policy::{
    Alert, BundleNumber, DecisionId, Delegation, DeterminingPolicy, EntityRef, Outcome, Reason, Request, Session,
};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::names;
use super::parent::ParentContext;

/// Makes spans of checks, or costs nothing where none are exported.
#[derive(Clone, Debug)]
pub struct DecisionSpans(Option<Exported>);

#[derive(Clone, Debug)]
struct Exported {
    tracer: SdkTracer,
    sample_ratio: f64,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SpanResult {
    /// With a decision.
    Decided(Outcome, Reason),
    /// Without one; the stable code of why.
    NotDecided(&'static str),
}

/// What a span tells of a check.
#[derive(Clone, Copy, Debug)]
pub struct DecisionFields<'a> {
    /// How it ended.
    pub result: SpanResult,
    /// The decision's id.
    pub decision_id: DecisionId,
    /// The door that it came through, such as `ext_authz`.
    pub protocol: &'static str,
    /// How long it took.
    pub elapsed: Duration,
    /// The session, where one was found.
    pub session: Option<&'a Session>,
    /// Who acts for whom, where somebody acts for another.
    pub delegation: Option<&'a Delegation>,
    /// Who acts, where that is known.
    pub principal: Option<&'a EntityRef>,
    /// What was asked for.
    pub requests: &'a [Request],
    /// The policies that determined the decision.
    pub policies: &'a [DeterminingPolicy],
    /// The alerts that it raised.
    pub alerts: &'a [&'a Alert],
    /// The bundle that decided, where one is active.
    pub bundle: Option<BundleNumber>,
    /// Whether it was made within the grace for stale state.
    pub is_stale: bool,
}

impl DecisionSpans {
    /// Makes none.
    pub const fn disabled() -> Self {
        Self(None)
    }

    /// Makes them with a provider that records all it is given.
    ///
    /// `sample_ratio` is the part, from 0 to 1, of the allowed checks without a caller's trace that are recorded.
    pub fn new(provider: &SdkTracerProvider, sample_ratio: f64) -> Self {
        let scope = InstrumentationScope::builder("chaperone").with_version(env!("CARGO_PKG_VERSION")).build();
        Self(Some(Exported { tracer: provider.tracer_with_scope(scope), sample_ratio }))
    }

    /// Whether spans go anywhere.
    pub const fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Records the span of a check that began at `start` and has ended. Never waits.
    pub fn record(&self, parent: Option<&ParentContext>, start: SystemTime, fields: &DecisionFields<'_>) {
        let Some(exported) = &self.0 else { return };
        if !exported.samples(parent, fields) {
            return;
        }
        let context = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent.span_context()),
            None => Context::new(),
        };
        let builder = SpanBuilder::from_name(names::CHECK_SPAN)
            .with_kind(SpanKind::Server)
            .with_start_time(start)
            .with_attributes(attributes(fields));
        let mut span = exported.tracer.build_with_context(builder, &context);
        if let SpanResult::NotDecided(code) = fields.result {
            span.set_status(Status::error(code));
        }
        let end = start + fields.elapsed;
        for alert in fields.alerts {
            span.add_event_with_timestamp(names::ALERT_EVENT, end, alert_attributes(alert));
        }
        span.end_with_timestamp(end);
    }
}

impl Exported {
    fn samples(&self, parent: Option<&ParentContext>, fields: &DecisionFields<'_>) -> bool {
        if !fields.alerts.is_empty() {
            return true;
        }
        match (fields.result, parent) {
            (SpanResult::Decided(Outcome::Deny | Outcome::Challenge, _) | SpanResult::NotDecided(_), _) => true,
            (SpanResult::Decided(Outcome::Allow, _), Some(parent)) => parent.is_sampled(),
            (SpanResult::Decided(Outcome::Allow, _), None) => share(fields.decision_id) < self.sample_ratio,
        }
    }
}

/// A number from 0 up to but not including 1 for an id, evenly spread: its random part.
fn share(id: DecisionId) -> f64 {
    let (_, low) = id.as_uuid().as_u64_pair();
    // The lowest 32 of the 62 random bits.
    f64::from(u32::try_from(low & u64::from(u32::MAX)).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}

fn attributes(fields: &DecisionFields<'_>) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(16);
    let mut add = |name: &'static str, value: Value| attributes.push(KeyValue::new(name, value));
    let (outcome, reason) = match fields.result {
        SpanResult::Decided(outcome, reason) => (outcome.as_str(), reason.code()),
        SpanResult::NotDecided(code) => ("none", code),
    };
    add(names::DECISION_ID, fields.decision_id.to_string().into());
    add(names::DECISION_OUTCOME, outcome.into());
    add(names::DECISION_REASON, reason.into());
    add(names::PROTOCOL, fields.protocol.into());
    if let SpanResult::NotDecided(code) = fields.result {
        add(names::ERROR_TYPE, code.into());
    }
    if fields.is_stale {
        add(names::DECISION_STALE, true.into());
    }
    if let Some(bundle) = fields.bundle {
        add(names::BUNDLE_NUMBER, i64::try_from(bundle.get()).unwrap_or(i64::MAX).into());
    }
    if let Some(session) = fields.session {
        add(names::SESSION_ID, session.id.to_string().into());
        add(names::SESSION_TREE_ID, session.tree.to_string().into());
        add(names::SESSION_OWNER, session.owner.clone().into());
        if !session.task.id.is_empty() {
            add(names::SESSION_TASK_ID, session.task.id.clone().into());
        }
    }
    if let Some(delegation) = fields.delegation {
        add(names::SESSION_SUBJECT, delegation.subject().to_string().into());
        add(names::SESSION_ACTORS, strings(delegation.actors().iter().map(ToString::to_string)));
    }
    if let Some(principal) = fields.principal {
        add(names::PRINCIPAL, principal.to_string().into());
    }
    if !fields.requests.is_empty() {
        add(names::ACTIONS, strings(fields.requests.iter().map(|request| request.action.to_string())));
        add(names::RESOURCES, strings(fields.requests.iter().map(|request| request.resource.to_string())));
    }
    if !fields.policies.is_empty() {
        add(names::POLICY_IDS, strings(fields.policies.iter().map(|policy| policy.id.to_string())));
    }
    attributes
}

fn alert_attributes(alert: &Alert) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new(names::ALERT_NAME, alert.name.to_string()),
        KeyValue::new(names::ALERT_SEVERITY, alert.severity.as_str()),
    ];
    if !alert.policy.is_empty() {
        attributes.push(KeyValue::new(names::ALERT_POLICY_ID, alert.policy.to_string()));
    }
    attributes
}

fn strings(values: impl Iterator<Item = String>) -> Value {
    Value::Array(Array::String(values.map(StringValue::from).collect()))
}

#[cfg(test)]
#[path = "decision_span_tests.rs"]
mod tests;
