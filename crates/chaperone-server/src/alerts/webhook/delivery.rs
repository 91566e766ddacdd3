//! Delivers one event after the other: in the order in which they came, except that one that failed waits for its next attempt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::secret::WebhookSecret;
use super::super::target::{AttemptError, WebhookTarget};
use super::Queued;
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// What is waited after a first failure.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// What is waited at most before an event is tried again.
const BACKOFF_MAX: Duration = Duration::from_mins(5);
/// What is waited at most before any event is tried: a receiver that is back is found within this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// After this an event is given up.
const AGE_MAX: Duration = Duration::from_hours(24);

pub(super) struct Delivery {
    target: WebhookTarget,
    secret: WebhookSecret,
    queued: mpsc::UnboundedReceiver<Queued>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// By when each is tried next, and then by how they came.
    waiting: BTreeMap<(Instant, u64), Waiting>,
    arrivals: u64,
    /// How many attempts in a row failed, whatever event they were of.
    failures: u32,
    /// No attempt before this.
    resume_at: Instant,
}

struct Waiting {
    queued: Queued,
    arrival: u64,
    failures: u32,
}

impl Delivery {
    pub(super) fn new(
        target: WebhookTarget,
        secret: WebhookSecret,
        queued: mpsc::UnboundedReceiver<Queued>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (waiting, resume_at) = (BTreeMap::new(), Instant::now());
        Self { target, secret, queued, clock, metrics, waiting, arrivals: 0, failures: 0, resume_at }
    }

    /// Delivers until it is told to stop, and then tries everything that is left once. Says how many were not delivered.
    pub(super) async fn run(mut self, stop: CancellationToken) -> usize {
        while !stop.is_cancelled() {
            while let Ok(queued) = self.queued.try_recv() {
                self.add(queued);
            }
            let next = self.waiting.first_key_value().map(|((due, _), _)| (*due).max(self.resume_at));
            if next.is_some_and(|next| next <= Instant::now()) {
                if let Some((_, waiting)) = self.waiting.pop_first() {
                    self.attempt(waiting).await;
                }
                continue;
            }
            let pause = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => {}
                queued = self.queued.recv() => match queued {
                    Some(queued) => self.add(queued),
                    None => break,
                },
                () = stop.cancelled() => {}
            }
        }
        self.finish().await
    }

    fn add(&mut self, queued: Queued) {
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.waiting.insert((queued.since, arrival), Waiting { queued, arrival, failures: 0 });
    }

    async fn attempt(&mut self, mut waiting: Waiting) {
        let Err(error) = self.send(&waiting.queued).await else {
            if self.failures > 0 {
                tracing::info!("alerts are delivered again");
            }
            self.failures = 0;
            return;
        };
        let id = &waiting.queued.event.id;
        if error.is_final() {
            // It answers: others may be to its taste.
            self.failures = 0;
            self.metrics.alerts().dropped("refused", 1);
            tracing::error!(alert.id = %id, %error, "an alert was refused; it is only in the log");
            return;
        }
        if self.failures == 0 {
            tracing::warn!(alert.id = %id, %error, "an alert could not be delivered; it is tried again");
        }
        let (now, jitter) = (Instant::now(), rand::random::<f64>());
        self.failures = self.failures.saturating_add(1);
        self.resume_at = now + backoff(self.failures, jitter).min(PAUSE_MAX);
        if now.saturating_duration_since(waiting.queued.since) >= AGE_MAX {
            self.metrics.alerts().dropped("expired", 1);
            tracing::error!(alert.id = %id, %error, "an alert could not be delivered for a day; it is only in the log");
            return;
        }
        self.metrics.alerts().retried();
        waiting.failures = waiting.failures.saturating_add(1);
        self.waiting.insert((now + backoff(waiting.failures, jitter), waiting.arrival), waiting);
    }

    async fn send(&self, queued: &Queued) -> Result<(), AttemptError> {
        let timestamp = self.clock.now().as_micros() / 1_000_000;
        self.target.send(&queued.event, &self.secret, timestamp).await?;
        self.metrics.alerts().delivered();
        Ok(())
    }

    async fn finish(mut self) -> usize {
        while let Ok(queued) = self.queued.try_recv() {
            self.add(queued);
        }
        let mut rest: Vec<_> = std::mem::take(&mut self.waiting).into_values().collect();
        rest.sort_unstable_by_key(|waiting| waiting.arrival);
        // What failed keeps its place: whoever loses patience counts the places that are taken.
        let mut lost = Vec::new();
        for waiting in rest {
            if let Err(error) = self.send(&waiting.queued).await {
                tracing::debug!(alert.id = %waiting.queued.event.id, %error, "an alert could not be delivered at the end");
                lost.push(waiting);
            }
        }
        lost.len()
    }
}

/// What is waited after so many failures: twice as much each time, and of that a part from a half to the whole, so that replicas do not
/// come all at once. `jitter` is from 0 to 1.
fn backoff(failures: u32, jitter: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    let whole = BACKOFF_MIN.saturating_mul(doubled).min(BACKOFF_MAX);
    whole.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_limit() {
        let whole = |failures| backoff(failures, 1.0).as_secs();
        assert_eq!([1, 2, 3, 9, 10, 11, u32::MAX].map(whole), [1, 2, 4, 256, 300, 300, 300]);
        assert_eq!(backoff(3, 0.0), Duration::from_secs(2));
        assert_eq!(backoff(3, 0.5), Duration::from_secs(3));
    }
}
