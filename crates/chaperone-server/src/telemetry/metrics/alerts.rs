//! Alerts, and what became of them. By name: names come from the bundles, so that nobody who is checked can make new ones.

use chaperone_policy::Severity;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

/// Why an alert does not get to the webhook.
const DROP_REASONS: [&str; 4] = ["queue_full", "refused", "expired", "stopped"];

/// The counts of alerts.
#[derive(Debug)]
pub struct AlertCounts {
    raised: Counter<u64>,
    suppressed: Counter<u64>,
    delivered: Counter<u64>,
    retried: Counter<u64>,
    dropped: Counter<u64>,
}

impl AlertCounts {
    pub(super) fn new(meter: &Meter) -> Self {
        let counter = |name: &'static str, what: &'static str| meter.u64_counter(name).with_description(what).build();
        let counts = Self {
            raised: counter("chaperone.alerts", "Alerts that decisions raised, by name and severity"),
            suppressed: counter(
                "chaperone.alerts.suppressed",
                "Alerts that were not logged or sent because the same one of the same session was within a minute",
            ),
            delivered: counter("chaperone.alerts.delivered", "Alerts that the webhook took"),
            retried: counter("chaperone.alerts.retried", "Attempts to deliver an alert that failed and are made again"),
            dropped: counter("chaperone.alerts.dropped", "Alerts that did not get to the webhook, by reason"),
        };
        // There from the start: an alarm on its increase must not miss the first.
        for reason in DROP_REASONS {
            counts.dropped.add(0, &[KeyValue::new("reason", reason)]);
        }
        for counter in [&counts.suppressed, &counts.delivered, &counts.retried] {
            counter.add(0, &[]);
        }
        counts
    }

    /// Counts an alert of a decision.
    pub fn raised(&self, name: &str, severity: Severity) {
        let attributes = [KeyValue::new("name", name.to_owned()), KeyValue::new("severity", severity.as_str())];
        self.raised.add(1, &attributes);
    }

    /// Counts one that is neither logged nor sent.
    pub fn suppressed(&self) {
        self.suppressed.add(1, &[]);
    }

    /// Counts one that the webhook took.
    pub fn delivered(&self) {
        self.delivered.add(1, &[]);
    }

    /// Counts an attempt that failed and is made again.
    pub fn retried(&self) {
        self.retried.add(1, &[]);
    }

    /// Counts those that do not get to the webhook.
    pub fn dropped(&self, reason: &'static str, alerts: usize) {
        self.dropped.add(u64::try_from(alerts).unwrap_or(u64::MAX), &[KeyValue::new("reason", reason)]);
    }
}
