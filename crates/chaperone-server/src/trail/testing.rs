//! A trail whose disk is the test's hand.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use chaperone_policy::{MemoryLimits, Timestamp};
use chaperone_trail::{
    ChainId, Event, Identity, Record, Sealed, SigningKey, Sink, SinkError, Trail, TrailOptions, TrailThread,
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
        self.0.0.lock().expect("nobody panics").sealed.clone()
    }

    /// What happened, as far as it is written.
    pub fn events(&self) -> Vec<Event<'static>> {
        self.0.0.lock().expect("nobody panics").records.iter().map(|record| record.event.clone()).collect()
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
