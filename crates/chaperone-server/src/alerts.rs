//! Alerts of decisions: a log record for each, and a webhook where one is configured.

mod event;
mod limit;
mod secret;
mod target;
mod webhook;

use std::sync::Arc;

use chaperone_policy::{Alert, Decision, Effect, Request, Severity};

use self::limit::{Holder, Key, Limit};
pub use self::secret::{SecretError, WebhookSecret};
pub use self::target::{TargetError, WebhookTarget};
pub use self::webhook::{Webhook, WebhookOptions, WebhookTask};
use crate::pdp::Answer;
use crate::telemetry::Metrics;

/// Where the alerts of decisions go, beside their spans. Clones share everything.
#[derive(Clone, Debug)]
pub struct Alerts {
    metrics: Arc<Metrics>,
    limit: Arc<Limit>,
    webhook: Option<Webhook>,
}

/// What a decision alerts of, each once: several actions in one check may fire the same policy.
pub fn of(decision: &Decision) -> Vec<&Alert> {
    let mut alerts: Vec<&Alert> = Vec::new();
    for effect in &decision.effects {
        if let Effect::Alert(alert) = effect
            && !alerts.contains(&alert)
        {
            alerts.push(alert);
        }
    }
    alerts
}

impl Alerts {
    /// To the log only.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, limit: Arc::default(), webhook: None }
    }

    /// To the webhook as well.
    #[must_use]
    pub fn with_webhook(self, webhook: Webhook) -> Self {
        Self { webhook: Some(webhook), ..self }
    }

    /// Raises the alerts of a decision that stands. Never waits.
    pub fn raise(&self, alerts: &[&Alert], answer: &Answer, requests: &[Request]) {
        for (place, alert) in alerts.iter().enumerate() {
            self.metrics.alerts().raised(&alert.name, alert.severity);
            let key = Key { holder: Holder::of(answer), name: alert.name.to_string(), severity: alert.severity };
            if !self.limit.admits(key, answer.at) {
                self.metrics.alerts().suppressed();
                continue;
            }
            log(alert, answer, requests);
            if let Some(webhook) = &self.webhook {
                webhook.offer(place, alert, answer, requests);
            }
        }
    }
}

fn log(alert: &Alert, answer: &Answer, requests: &[Request]) {
    let session = answer.session.as_deref();
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                target: "chaperone::alert",
                {
                alert.name = %alert.name,
                alert.severity = alert.severity.as_str(),
                policy.id = %alert.policy,
                decision.id = %answer.id,
                decision.outcome = answer.decision.outcome.as_str(),
                decision.reason = answer.decision.reason.code(),
                session.id = session.map(|session| tracing::field::display(session.id)),
                session.tree.id = session.map(|session| tracing::field::display(session.tree)),
                session.owner = session.map(|session| session.owner.as_str()),
                session.task.id = session.map(|session| session.task.id.as_str()),
                principal = answer.principal.as_ref().map(tracing::field::display),
                action = requests.first().map(|request| tracing::field::display(&request.action)),
                resource = requests.first().map(|request| tracing::field::display(&request.resource)),
                bundle.number = answer.bundle.get(),
                },
                "alert"
            )
        };
    }
    match alert.severity {
        Severity::Low | Severity::Medium => log!(warn),
        Severity::High | Severity::Critical => log!(error),
    }
}
