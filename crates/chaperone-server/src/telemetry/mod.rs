//! What operators see: logs, metrics, and a span per check.

mod decision_span;
pub mod logs;
mod metrics;
pub mod names;
mod otlp;
mod parent;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracerProvider;

pub use decision_span::{DecisionFields, DecisionSpans, SpanResult};
pub use logs::LogError;
pub use metrics::{AlertCounts, ApprovalEvent, Metrics, MetricsError, ShadowCounts, TrailCounts};
pub use otlp::ExportCounts;
pub use parent::ParentContext;

use crate::config::{LogConfig, TelemetryConfig};

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The logs.
    #[error(transparent)]
    Logs(#[from] LogError),
    /// The metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The exporter of spans.
    #[error("spans cannot be exported")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Telemetry under way.
#[derive(Debug)]
pub struct Telemetry {
    /// Where spans go.
    pub spans: DecisionSpans,
    /// Where counts go.
    pub metrics: Arc<Metrics>,
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Starts logs, metrics and, where an endpoint is configured, the export of spans. Call it once, within a multi-thread runtime:
    /// the exporter works on it.
    ///
    /// # Errors
    /// See [`TelemetryError`]. A collector that is not there is none.
    pub fn init(telemetry: &TelemetryConfig, log: &LogConfig, replica: &str) -> Result<Self, TelemetryError> {
        logs::init(log)?;
        Self::without_logs(telemetry, replica)
    }

    /// As [`Telemetry::init`], where something else writes the logs.
    ///
    /// # Errors
    /// See [`TelemetryError`].
    pub fn without_logs(config: &TelemetryConfig, replica: &str) -> Result<Self, TelemetryError> {
        let metrics = Arc::new(Metrics::new(replica)?);
        if config.otlp_endpoint.is_empty() {
            return Ok(Self { spans: DecisionSpans::disabled(), metrics, provider: None });
        }
        let provider = otlp::provider(config, replica, metrics.exports())?;
        let spans = DecisionSpans::new(&provider, config.sample_ratio);
        Ok(Self { spans, metrics, provider: Some(provider) })
    }

    /// Sends what is left, for `timeout` at most. Says whether everything was sent.
    pub async fn shutdown(self, timeout: Duration) -> bool {
        let Some(provider) = self.provider else { return true };
        // The SDK blocks its thread.
        let flush = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(timeout));
        matches!(tokio::time::timeout(timeout, flush).await, Ok(Ok(Ok(()))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::{Instant, SystemTime};

    use chaperone_policy::{Outcome, Reason, Timestamp};
    use clap::Parser as _;

    use super::*;
    use crate::clock::Clock;
    use crate::config::ServeConfig;

    fn config(endpoint: &str) -> TelemetryConfig {
        let arguments = ["chaperone", "--telemetry-otlp-endpoint", endpoint];
        ServeConfig::try_parse_from(arguments).expect("it parses").telemetry
    }

    #[tokio::test]
    async fn without_an_endpoint_nothing_is_exported() {
        let telemetry = Telemetry::without_logs(&config(""), "r").expect("it starts");
        assert!(!telemetry.spans.is_enabled());
        assert!(telemetry.shutdown(Duration::ZERO).await);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn collector_that_is_not_there_delays_neither_checks_nor_the_end() {
        // Bound and never accepted from: connecting works and nothing is ever answered.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", silent.local_addr().expect("it is bound"));
        let telemetry = Telemetry::without_logs(&config(&endpoint), "r").expect("it starts");
        let metrics = Arc::clone(&telemetry.metrics);
        let fields = DecisionFields {
            result: SpanResult::Decided(Outcome::Deny, Reason::Forbidden),
            decision_id: Clock::manual(Timestamp::from_micros(0)).decision_id(),
            protocol: "grpc",
            elapsed: Duration::ZERO,
            session: None,
            delegation: None,
            principal: None,
            requests: &[],
            policies: &[],
            alerts: &[],
            bundle: None,
            is_stale: false,
        };
        let began = Instant::now();
        for _ in 0..10_000 {
            telemetry.spans.record(None, SystemTime::UNIX_EPOCH, &fields);
        }
        assert!(metrics.exports().dropped.load(Ordering::Relaxed) > 0, "the queue is shorter than that");
        assert!(!telemetry.shutdown(Duration::from_millis(50)).await);
        assert!(began.elapsed() < Duration::from_secs(4), "it took {:?}", began.elapsed());
    }
}
