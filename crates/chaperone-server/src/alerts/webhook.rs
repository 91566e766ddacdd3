//! The webhook: a bounded queue that a check never waits for, and the task that delivers what is in it.

mod delivery;

use std::sync::Arc;

use chaperone_policy::{Alert, Request, Severity};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::delivery::Delivery;
use super::event::{self, Event};
use super::secret::WebhookSecret;
use super::target::WebhookTarget;
use crate::clock::Clock;
use crate::pdp::Answer;
use crate::telemetry::Metrics;

/// How much waits at most, in bytes, however few alerts that is.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a webhook is made of.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// Where alerts are sent to.
    pub target: WebhookTarget,
    /// What they are signed with.
    pub secret: WebhookSecret,
    /// Those below are not sent.
    pub min_severity: Severity,
    /// How many wait at most.
    pub queue_size: usize,
}

/// Takes alerts to be delivered. Clones share everything.
#[derive(Clone, Debug)]
pub struct Webhook {
    source: Arc<str>,
    min_severity: Severity,
    room: Arc<Room>,
    queue: mpsc::UnboundedSender<Queued>,
    metrics: Arc<Metrics>,
}

/// The delivery under way.
#[derive(Debug)]
pub struct WebhookTask {
    task: JoinHandle<usize>,
    stop: CancellationToken,
    room: Arc<Room>,
    metrics: Arc<Metrics>,
}

/// How much may still be queued.
#[derive(Debug)]
struct Room {
    events_max: usize,
    events: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// An event that has its place until it is delivered or given up.
#[derive(Debug)]
struct Queued {
    event: Event,
    since: Instant,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Webhook {
    /// Starts delivering, in this runtime.
    pub fn start(options: WebhookOptions, replica: &str, clock: &Clock, metrics: &Arc<Metrics>) -> (Self, WebhookTask) {
        let WebhookOptions { target, secret, min_severity, queue_size } = options;
        let (queue, queued) = mpsc::unbounded_channel();
        let room = Arc::new(Room::new(queue_size));
        let delivery = Delivery::new(target, secret, queued, clock.clone(), Arc::clone(metrics));
        let stop = CancellationToken::new();
        let task = tokio::spawn(delivery.run(stop.clone()));
        let task = WebhookTask { task, stop, room: Arc::clone(&room), metrics: Arc::clone(metrics) };
        let source = event::source(replica).into();
        (Self { source, min_severity, room, queue, metrics: Arc::clone(metrics) }, task)
    }

    /// Queues an alert. Where there is no room those that wait stay, and this one is refused.
    pub(super) fn offer(&self, place: usize, alert: &Alert, answer: &Answer, requests: &[Request]) {
        if alert.severity < self.min_severity {
            return;
        }
        let queued = Event::new(&self.source, place, alert, answer, requests).and_then(|event| self.room.admit(event));
        let is_queued = queued.is_some_and(|queued| self.queue.send(queued).is_ok());
        if !is_queued {
            self.metrics.alerts().dropped("queue_full", 1);
            tracing::error!(
                alert.name = %alert.name,
                decision.id = %answer.id,
                "the webhook's queue is full; an alert is only in the log"
            );
        }
    }
}

impl WebhookTask {
    /// Tries once more to deliver what is queued, until `deadline`. What cannot be is told.
    pub async fn finish(mut self, deadline: Instant) {
        self.stop.cancel();
        let lost = match tokio::time::timeout_at(deadline, &mut self.task).await {
            Ok(lost) => lost.unwrap_or_else(|_| self.room.taken()),
            Err(_) => {
                // Counted first: what is aborted gives its places back.
                let lost = self.room.taken();
                self.task.abort();
                lost
            }
        };
        if lost > 0 {
            self.metrics.alerts().dropped("stopped", lost);
            tracing::error!(alerts = lost, "alerts could not be delivered before the end; they are only in the log");
        }
    }
}

impl Room {
    fn new(events_max: usize) -> Self {
        let events_max = events_max.clamp(1, Semaphore::MAX_PERMITS);
        Self { events_max, events: Arc::new(Semaphore::new(events_max)), bytes: Arc::new(Semaphore::new(BYTES_MAX)) }
    }

    fn admit(&self, event: Event) -> Option<Queued> {
        let bytes = u32::try_from(event.body.len()).ok()?;
        let place = Arc::clone(&self.events).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()?;
        Some(Queued { event, since: Instant::now(), _room: (place, bytes) })
    }

    /// How many are queued.
    fn taken(&self) -> usize {
        self.events_max.saturating_sub(self.events.available_permits())
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::{alert, answer};
    use super::*;

    fn webhook(queue_size: usize, min_severity: Severity) -> (Webhook, mpsc::UnboundedReceiver<Queued>) {
        let (queue, queued) = mpsc::unbounded_channel();
        let metrics = Arc::new(Metrics::new("r").expect("they can be made"));
        let room = Arc::new(Room::new(queue_size));
        (Webhook { source: "chaperone/r".into(), min_severity, room, queue, metrics }, queued)
    }

    #[tokio::test]
    async fn full_queue_keeps_the_oldest_and_counts_the_newest() {
        let (webhook, mut queued) = webhook(2, Severity::Low);
        for place in 0..4 {
            webhook.offer(place, &alert(), &answer(), &[]);
        }
        assert_eq!(webhook.room.taken(), 2);
        let text = webhook.metrics.text().expect("it is written");
        assert!(text.contains("chaperone_alerts_dropped_total{reason=\"queue_full\"} 2"), "{text}");
        let first = queued.try_recv().expect("it is queued");
        assert!(first.event.id.ends_with("-0"), "{}", first.event.id);
        drop(first);
        webhook.offer(4, &alert(), &answer(), &[]);
        let rest: Vec<_> = std::iter::from_fn(|| queued.try_recv().ok()).map(|queued| queued.event.id).collect();
        assert!(rest.len() == 2 && rest[0].ends_with("-1") && rest[1].ends_with("-4"), "{rest:?}");
    }

    #[tokio::test]
    async fn alerts_below_the_least_severity_are_not_sent() {
        let (webhook, mut queued) = webhook(2, Severity::High);
        webhook.offer(0, &Alert { severity: Severity::Medium, ..alert() }, &answer(), &[]);
        assert!(queued.try_recv().is_err());
        webhook.offer(0, &Alert { severity: Severity::High, ..alert() }, &answer(), &[]);
        assert!(queued.try_recv().is_ok());
    }
}
