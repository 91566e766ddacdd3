//! The thread that writes.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chaperone_policy::Timestamp;

use crate::body;
use crate::chain::{Chainer, Head};
use crate::checkpoint::{self, Claim};
use crate::error::TrailError;
use crate::event::Event;
use crate::journal::Took;
use crate::keeper::Keeper;
use crate::key::SigningKey;
use crate::observer::{Commit, Observer};
use crate::options::{Clock, Identity};
use crate::queue::{Batch, Wake};
use crate::scheduling;
use crate::ticket::Ticket;
use crate::trail::Shared;

/// How long the writer rests before it tries to write again, at first and at most.
const REST: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// So many records in one batch come together, and so will the next ones. What is fewer may be one caller after the other, each of whom
/// would wait in vain for company; those who are more share what a batch costs as it is.
const COMPANY: Range<usize> = 8..100;

/// Takes what waits, gives it its place, and makes it durable: a batch at a time.
pub(crate) struct Writer {
    pub chainer: Chainer,
    pub keeper: Keeper,
    pub key: SigningKey,
    pub clock: Clock,
    pub observer: Arc<dyn Observer>,
    pub shared: Arc<Shared>,
    pub signing: Signing,
    /// How long records gather that come together.
    pub gather: Duration,
    /// What the batch has so far.
    pub draft: Draft,
}

/// When the chain is signed.
pub(crate) struct Signing {
    pub interval: Duration,
    pub records_max: u64,
    /// Records since the last checkpoint, and when the first of them was written.
    pub records: u64,
    pub since: Instant,
}

/// What became of a batch that could not be made durable at first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Recovered {
    /// It was taken back.
    Rewound,
    /// It is in the chain after all.
    Kept,
}

/// A batch while it is made.
#[derive(Default)]
pub(crate) struct Draft {
    took: Took,
    records: u64,
    bytes: u64,
    /// The body of a record of the writer's own.
    body: Vec<u8>,
}

impl Writer {
    /// Writes `started`, durably.
    pub fn begin(&mut self, identity: Identity) -> Result<(), TrailError> {
        let started = Event::Started {
            replica: identity.replica.into(),
            version: identity.version.into(),
            key: self.shared.key.to_string().into(),
        };
        self.add_own((self.clock)(), &started)?;
        self.commit()
    }

    /// Writes until the trail is stopped. Tells whether all of it is durable.
    pub fn run(mut self) -> bool {
        // Whatever ends this thread: nobody waits for it in vain.
        let _end = End(Arc::clone(&self.shared));
        scheduling::let_others_finish();
        let mut batch = Batch::default();
        loop {
            let due = self.signing.since.checked_add(self.signing.interval).filter(|_| self.signing.records > 0);
            let wake = self.shared.queue.take(&mut batch, due);
            let (began, together) = (Instant::now(), batch.len());
            let written = self.write(&batch, wake == Wake::Stop);
            self.shared.queue.written(&batch);
            match written {
                Ok(()) => self.shared.settlement.settle(batch.through, true),
                Err(error) => {
                    let Some(recovered) = self.fail(&error) else { return false };
                    if wake == Wake::Stop && recovered == Recovered::Rewound {
                        // What waited is lost to those who waited, who know it; the chain can still end in order.
                        return self.write(&Batch::default(), true).is_ok();
                    }
                }
            }
            if wake == Wake::Stop {
                return true;
            }
            batch.clear();
            if COMPANY.contains(&together)
                && let Some(until) = began.checked_add(self.gather)
            {
                // Who waits for its record does not come again before that: no more than those that were answered may be on their way.
                self.shared.queue.gather(until, together);
            }
        }
    }

    /// Makes a batch durable, with a checkpoint if it is time.
    fn write(&mut self, batch: &Batch, stop: bool) -> Result<(), TrailError> {
        for (at, body) in batch.bodies() {
            self.add(at, body)?;
        }
        if stop {
            let at = self.sign(Claim::Stop)?;
            // At the time that was signed: a stop says nothing that is not vouched for.
            self.add_own(at, &Event::Stopped)?;
        } else if self.signing.is_due() {
            self.sign(Claim::Checkpoint)?;
        }
        self.commit()?;
        if stop { self.keeper.close() } else { Ok(()) }
    }

    fn sign(&mut self, claim: Claim) -> Result<Timestamp, TrailError> {
        let at = (self.clock)();
        let checkpoint = checkpoint::sign(&self.key, claim, self.chainer.chain(), self.chainer.head(), at);
        self.add_own(at, &checkpoint)?;
        self.signing.records = 0;
        Ok(at)
    }

    fn add_own(&mut self, at: Timestamp, event: &Event<'_>) -> Result<(), TrailError> {
        let mut body = std::mem::take(&mut self.draft.body);
        body.clear();
        body::encode(&mut body, at, event).map_err(TrailError::Encode)?;
        let added = self.add(at, &body);
        self.draft.body = body;
        added
    }

    fn add(&mut self, at: Timestamp, body: &[u8]) -> Result<(), TrailError> {
        if self.signing.records == 0 {
            self.signing.since = Instant::now();
        }
        self.signing.records += 1;
        let record = self.chainer.seal(body);
        self.draft.records += 1;
        self.draft.bytes += record.len() as u64;
        let head = self.chainer.head();
        self.keeper.push(self.chainer.last(), head, at, &mut self.draft.took)?;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), TrailError> {
        self.keeper.commit(&mut self.draft.took)?;
        let Draft { took, records, bytes, .. } = &mut self.draft;
        if *records > 0 {
            self.observer.committed(&Commit { records: *records, bytes: *bytes, write: took.write, sync: took.sync });
        }
        (*took, *records, *bytes) = (Took::default(), 0, 0);
        Ok(())
    }

    /// Closes the trail until writing is possible again; nothing when it is to stop and still cannot write.
    fn fail(&mut self, error: &TrailError) -> Option<Recovered> {
        self.shared.fail();
        self.observer.failed(error);
        let mut rest = REST.0;
        loop {
            let stopping = self.shared.queue.rest(Instant::now() + rest);
            rest = (rest * 2).min(REST.1);
            match self.keeper.recover() {
                Ok(head) => {
                    self.resume(head);
                    return Some(if head.is_some() { Recovered::Rewound } else { Recovered::Kept });
                }
                Err(error) if stopping => {
                    self.observer.failed(&error);
                    return None;
                }
                Err(_) => {}
            }
        }
    }

    fn resume(&mut self, head: Option<Head>) {
        let body = std::mem::take(&mut self.draft.body);
        self.draft = Draft { body, ..Draft::default() };
        if let Some(head) = head {
            self.chainer.rewind(head);
        }
        // A checkpoint may be among what was taken back.
        self.signing.records = self.signing.records.max(1);
        self.shared.queue.resume();
        self.observer.recovered();
    }
}

impl Signing {
    fn is_due(&self) -> bool {
        self.records >= self.records_max || self.records > 0 && self.since.elapsed() >= self.interval
    }
}

/// The end of the writer.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.queue.stop();
        self.0.fail();
        self.0.settlement.settle(Ticket(u64::MAX), false);
    }
}
