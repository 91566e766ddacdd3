//! Metrics, in Prometheus text. Never by session or principal: their number has no bound.

mod alerts;
mod approvals;
mod decisions;
mod durations;
mod gauges;
mod shadow;
mod sharded;
mod trail;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chaperone_policy::{BundleNumber, Outcome, Reason, Reported};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};

pub use self::alerts::AlertCounts;
pub use self::approvals::{ApprovalCounts, ApprovalEvent};
use self::decisions::{DecisionCounts, PROTOCOLS};
use self::durations::{CheckDurations, DurationsCollector};
use self::gauges::Gauges;
pub use self::shadow::ShadowCounts;
pub use self::trail::TrailCounts;
use super::names;
use super::otlp::ExportCounts;
use crate::clock::Clock;
use crate::no_decision::NoDecision;

/// What the instruments belong to.
const SCOPE: &str = "chaperone";

/// Why metrics cannot be made or written.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The exporter.
    #[error("the metrics exporter cannot start")]
    Exporter(#[from] OTelSdkError),
    /// The registry.
    #[error("the metrics registry failed")]
    Registry(#[from] prometheus::Error),
}

/// Every metric of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Kept alive: dropping it ends the metrics.
    provider: SdkMeterProvider,
    decisions: Arc<DecisionCounts>,
    alerts: AlertCounts,
    approvals: ApprovalCounts,
    shadow: ShadowCounts,
    signals: Counter<u64>,
    trail: TrailCounts,
    gauges: Arc<Gauges>,
    exports: Arc<ExportCounts>,
    check_durations: Arc<CheckDurations>,
    no_decisions: Counter<u64>,
    decisions_in_grace: Counter<u64>,
    store_errors: Counter<u64>,
    reloads: Counter<u64>,
    entity_changes: Counter<u64>,
    touches: Counter<u64>,
    commits: Histogram<f64>,
    committed_checks: Counter<u64>,
    commit_conflicts: Counter<u64>,
    shed: Counter<u64>,
    reports: Counter<u64>,
    verified: Counter<u64>,
    evaluator_differences: Counter<u64>,
    verify_dropped: Counter<u64>,
}

/// The upper ends of the buckets of commits, in seconds.
const COMMIT_ENDS_S: [f64; 9] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5];

/// The calls to the store whose failures are counted.
const STORE_OPERATIONS: [&str; 4] = ["session_chain", "changes", "commit_memories", "report"];
/// What is reported.
const REPORTED: [Reported; 2] = [Reported::Executed, Reported::Failed];
/// What comes of a report that is not refused.
const REPORT_STATUSES: [&str; 4] = ["settled", "repeated", "nothing_waiting", "too_late"];
/// What comes of a signal.
const SIGNAL_RESULTS: [&str; 3] = ["taken", "duplicate", "failed"];

impl Metrics {
    /// Metrics of a replica, all zero.
    ///
    /// # Errors
    /// See [`MetricsError`].
    pub fn new(replica: &str) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let reader =
            opentelemetry_prometheus::exporter().with_registry(registry.clone()).scope_info_enabled(false).build()?;
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new(names::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
                KeyValue::new(names::SERVICE_INSTANCE_ID, replica.to_owned()),
            ])
            .build();
        let provider = SdkMeterProvider::builder().with_reader(reader).with_resource(resource).build();
        let meter = provider.meter(SCOPE);
        let (decisions, gauges, exports) = (Arc::default(), Arc::new(Gauges::new()), Arc::default());
        decisions::observe(&meter, &decisions);
        gauges::observe(&meter, &gauges);
        observe_exports(&meter, &exports);
        let check_durations = Arc::new(CheckDurations::default());
        registry.register(Box::new(DurationsCollector::new(Arc::clone(&check_durations))?))?;
        let counter = |name: &'static str, what: &'static str| meter.u64_counter(name).with_description(what).build();
        let metrics = Self {
            evaluator_differences: counter(
                "chaperone.evaluator.differences",
                "Decisions that Cedar's evaluator would have made otherwise",
            ),
            verified: counter("chaperone.evaluator.verified", "Decisions that were made again by Cedar's evaluator"),
            verify_dropped: counter(
                "chaperone.evaluator.samples.dropped",
                "Decisions that were to be made again by Cedar's evaluator, but for which it had no time",
            ),
            no_decisions: counter("chaperone.no.decisions", "Checks that could not be decided, by code and door"),
            decisions_in_grace: counter(
                "chaperone.decisions.in.grace",
                "Decisions from state older than max-staleness",
            ),
            store_errors: counter("chaperone.store.errors", "Calls to the store that failed, by operation"),
            reloads: counter("chaperone.bundle.reloads", "Bundles taken over or refused by this replica, by result"),
            entity_changes: counter(
                "chaperone.entity.changes",
                "Changed entities that this replica took over by themselves, without loading everything again",
            ),
            touches: counter("chaperone.session.touches", "Uses of sessions written to the store"),
            commits: meter
                .f64_histogram("chaperone.commit.duration")
                .with_unit("s")
                .with_description("How long it took to store what one round of decisions leaves behind")
                .with_boundaries(COMMIT_ENDS_S.into())
                .build(),
            committed_checks: counter("chaperone.commit.checks", "Decisions that left something behind, in all rounds"),
            commit_conflicts: counter(
                "chaperone.commit.conflicts",
                "Transitions that were decided again because another replica was faster",
            ),
            shed: counter("chaperone.shed", "Calls refused at once because too many were under way, by door"),
            reports: counter("chaperone.reports", "Reports of outcomes, by outcome and what came of them"),
            alerts: AlertCounts::new(&meter),
            approvals: ApprovalCounts::new(&meter),
            shadow: ShadowCounts::new(&meter),
            signals: counter("chaperone.signals", "Signals from outside that this replica was sent, by result"),
            trail: TrailCounts::new(&meter),
            registry,
            provider,
            decisions,
            check_durations,
            gauges,
            exports,
        };
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// Makes what an alarm watches appear from the start: it must not miss the first increase.
    fn begin_at_zero(&self) {
        for (failure, protocol) in NoDecision::ALL.into_iter().flat_map(|failure| PROTOCOLS.map(|door| (failure, door)))
        {
            self.no_decisions.add(0, &[KeyValue::new("code", failure.code()), KeyValue::new("protocol", protocol)]);
        }
        for operation in STORE_OPERATIONS {
            self.store_errors.add(0, &[KeyValue::new("operation", operation)]);
        }
        for result in ["ok", "error"] {
            self.reloads.add(0, &[KeyValue::new("result", result)]);
        }
        for (outcome, status) in REPORTED.into_iter().flat_map(|outcome| REPORT_STATUSES.map(|it| (outcome, it))) {
            self.reports.add(0, &[KeyValue::new("outcome", outcome.as_str()), KeyValue::new("status", status)]);
        }
        for result in SIGNAL_RESULTS {
            self.signals.add(0, &[KeyValue::new("result", result)]);
        }
        self.shed.add(0, &[KeyValue::new("door", "data")]);
        for counter in [
            &self.decisions_in_grace,
            &self.entity_changes,
            &self.touches,
            &self.committed_checks,
            &self.commit_conflicts,
            &self.verified,
            &self.evaluator_differences,
            &self.verify_dropped,
        ] {
            counter.add(0, &[]);
        }
    }

    /// Counts a decision. `protocol` is the door, such as `ext_authz`.
    pub fn decided(&self, outcome: Outcome, reason: Reason, protocol: &str) {
        self.decisions.add(outcome, reason, protocol);
    }

    /// Counts how long a check took until its decision could be answered.
    pub fn took(&self, elapsed: Duration) {
        self.check_durations.add(elapsed);
    }

    /// Counts a check that could not be decided, by its stable code.
    pub fn not_decided(&self, code: &'static str, protocol: &'static str, elapsed: Duration) {
        self.no_decisions.add(1, &[KeyValue::new("code", code), KeyValue::new("protocol", protocol)]);
        self.check_durations.add(elapsed);
    }

    /// Counts a decision made within the grace for stale state.
    pub fn decided_in_grace(&self) {
        self.decisions_in_grace.add(1, &[]);
    }

    /// Counts a failed call to the store, by the operation's name.
    pub fn store_error(&self, operation: &'static str) {
        self.store_errors.add(1, &[KeyValue::new("operation", operation)]);
    }

    /// Counts a bundle that this replica took over (`true`) or could not use (`false`).
    pub fn bundle_reloaded(&self, is_usable: bool) {
        self.reloads.add(1, &[KeyValue::new("result", if is_usable { "ok" } else { "error" })]);
    }

    /// Counts entities that changed and were taken over by themselves.
    pub fn entities_changed(&self, count: usize) {
        self.entity_changes.add(u64::try_from(count).unwrap_or(u64::MAX), &[]);
    }

    /// Counts uses of sessions that were written to the store.
    pub fn touched(&self, sessions: u64) {
        self.touches.add(sessions, &[]);
    }

    /// Counts a commit of what `checks` decisions leave behind, in which `conflicts` transitions were too late.
    pub fn committed(&self, checks: usize, conflicts: usize, elapsed: Duration) {
        let count = |number| u64::try_from(number).unwrap_or(u64::MAX);
        self.commits.record(elapsed.as_secs_f64(), &[]);
        self.committed_checks.add(count(checks), &[]);
        self.commit_conflicts.add(count(conflicts), &[]);
    }

    /// Counts a call that was refused because too many were under way, by its door (`data`, `admin`).
    pub fn shed(&self, door: &'static str) {
        self.shed.add(1, &[KeyValue::new("door", door)]);
    }

    /// Counts a report of an outcome, by what came of it.
    pub fn reported(&self, outcome: Reported, status: &'static str) {
        self.reports.add(1, &[KeyValue::new("outcome", outcome.as_str()), KeyValue::new("status", status)]);
    }

    /// Counts a decision that Cedar's evaluator made again, and whether that was another one.
    pub fn verified(&self, differs: bool) {
        self.verified.add(1, &[]);
        self.evaluator_differences.add(u64::from(differs), &[]);
    }

    /// Counts a decision that was to be made again by Cedar's evaluator, and was not.
    pub fn verification_dropped(&self) {
        self.verify_dropped.add(1, &[]);
    }

    /// The counts of alerts.
    pub fn alerts(&self) -> &AlertCounts {
        &self.alerts
    }

    /// The counts of the shadow.
    pub fn shadow(&self) -> &ShadowCounts {
        &self.shadow
    }

    /// The counts of approvals.
    pub fn approvals(&self) -> &ApprovalCounts {
        &self.approvals
    }

    /// Counts a signal from outside: `taken`, `duplicate`, or `failed`.
    pub fn signalled(&self, result: &'static str) {
        self.signals.add(1, &[KeyValue::new("result", result)]);
    }

    /// The counts of the trail.
    pub fn trail(&self) -> &TrailCounts {
        &self.trail
    }

    /// Notes that the feed was read just now.
    pub fn feed_was_read(&self) {
        self.gauges.feed_was_read();
    }

    /// Notes which bundle decides.
    pub fn bundle_is(&self, bundle: Option<BundleNumber>) {
        self.gauges.bundle_is(bundle);
    }

    /// Notes how many sessions are in memory.
    pub fn cached_sessions_are(&self, sessions: usize) {
        self.gauges.cached_sessions_are(sessions);
    }

    /// Adds a gauge of how far a clock is ahead of the wall clock, which tells that the wall clock was set back.
    pub fn observe_clock(&self, clock: &Clock) {
        let clock = clock.clone();
        self.provider
            .meter(SCOPE)
            .f64_observable_gauge("chaperone.clock.ahead")
            .with_description("How far this replica's clock is ahead of the wall clock, because that was set back")
            .with_unit("s")
            .with_callback(move |gauge| gauge.observe(clock.ahead_of_wall().as_secs_f64(), &[]))
            .build();
    }

    /// Everything, in Prometheus text format 0.0.4.
    ///
    /// # Errors
    /// When the registry cannot be written.
    pub fn text(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }

    pub(super) fn exports(&self) -> Arc<ExportCounts> {
        Arc::clone(&self.exports)
    }
}

fn observe_exports(meter: &Meter, exports: &Arc<ExportCounts>) {
    let source = Arc::clone(exports);
    meter
        .u64_observable_counter("chaperone.spans")
        .with_description(
            "Spans by what became of them: exported, failed at the collector, or dropped for a full queue",
        )
        .with_callback(move |counter| {
            for (result, count) in
                [("exported", &source.exported), ("failed", &source.failed), ("dropped", &source.dropped)]
            {
                counter.observe(count.load(Ordering::Relaxed), &[KeyValue::new("result", result)]);
            }
        })
        .build();
}

#[cfg(test)]
mod tests {
    use chaperone_policy::Timestamp;

    use super::*;

    fn value(text: &str, series: &str) -> Option<f64> {
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    #[test]
    fn decisions_are_counted_by_outcome_reason_and_door() {
        let metrics = Metrics::new("r").expect("they can be made");
        for _ in 0..3 {
            metrics.decided(Outcome::Allow, Reason::Permitted, "ext_authz");
            metrics.took(Duration::from_micros(70));
        }
        metrics.decided(Outcome::Deny, Reason::SessionRevoked, "grpc");
        metrics.took(Duration::from_millis(3));
        metrics.not_decided("stale", "ext_authz", Duration::from_millis(1));
        let text = metrics.text().expect("it is written");
        for (series, expected) in [
            (r#"chaperone_decisions_total{outcome="allow",protocol="ext_authz",reason="permitted"}"#, 3.0),
            (r#"chaperone_decisions_total{outcome="deny",protocol="grpc",reason="session_revoked"}"#, 1.0),
            (r#"chaperone_decisions_total{outcome="deny",protocol="grpc",reason="forbidden"}"#, 0.0),
            (r#"chaperone_no_decisions_total{code="stale",protocol="ext_authz"}"#, 1.0),
            (r#"chaperone_check_duration_seconds_bucket{le="0.0001"}"#, 3.0),
            ("chaperone_check_duration_seconds_count", 5.0),
        ] {
            assert_eq!(value(&text, series), Some(expected), "{series}\n{text}");
        }
    }

    #[test]
    fn what_an_alarm_watches_is_there_from_the_start() {
        let text = Metrics::new("r").expect("they can be made").text().expect("it is written");
        for series in [
            r#"chaperone_no_decisions_total{code="stale",protocol="ext_authz"}"#,
            r#"chaperone_no_decisions_total{code="contention",protocol="grpc"}"#,
            r#"chaperone_store_errors_total{operation="changes"}"#,
            r#"chaperone_bundle_reloads_total{result="error"}"#,
            r#"chaperone_shed_total{door="data"}"#,
            "chaperone_decisions_in_grace_total",
            "chaperone_evaluator_differences_total",
            r#"chaperone_alerts_dropped_total{reason="expired"}"#,
        ] {
            assert_eq!(value(&text, series), Some(0.0), "{series}\n{text}");
        }
    }

    #[test]
    fn gauges_tell_the_last_known_state() {
        let metrics = Metrics::new("r").expect("they can be made");
        assert_eq!(value(&metrics.text().expect("it is written"), "chaperone_feed_age_seconds"), None);
        metrics.feed_was_read();
        metrics.bundle_is(Some(BundleNumber::new(7)));
        metrics.cached_sessions_are(42);
        let text = metrics.text().expect("it is written");
        assert!(value(&text, "chaperone_feed_age_seconds").is_some_and(|age| age < 60.0), "{text}");
        assert_eq!(value(&text, "chaperone_bundle_active"), Some(7.0), "{text}");
        assert_eq!(value(&text, "chaperone_sessions_cached"), Some(42.0), "{text}");
    }

    #[test]
    fn clock_set_back_is_seen() {
        let metrics = Metrics::new("r").expect("they can be made");
        let clock = Clock::manual(Timestamp::from_micros(90_000_000));
        metrics.observe_clock(&clock);
        clock.set(Timestamp::from_micros(30_000_000));
        let text = metrics.text().expect("it is written");
        assert_eq!(value(&text, "chaperone_clock_ahead_seconds"), Some(60.0), "{text}");
    }

    #[test]
    fn troubles_are_counted() {
        let metrics = Metrics::new("r").expect("they can be made");
        metrics.store_error("session_chain");
        metrics.bundle_reloaded(false);
        metrics.touched(5);
        metrics.shed("data");
        metrics.decided_in_grace();
        metrics.verified(false);
        metrics.verified(true);
        metrics.verification_dropped();
        let text = metrics.text().expect("it is written");
        for (series, expected) in [
            ("chaperone_evaluator_verified_total", 2.0),
            ("chaperone_evaluator_differences_total", 1.0),
            ("chaperone_evaluator_samples_dropped_total", 1.0),
            (r#"chaperone_store_errors_total{operation="session_chain"}"#, 1.0),
            (r#"chaperone_bundle_reloads_total{result="error"}"#, 1.0),
            ("chaperone_session_touches_total", 5.0),
            (r#"chaperone_shed_total{door="data"}"#, 1.0),
            ("chaperone_decisions_in_grace_total", 1.0),
            (r#"chaperone_spans_total{result="dropped"}"#, 0.0),
        ] {
            assert_eq!(value(&text, series), Some(expected), "{series}\n{text}");
        }
    }
}
