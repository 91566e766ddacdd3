//! Starting and stopping.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use tempfile::tempdir;

use super::{at, chain, clock, durable, identity, key, note, notes, options, records, start};
use crate::EventKind::{Act, Checkpoint, Started, Stopped};
use crate::{
    ChainEnd, Event, EventKind, Record, Sealed, Segments, SigningKey, Sink, SinkError, Trail, TrailError, TrailOptions,
    Trust, verify,
};

fn kinds(records: &[crate::Sealed]) -> Vec<EventKind> {
    records.iter().map(|sealed| Record::parse(&sealed.bytes).unwrap().event.kind()).collect()
}

/// A chain begins with a start, ends with a signed stop, and goes on after a restart, with the id that it had.
#[test]
fn chain_goes_on_after_a_restart() {
    let directory = tempdir().unwrap();
    for (run, id) in [7, 8, 9].into_iter().zip(0..) {
        let (trail, thread) =
            Trail::start(options(directory.path(), 4 << 10), identity(), key(1), chain(run), clock()).unwrap();
        assert_eq!(trail.chain(), chain(7));
        trail.append(at(5), &note(id)).unwrap();
        thread.stop().unwrap();
    }
    let records = records(directory.path());
    assert_eq!(notes(&records), [0, 1, 2]);
    let one = [Started, Act, Checkpoint, Stopped];
    assert_eq!(kinds(&records), one.repeat(3));
    let report = verify(&records, Trust::Keys([key(1).verifying_key()].into()));
    assert_eq!((report.bad, report.starts, report.interruptions, report.end), (None, 3, 0, ChainEnd::Stopped));
    match Record::parse(&records[0].bytes).unwrap().event {
        Event::Started { replica, version, key: named } => {
            assert_eq!((&*replica, &*version, named.parse()), ("a", "1.2.3", Ok(key(1).verifying_key())));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn journal_has_one_writer() {
    let directory = tempdir().unwrap();
    let (_, thread) = start(directory.path());
    let second = Trail::start(options(directory.path(), 4 << 10), identity(), key(1), chain(7), clock());
    assert!(matches!(second, Err(TrailError::Locked { path }) if path == directory.path()));
    thread.stop().unwrap();
    start(directory.path()).1.stop().unwrap();
}

#[test]
fn journal_and_key_are_for_their_owner_alone() {
    let above = tempdir().unwrap();
    let directory = above.path().join("trail");
    let path = directory.join("signing-key.pem");
    let made = SigningKey::load_or_create(&path).unwrap();
    assert_eq!(SigningKey::load_or_create(&path).unwrap().verifying_key(), made.verifying_key());
    assert!(fs::read_to_string(&path).unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(!format!("{made:?}").contains(&fs::read_to_string(&path).unwrap()[30..60]));
    let (_, thread) = Trail::start(options(&directory, 4 << 10), identity(), made, chain(7), clock()).unwrap();
    thread.stop().unwrap();
    let permissions = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(permissions(&directory), 0o700);
    for file in fs::read_dir(&directory).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(permissions(&path), 0o600, "{path:?}");
    }
}

/// RFC 8032 section 7.1, test 1: the key of the seed.
#[test]
fn key_is_what_the_standard_says() {
    let seed = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
        0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    ];
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend(seed);
    let public = SigningKey::from_pkcs8(&der).unwrap().verifying_key();
    assert_eq!(public.as_bytes()[..6], [0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1]);
    assert_eq!(public.to_string().parse(), Ok(public));
    der.pop();
    assert!(matches!(SigningKey::from_pkcs8(&der), Err(TrailError::Key { .. })));
}

/// A chain that grows is signed after so many records.
#[test]
fn chain_is_signed_after_some_records() {
    let directory = tempdir().unwrap();
    let options = TrailOptions { checkpoint_records: 3, ..options(directory.path(), 1 << 20) };
    let (trail, thread) = Trail::start(options, identity(), key(1), chain(7), clock()).unwrap();
    for n in 0..6 {
        let ticket = trail.append(at(0), &note(n)).unwrap();
        durable(&trail, ticket).unwrap();
    }
    thread.stop().unwrap();
    let expected = [Started, Act, Act, Checkpoint, Act, Act, Act, Checkpoint, Act, Checkpoint, Stopped];
    assert_eq!(kinds(&records(directory.path())), expected);
}

/// Tells what it is given.
struct Told(Sender<EventKind>);

impl Sink for Told {
    fn write(&mut self, batch: &[Sealed]) -> Result<(), SinkError> {
        for kind in kinds(batch) {
            // Nobody may want to know any more.
            let _ = self.0.send(kind);
        }
        Ok(())
    }
}

/// A chain that has grown is signed after some time, also when nothing more is written.
#[test]
fn quiet_chain_is_signed_after_some_time() {
    let (tell, told) = channel();
    let options = TrailOptions { checkpoint_interval: Duration::from_millis(1), ..TrailOptions::sink(Told(tell)) };
    let (trail, _thread) = Trail::start(options, identity(), key(1), chain(7), clock()).unwrap();
    trail.append(at(0), &note(0)).unwrap();
    while told.recv_timeout(Duration::from_mins(1)).unwrap() != Checkpoint {}
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let directory = tempdir().unwrap();
    let refused = |options: TrailOptions| match Trail::start(options, identity(), key(1), chain(7), clock()) {
        Err(TrailError::Option { option, .. }) => option,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(options(directory.path(), 100)), "segment_bytes_max");
    assert_eq!(refused(options(directory.path(), 900 << 20)), "quota_bytes");
    assert_eq!(refused(TrailOptions { queue_len_max: 0, ..TrailOptions::journal("") }), "queue_len_max");
    assert!(matches!(Segments::open(directory.path()), Err(TrailError::Empty { .. })));
}
