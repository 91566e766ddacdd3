//! Decisions as they are printed.

use std::time::Duration;

use chaperone_api::chaperone::v1::{
    CheckRequest, Decision, Effect, EffectKind, EffectLevel, Outcome, ReportOutcome, StepUp,
};
use serde::Serialize;

use crate::cli::output::{BAD, GOOD, Table, WARN, paint, plain};
use crate::cli::parse::show_entity_ref;
use crate::cli::session::{DelegationJson, parties};

/// A decision in JSON output.
#[derive(Debug, Serialize)]
pub struct DecisionJson<'a> {
    outcome: &'static str,
    code: &'a str,
    reason: &'a str,
    policies: Vec<PolicyJson<'a>>,
    effects: Vec<EffectJson<'a>>,
    session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delegation: Option<DelegationJson<'a>>,
    bundle_number: u64,
    decision_id: &'a str,
    decided_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report_until: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    approvals: Vec<StepUpJson<'a>>,
    took_us: u64,
}

/// What a challenge asks for.
#[derive(Debug, Serialize)]
struct StepUpJson<'a> {
    step_up: &'a str,
    approval_id: &'a str,
    expires_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct PolicyJson<'a> {
    id: &'a str,
    reason: Option<&'a str>,
    failure: Option<&'a str>,
}

/// An effect of a decision or of a report, in JSON output.
#[derive(Debug, Serialize)]
pub struct EffectJson<'a> {
    kind: &'static str,
    level: Option<&'static str>,
    name: Option<&'a str>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reserved: bool,
}

impl<'a> From<&'a Effect> for EffectJson<'a> {
    fn from(effect: &'a Effect) -> Self {
        let level = match effect.level() {
            EffectLevel::Session => Some("session"),
            EffectLevel::Tree => Some("tree"),
            EffectLevel::Principal => Some("principal"),
            EffectLevel::Unspecified => None,
        };
        let waits_for = match effect.waits_for() {
            ReportOutcome::Executed => Some("executed"),
            ReportOutcome::Failed => Some("failed"),
            ReportOutcome::Unspecified => None,
        };
        let (kind, name) = (kind_name(effect.kind()), given(&effect.name));
        Self { kind, level, name, text: &effect.text, waits_for, reserved: effect.reserved }
    }
}

impl<'a> DecisionJson<'a> {
    /// A decision, and how long its answer took to come.
    pub fn new(decision: &'a Decision, took: Duration) -> Self {
        let policies = decision.policies.iter();
        Self {
            outcome: outcome_name(decision.outcome()),
            code: &decision.code,
            reason: &decision.reason,
            policies: policies
                .map(|policy| PolicyJson {
                    id: &policy.id,
                    reason: given(&policy.reason),
                    failure: given(&policy.failure),
                })
                .collect(),
            effects: decision.effects.iter().map(EffectJson::from).collect(),
            session_id: given(&decision.session_id),
            delegation: decision.delegation.as_ref().map(DelegationJson::from),
            bundle_number: decision.bundle_number,
            decision_id: &decision.decision_id,
            decided_at: decision.decided_at.map(|time| time.to_string()),
            report_until: decision.report_until.map(|time| time.to_string()),
            approvals: step_ups(decision)
                .map(|wanted| StepUpJson {
                    step_up: &wanted.name,
                    approval_id: &wanted.approval_id,
                    expires_at: wanted.expires_at.map(|time| time.to_string()),
                })
                .collect(),
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// A decision explained: what was asked, what came of it, and why.
pub fn explanation(decision: &Decision, asked: &CheckRequest, took: Duration) -> String {
    let (style, name) = match decision.outcome() {
        Outcome::Allow => (GOOD, "ALLOW"),
        Outcome::Deny | Outcome::Unspecified => (BAD, "DENY"),
        Outcome::Challenge => (WARN, "CHALLENGE"),
    };
    let what = match (&asked.action, &asked.payload) {
        (Some(action), _) => {
            let resource = action.resource.as_ref().map(show_entity_ref).unwrap_or_default();
            plain(&format!("{} {resource}", action.action))
        }
        (None, Some(payload)) => plain(&format!("what the decoder {} reads", payload.decoder)),
        (None, None) => String::new(),
    };
    let mut facts = Table::of_facts();
    facts.fact("code", &decision.code).fact("reason", &decision.reason);
    for policy in &decision.policies {
        let text = match (given(&policy.reason), given(&policy.failure)) {
            (_, Some(failure)) => format!("{}: failed ({failure})", policy.id),
            // The sentence above is the first policy's reason already.
            (Some(reason), None) if reason != decision.reason => format!("{}: {reason}", policy.id),
            _ => policy.id.clone(),
        };
        facts.fact("policy", text);
    }
    for effect in &decision.effects {
        facts.fact("effect", shown_effect(effect));
    }
    for wanted in step_ups(decision) {
        facts.fact("needs", format!("approval {} of {}", wanted.approval_id, plain(&wanted.name)));
    }
    facts
        .fact("session", if decision.session_id.is_empty() { "none" } else { &decision.session_id })
        .fact("acts for", decision.delegation.as_ref().map(parties).unwrap_or_default())
        .fact("bundle", decision.bundle_number.to_string())
        .fact("decision", &decision.decision_id)
        .fact("report", shown_wait(decision))
        .fact("decided", decision.decided_at.map(|time| time.to_string()).unwrap_or_default())
        .fact("took", shown_latency(took));
    format!("{} {what}\n{}", paint(style, name), facts.render())
}

/// An effect, for people.
pub fn shown_effect(effect: &Effect) -> String {
    let reserved = if effect.reserved { " (counts already)" } else { "" };
    format!("{} {}{reserved}", kind_name(effect.kind()), effect.text)
}

/// Until when a report is waited for; empty where none is.
fn shown_wait(decision: &Decision) -> String {
    decision.report_until.map(|until| format!("waited for until {until}")).unwrap_or_default()
}

fn step_ups(decision: &Decision) -> impl Iterator<Item = &StepUp> {
    decision.challenge.iter().flat_map(|challenge| &challenge.step_ups)
}

/// A short time in the unit that suits it.
pub fn shown_latency(latency: Duration) -> String {
    match latency.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        micros @ 1_000..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        micros => format!("{} ms", micros / 1_000),
    }
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allow => "allow",
        Outcome::Deny => "deny",
        Outcome::Challenge => "challenge",
        Outcome::Unspecified => "unknown",
    }
}

fn kind_name(kind: EffectKind) -> &'static str {
    match kind {
        EffectKind::Label => "label",
        EffectKind::Count => "count",
        EffectKind::Remember => "remember",
        EffectKind::Risk => "risk",
        EffectKind::Revoke => "revoke",
        EffectKind::Alert => "alert",
        EffectKind::Approval => "approval",
        EffectKind::Release => "release",
        EffectKind::Unspecified => "unknown",
    }
}

fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use chaperone_api::chaperone::v1::{ActionRequest, DeterminingPolicy, EntityRef};

    use super::*;

    fn decision() -> Decision {
        Decision {
            outcome: Outcome::Deny.into(),
            decision_id: "0198c0de-0000-7000-8000-000000000009".into(),
            code: "forbidden".into(),
            reason: "exports need an approval".into(),
            policies: vec![
                DeterminingPolicy {
                    id: "no-export".into(),
                    reason: "exports need an approval".into(),
                    failure: String::new(),
                },
                DeterminingPolicy {
                    id: "office-hours".into(),
                    reason: "come back tomorrow".into(),
                    failure: String::new(),
                },
            ],
            bundle_number: 3,
            effects: vec![
                Effect {
                    kind: EffectKind::Label.into(),
                    level: EffectLevel::Tree.into(),
                    name: "pii".into(),
                    text: "tree:pii".into(),
                    ..Effect::default()
                },
                Effect {
                    kind: EffectKind::Alert.into(),
                    text: "odd:high".into(),
                    name: "odd".into(),
                    ..Effect::default()
                },
            ],
            ..Decision::default()
        }
    }

    #[test]
    fn explanation_names_everything_that_determined_the_outcome() {
        let asked = ActionRequest {
            action: "export".into(),
            resource: Some(EntityRef { r#type: "Document".into(), id: "welcome".into() }),
            ..ActionRequest::default()
        };
        let asked = CheckRequest { action: Some(asked), ..CheckRequest::default() };
        let shown = explanation(&decision(), &asked, Duration::from_micros(1_850));
        assert_eq!(
            anstream::adapter::strip_str(&shown).to_string(),
            "DENY export Document::\"welcome\"\n  \
             code      forbidden\n  \
             reason    exports need an approval\n  \
             policy    no-export\n  \
             policy    office-hours: come back tomorrow\n  \
             effect    label tree:pii\n  \
             effect    alert odd:high\n  \
             session   none\n  \
             bundle    3\n  \
             decision  0198c0de-0000-7000-8000-000000000009\n  \
             took      1.8 ms\n"
        );
    }

    #[test]
    fn json_has_stable_names() {
        let json =
            serde_json::to_value(DecisionJson::new(&decision(), Duration::from_millis(2))).expect("it serializes");
        assert_eq!(
            json,
            serde_json::json!({
                "outcome": "deny",
                "code": "forbidden",
                "reason": "exports need an approval",
                "policies": [
                    { "id": "no-export", "reason": "exports need an approval", "failure": null },
                    { "id": "office-hours", "reason": "come back tomorrow", "failure": null },
                ],
                "effects": [
                    { "kind": "label", "level": "tree", "name": "pii", "text": "tree:pii" },
                    { "kind": "alert", "level": null, "name": "odd", "text": "odd:high" },
                ],
                "session_id": null,
                "bundle_number": 3,
                "decision_id": "0198c0de-0000-7000-8000-000000000009",
                "decided_at": null,
                "took_us": 2_000,
            })
        );
    }

    #[test]
    fn latency_is_shown_in_the_unit_that_suits_it() {
        for (micros, text) in [(0, "0 µs"), (999, "999 µs"), (1_000, "1.0 ms"), (9_999, "9.9 ms"), (12_345, "12 ms")]
        {
            assert_eq!(shown_latency(Duration::from_micros(micros)), text);
        }
    }
}
