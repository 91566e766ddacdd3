//! A trail whose disk is the test's hand.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use chaperone_policy::{MemoryLimits, Timestamp};
use chaperone_trail::{
    ChainId, Chainer, Event, Head, Identity, Record, Sealed, SigningKey, Sink, SinkError, Trail, TrailOptions,
    TrailThread, encode_body,
};
use uuid::Uuid;

use super::{RedactionKey, TrailWriter, WriterOptions, WriterState};
use crate::telemetry::Metrics;

/// What becomes of batches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disk {
    /// They are written.
    Works,
    /// Writing takes until this changes.
    Hangs,
    /// Writing fails.
    Fails,
}

/// The other end of the trail.
#[derive(Clone, Debug, Default)]
pub struct Hand(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug)]
struct State {
    disk: Disk,
    /// Batches that came so far, whatever became of them.
    offered: usize,
    records: Vec<Record>,
    sealed: Vec<Sealed>,
}

impl Default for State {
    fn default() -> Self {
        Self { disk: Disk::Works, offered: 0, records: Vec::new(), sealed: Vec::new() }
    }
}

impl Hand {
    /// A trail that this holds, with room for so many records.
    pub fn trail(&self, metrics: &Arc<Metrics>, queue_len_max: usize) -> (TrailWriter, TrailThread) {
        let state = WriterState::new(Arc::clone(metrics));
        let options =
            TrailOptions { queue_len_max, observer: Arc::new(state.clone()), ..TrailOptions::sink(self.clone()) };
        let key = tempfile::tempdir().expect("a directory");
        let key = SigningKey::load_or_create(&key.path().join("key.pem")).expect("a key");
        let identity = Identity { replica: "test".to_owned(), version: "0".to_owned() };
        let chain = ChainId::new(Uuid::from_u128(1));
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let (trail, thread) = Trail::start(options, identity, key, chain, Arc::new(move || now)).expect("it starts");
        let redaction_key = RedactionKey::new(&[1; 32]);
        let options =
            WriterOptions { is_awaited: true, quota_bytes: u64::MAX, redaction_key, limits: MemoryLimits::default() };
        (TrailWriter::new(trail, state, Arc::clone(metrics), options), thread)
    }

    /// What becomes of batches from now on.
    pub fn disk(&self, disk: Disk) {
        self.0.0.lock().expect("nobody panics").disk = disk;
        self.0.1.notify_all();
    }

    /// Waits until so many batches have come, whatever became of them.
    pub async fn offered(&self, batches: usize) {
        while self.0.0.lock().expect("nobody panics").offered < batches {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// How many batches have come.
    pub fn batches(&self) -> usize {
        self.0.0.lock().expect("nobody panics").offered
    }

    /// The records, as far as they are written.
    pub fn records(&self) -> Vec<Sealed> {
        self.written().into_iter().map(|(_, sealed)| sealed).collect()
    }

    /// What happened, as far as it is written.
    pub fn events(&self) -> Vec<Event<'static>> {
        self.written().into_iter().map(|(record, _)| record.event).collect()
    }

    fn written(&self) -> Vec<(Record, Sealed)> {
        let state = self.0.0.lock().expect("nobody panics");
        let written: Vec<_> = state.records.iter().cloned().zip(state.sealed.iter().cloned()).collect();
        drop(state);
        for (record, sealed) in &written {
            assert_canonical(record, sealed);
        }
        written
    }
}

impl Sink for Hand {
    fn write(&mut self, batch: &[Sealed]) -> Result<(), SinkError> {
        let (state, changed) = &*self.0;
        let mut state = state.lock().expect("nobody panics");
        state.offered += 1;
        while state.disk == Disk::Hangs {
            state = changed.wait(state).expect("nobody panics");
        }
        if state.disk == Disk::Fails {
            return Err("the disk fails".into());
        }
        state.sealed.extend_from_slice(batch);
        state.records.extend(batch.iter().map(|sealed| Record::parse(&sealed.bytes).expect("a record")));
        Ok(())
    }
}

/// There is one text for what happened, however it came to be written: that which whoever read it would write.
fn assert_canonical(record: &Record, sealed: &Sealed) {
    let mut body = Vec::new();
    encode_body(&mut body, record.at, &record.event).expect("JSON");
    let mut chainer = Chainer::new(record.chain, Head { seq: record.seq - 1, digest: record.prev });
    let again = chainer.seal(&body);
    assert_eq!(String::from_utf8_lossy(&sealed.bytes), String::from_utf8_lossy(again));
}
