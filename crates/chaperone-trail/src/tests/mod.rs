//! What the tests of this crate share.

mod bits;
mod crashes;
mod events;
mod faulty;
mod gathering;
mod outages;
mod reading;
mod records;
mod room;
mod stopping;
mod verifying;
mod waking;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chaperone_policy::Timestamp;
use uuid::Uuid;

use crate::{
    ChainId, Clock, Event, Identity, JournalOptions, Keep, Sealed, Segments, SigningKey, Trail, TrailOptions,
    TrailThread,
};

pub fn chain(n: u128) -> ChainId {
    ChainId::new(Uuid::from_u128(n))
}

pub fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A clock that goes on by a millisecond whenever somebody looks.
pub fn clock() -> Clock {
    let micros = AtomicI64::new(1_000_000);
    Arc::new(move || at(micros.fetch_add(1_000, Ordering::Relaxed)))
}

/// A key that is always the same.
pub fn key(seed: u8) -> SigningKey {
    // PKCS#8 v1 of an Ed25519 seed (RFC 8410 section 7).
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend([seed; 32]);
    SigningKey::from_pkcs8(&der).unwrap()
}

pub fn identity() -> Identity {
    Identity { replica: "a".into(), version: "1.2.3".into() }
}

pub fn options(directory: &Path, segment_bytes_max: u64) -> TrailOptions {
    TrailOptions {
        keep: Keep::Journal(JournalOptions { directory: directory.into(), segment_bytes_max, quota_bytes: 1 << 30 }),
        ..TrailOptions::journal("")
    }
}

pub fn start(directory: &Path) -> (Trail, TrailThread) {
    Trail::start(options(directory, 4 << 10), identity(), key(1), chain(7), clock()).unwrap()
}

/// A short record that can be told from others.
pub fn note(n: u64) -> Event<'static> {
    Event::Act(Box::new(crate::Acted {
        act: "outcome.reported".into(),
        by: "".into(),
        session: None,
        principal: None,
        decision: None,
        approval: None,
        bundle: None,
        effects: Vec::new(),
        note: format!("note {n}").into(),
    }))
}

/// The notes in some records.
pub fn notes(records: &[Sealed]) -> Vec<u64> {
    let note = |sealed: &Sealed| match crate::Record::parse(&sealed.bytes).unwrap().event {
        Event::Act(acted) => Some(acted.note.strip_prefix("note ").unwrap().parse().unwrap()),
        _ => None,
    };
    records.iter().filter_map(note).collect()
}

/// Every record of a journal, as a process finds it that only reads.
pub fn records(directory: &Path) -> Vec<Sealed> {
    Segments::open(directory).unwrap().unshipped(1).batch(usize::MAX, usize::MAX).unwrap()
}

/// Waits for a ticket.
pub fn durable(trail: &Trail, ticket: crate::Ticket) -> Result<(), crate::AppendError> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(trail.durable(ticket))
}
