//! The export of spans: a bounded queue, a batch exporter, and a count of what did not get through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter as OtlpExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor,
};

use super::names;
use crate::config::TelemetryConfig;

/// How many spans are sent at once.
const BATCH_SIZE: usize = 512;
/// How long a span waits for others.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// How long the collector may take for a batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// What became of spans since the start.
#[derive(Debug, Default)]
pub struct ExportCounts {
    /// The collector took them.
    pub exported: AtomicU64,
    /// The collector was not there, or did not take them.
    pub failed: AtomicU64,
    /// Dropped, because too many were waiting.
    pub dropped: AtomicU64,
    /// Waiting, or on their way.
    in_flight: AtomicUsize,
}

/// A provider that records every span that it is given and sends it to the configured collector.
pub(super) fn provider(
    config: &TelemetryConfig,
    replica: &str,
    counts: Arc<ExportCounts>,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = OtlpExporter::builder()
        .with_tonic()
        .with_endpoint(&config.otlp_endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    Ok(provider_over(exporter, config, replica, counts))
}

fn provider_over(
    exporter: impl SpanExporter + 'static,
    config: &TelemetryConfig,
    replica: &str,
    counts: Arc<ExportCounts>,
) -> SdkTracerProvider {
    let resource = Resource::builder()
        .with_attributes([
            KeyValue::new(names::SERVICE_NAME, config.service_name.clone()),
            KeyValue::new(names::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
            KeyValue::new(names::SERVICE_INSTANCE_ID, replica.to_owned()),
        ])
        .build();
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(config.queue_size)
        .with_max_export_batch_size(BATCH_SIZE.min(config.queue_size))
        .with_scheduled_delay(BATCH_DELAY)
        .build();
    let exporter = Counted { exporter, counts: Arc::clone(&counts) };
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    SdkTracerProvider::builder()
        .with_resource(resource)
        // What is worth recording was decided before the span was made.
        .with_sampler(Sampler::AlwaysOn)
        .with_span_processor(Bounded { processor, counts, limit: config.queue_size })
        .build()
}

/// Drops spans beyond the limit, and counts them: the SDK's queue is as long, so that it never drops one unseen.
#[derive(Debug)]
struct Bounded {
    processor: BatchSpanProcessor,
    counts: Arc<ExportCounts>,
    limit: usize,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.processor.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.counts.in_flight.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.counts.in_flight.fetch_sub(1, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.processor.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.processor.set_resource(resource);
    }
}

/// Counts what the exporter did.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    counts: Arc<ExportCounts>,
}

/// A batch on its way. It is failed until it is known to have been taken, even when the export is given up.
struct Batch<'a> {
    counts: &'a ExportCounts,
    spans: usize,
    taken: bool,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let spans = u64::try_from(self.spans).unwrap_or(u64::MAX);
        let counter = if self.taken { &self.counts.exported } else { &self.counts.failed };
        counter.fetch_add(spans, Ordering::Relaxed);
        self.counts.in_flight.fetch_sub(self.spans, Ordering::Relaxed);
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut counted = Batch { counts: &self.counts, spans: batch.len(), taken: false };
        let result = self.exporter.export(batch).await;
        counted.taken = result.is_ok();
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use clap::Parser as _;
    use opentelemetry::trace::{SpanBuilder, TraceContextExt as _, Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;
    use crate::config::ServeConfig;
    use crate::telemetry::ParentContext;

    const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    /// An exporter that holds every batch until the gate is opened, and then fails when told to.
    #[derive(Clone, Debug, Default)]
    struct Gate(Arc<(Mutex<bool>, Condvar)>, bool);

    impl Gate {
        fn open(&self) {
            *self.0.0.lock().expect("not poisoned") = true;
            self.0.1.notify_all();
        }
    }

    impl SpanExporter for Gate {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            let open = self.0.0.lock().expect("not poisoned");
            drop(self.0.1.wait_while(open, |open| !*open).expect("not poisoned"));
            if self.1 { Err(OTelSdkError::InternalFailure("refused".to_owned())) } else { Ok(()) }
        }
    }

    /// Makes spans under a caller who does not sample; tells how many were exported, failed and dropped.
    fn send(gate: &Gate, spans: u64) -> [u64; 3] {
        let mut config = ServeConfig::try_parse_from(["chaperone"]).expect("it parses").telemetry;
        config.queue_size = 512;
        let counts = Arc::new(ExportCounts::default());
        let provider = provider_over(gate.clone(), &config, "r", Arc::clone(&counts));
        let tracer = provider.tracer("test");
        let parent = ParentContext::from_traceparent(UNSAMPLED).expect("it is valid");
        let context = Context::new().with_remote_span_context(parent.span_context());
        for _ in 0..spans {
            drop(tracer.build_with_context(SpanBuilder::from_name("span"), &context));
        }
        gate.open();
        let _ = provider.shutdown();
        [&counts.exported, &counts.failed, &counts.dropped].map(|count| count.load(Ordering::Relaxed))
    }

    #[test]
    fn every_span_is_exported_or_counted_as_dropped() {
        assert_eq!(send(&Gate::default(), 2_000), [512, 0, 1_488]);
    }

    #[test]
    fn spans_that_the_collector_refuses_are_counted() {
        assert_eq!(send(&Gate(Arc::default(), true), 10), [0, 10, 0]);
    }
}
