//! The thread that writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::body;
use crate::chain::{Chainer, Head};
use crate::checkpoint::{self, Claim};
use crate::error::TrailError;
use crate::event::Event;
use crate::key::SigningKey;
use crate::observer::Observer;
use crate::options::{Clock, Identity, Keep, TrailOptions};
use crate::queue::{Batch, Wake};
use crate::record::Sealed;
use crate::sink::Sink;
use crate::trail::Shared;

/// How long the writer rests before it tries again, at first and at most.
const REST: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Takes what waits, gives it its place, and makes it durable: a batch at a time.
pub(crate) struct Writer {
    chainer: Chainer,
    sink: Box<dyn Sink>,
    pending: Vec<Sealed>,
    identity: Identity,
    key: SigningKey,
    clock: Clock,
    observer: Arc<dyn Observer>,
    shared: Arc<Shared>,
    checkpoint_interval: Duration,
    checkpoint_records: u64,
    /// Records since the last checkpoint.
    unsigned: u64,
    own: Vec<u8>,
}

impl Writer {
    pub fn open(
        options: TrailOptions,
        identity: Identity,
        key: SigningKey,
        clock: Clock,
        shared: Arc<Shared>,
    ) -> Result<Self, TrailError> {
        let Keep::Sink(sink) = options.keep else {
            return Err(TrailError::Option { option: "keep", problem: "cannot be a journal yet" });
        };
        Ok(Self {
            chainer: Chainer::new(shared.chain, Head::default()),
            sink,
            pending: Vec::new(),
            identity,
            key,
            clock,
            observer: options.observer,
            shared,
            checkpoint_interval: options.checkpoint_interval,
            checkpoint_records: options.checkpoint_records,
            unsigned: 0,
            own: Vec::new(),
        })
    }

    /// Writes until the trail is stopped. Tells whether all of it is durable.
    pub fn run(mut self) -> bool {
        let _ = (&self.observer, self.checkpoint_interval, self.checkpoint_records, REST, Instant::now);
        self.push_own(&Event::Started {
            replica: self.identity.replica.clone().into(),
            version: self.identity.version.clone().into(),
            key: self.key.verifying_key().to_string().into(),
        });
        let mut batch = Batch::default();
        loop {
            let wake = self.shared.queue.take(&mut batch, None);
            for (_, body) in batch.bodies() {
                self.chainer.seal(body);
                self.pending.push(self.chainer.sealed());
                self.unsigned += 1;
            }
            if wake == Wake::Stop {
                let sign = checkpoint::sign(&self.key, Claim::Stop, self.chainer.chain(), self.chainer.head());
                self.push_own(&sign);
                self.push_own(&Event::Stopped);
            }
            let durable = self.sink.write(&self.pending).is_ok();
            for record in self.pending.drain(..) {
                if durable && self.shared.subscribers.any() {
                    self.shared.subscribers.publish(record);
                }
            }
            self.shared.settlement.settle(batch.through, durable);
            batch.clear();
            if wake == Wake::Stop {
                return durable;
            }
        }
    }

    fn push_own(&mut self, event: &Event<'_>) {
        self.own.clear();
        if body::encode(&mut self.own, (self.clock)(), event).is_ok() {
            self.chainer.seal(&self.own);
            self.pending.push(self.chainer.sealed());
        }
    }
}
