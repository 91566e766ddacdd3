//! Outages: while the trail cannot be written nothing is acknowledged, and it goes on by itself.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::tempdir;

use super::faulty::FaultyDisk;
use super::{at, chain, clock, durable, identity, key, note, notes, options, records, start};
use crate::{
    AppendError, ChainEnd, Commit, JournalOptions, Keep, Observer, Sealed, Sink, SinkError, Trail, TrailError,
    TrailOptions, Trust, verify,
};

#[derive(Debug, Eq, PartialEq)]
enum Told {
    Failed,
    Recovered,
}

/// Passes on what the writer tells.
#[derive(Debug)]
struct Listener(Mutex<Sender<Told>>);

impl Observer for Listener {
    fn failed(&self, _: &TrailError) {
        let _ = self.0.lock().unwrap().send(Told::Failed);
    }

    fn recovered(&self) {
        let _ = self.0.lock().unwrap().send(Told::Recovered);
    }
}

fn listen(options: TrailOptions) -> (TrailOptions, Receiver<Told>) {
    let (sender, receiver) = channel();
    (TrailOptions { observer: Arc::new(Listener(Mutex::new(sender))), ..options }, receiver)
}

fn next(told: &Receiver<Told>) -> Told {
    told.recv_timeout(Duration::from_mins(1)).unwrap()
}

fn write(trail: &Trail, n: u64) -> Result<(), AppendError> {
    trail.append(at(0), &note(n)).and_then(|ticket| durable(trail, ticket))
}

/// Breaks the disk in some way in the middle of a chain, mends it, and looks that the chain has what was acknowledged.
fn outage(break_disk: impl Fn(&FaultyDisk), mend: impl Fn(&FaultyDisk)) {
    let directory = tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (options, told) = listen(options(directory.path(), 4 << 10));
    let (trail, thread) =
        Trail::start_on(Arc::new(disk.clone()), options, identity(), key(1), chain(7), clock()).unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        for n in round * 10..round * 10 + 5 {
            write(&trail, n).unwrap();
            acknowledged.push(n);
        }
        let before = trail.generation();
        break_disk(&disk);
        let mut n = round * 10 + 5;
        // Room may be left for some.
        while write(&trail, n).is_ok() {
            acknowledged.push(n);
            n += 1;
        }
        assert_eq!(next(&told), Told::Failed);
        // Closed, at once, until the disk is mended.
        assert_eq!(trail.append(at(0), &note(99)), Err(AppendError::Failing));
        assert!(trail.status().failing);
        mend(&disk);
        assert_eq!(next(&told), Told::Recovered);
        assert_eq!(trail.append_after(at(0), &note(98), before), Err(AppendError::Interrupted));
    }
    let ticket = trail.append_after(at(0), &note(97), trail.generation()).unwrap();
    durable(&trail, ticket).unwrap();
    acknowledged.push(97);
    write(&trail, 99).unwrap();
    acknowledged.push(99);
    thread.stop().unwrap();
    let records = records(directory.path());
    assert_eq!(notes(&records), acknowledged);
    let report = verify(&records, Trust::Any);
    assert_eq!((report.bad, report.end), (None, ChainEnd::Stopped));
}

#[test]
fn full_disk_closes_the_trail_until_there_is_room() {
    outage(|disk| disk.set_room(Some(700)), |disk| disk.set_room(None));
}

#[test]
fn failed_sync_closes_the_trail_until_what_is_durable_was_read_again() {
    outage(|disk| disk.set_syncs_fail(true), |disk| disk.set_syncs_fail(false));
}

/// A journal that cannot be written at its end says so.
#[test]
fn stop_that_is_not_durable_is_an_error() {
    let directory = tempdir().unwrap();
    let disk = FaultyDisk::default();
    let options = options(directory.path(), 4 << 10);
    let (trail, thread) =
        Trail::start_on(Arc::new(disk.clone()), options, identity(), key(1), chain(7), clock()).unwrap();
    write(&trail, 1).unwrap();
    disk.set_syncs_fail(true);
    assert!(matches!(thread.stop(), Err(TrailError::Unfinished)));
    assert_eq!(trail.append(at(0), &note(2)), Err(AppendError::Stopped));
    let (_, thread) = start(directory.path());
    thread.stop().unwrap();
    assert_eq!(notes(&records(directory.path())), [1]);
}

/// A journal that has reached its quota takes no more, and goes on when segments are removed.
#[test]
fn quota_closes_the_trail_until_segments_are_removed() {
    let directory = tempdir().unwrap();
    let journal =
        JournalOptions { directory: directory.path().into(), segment_bytes_max: 4 << 10, quota_bytes: 16 << 10 };
    let options = TrailOptions { keep: Keep::Journal(journal), ..TrailOptions::journal("") };
    let (trail, thread) = Trail::start(options, identity(), key(1), chain(7), clock()).unwrap();
    let segments = trail.segments().unwrap();
    let mut written = Vec::new();
    let mut cursor = segments.unshipped(1);
    let mut shipped = Vec::new();
    for round in 0..3 {
        let refused = loop {
            let n = written.len() as u64;
            match write(&trail, n) {
                Ok(()) => written.push(n),
                Err(error) => break error,
            }
        };
        assert_eq!(refused, AppendError::QuotaReached, "{round}");
        let size: u64 =
            std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert_eq!(trail.status().journal_bytes, size);
        assert!(size <= 16 << 10, "{size}");
        shipped.extend(cursor.batch(usize::MAX, usize::MAX).unwrap());
        assert!(segments.remove_through(shipped.last().unwrap().seq).unwrap() > 0);
    }
    write(&trail, written.len() as u64).unwrap();
    written.push(written.len() as u64);
    thread.stop().unwrap();
    shipped.extend(cursor.batch(usize::MAX, usize::MAX).unwrap());
    // Whoever ships a journal has the whole chain, whatever was removed.
    assert_eq!(notes(&shipped), written);
    let report = verify(&shipped, Trust::Any);
    assert_eq!((report.bad, report.first, report.end), (None, 1, ChainEnd::Stopped));
}

/// A sink that takes a batch only when it is told to, and what it took.
struct SlowSink {
    may: Receiver<Result<(), SinkError>>,
    taken: Arc<Mutex<Vec<Sealed>>>,
}

impl Sink for SlowSink {
    fn write(&mut self, batch: &[Sealed]) -> Result<(), SinkError> {
        self.may.recv().unwrap_or(Ok(()))?;
        self.taken.lock().unwrap().extend_from_slice(batch);
        Ok(())
    }
}

type Answers = Sender<Result<(), SinkError>>;

fn slow_sink() -> (SlowSink, Answers, Arc<Mutex<Vec<Sealed>>>) {
    let (sender, may) = channel();
    let taken = Arc::default();
    (SlowSink { may, taken: Arc::clone(&taken) }, sender, taken)
}

/// A queue that is full refuses, at once, and drops nothing of what it took.
#[test]
fn full_queue_refuses() {
    let (sink, may, taken) = slow_sink();
    may.send(Ok(())).unwrap();
    let options = TrailOptions { queue_len_max: 3, ..TrailOptions::sink(sink) };
    let (trail, thread) = Trail::start(options, identity(), key(1), chain(7), clock()).unwrap();
    let first = trail.append(at(0), &note(0)).unwrap();
    let mut tickets = vec![first];
    // The sink may have taken up to three of them from the queue; it does not answer.
    let refused = loop {
        match trail.append(at(0), &note(tickets.len() as u64)) {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, AppendError::QueueFull);
    assert!((3..=6).contains(&tickets.len()), "{tickets:?}");
    assert!(tickets.is_sorted());
    drop(may);
    assert!(tickets.iter().all(|ticket| durable(&trail, *ticket).is_ok()));
    thread.stop().unwrap();
    assert_eq!(notes(&taken.lock().unwrap()), (0..tickets.len() as u64).collect::<Vec<_>>());
}

/// What a sink did not take is not acknowledged, and stays in the chain: it may have been taken without an answer.
#[test]
fn sink_that_fails_gets_the_same_records_again() {
    let (sink, may, taken) = slow_sink();
    may.send(Ok(())).unwrap();
    let (options, told) = listen(TrailOptions::sink(sink));
    let (trail, thread) = Trail::start(options, identity(), key(1), chain(7), clock()).unwrap();
    may.send(Err("no answer".into())).unwrap();
    assert_eq!(write(&trail, 0), Err(AppendError::NotDurable));
    assert_eq!(next(&told), Told::Failed);
    may.send(Ok(())).unwrap();
    assert_eq!(next(&told), Told::Recovered);
    may.send(Ok(())).unwrap();
    write(&trail, 1).unwrap();
    may.send(Err("no answer".into())).unwrap();
    may.send(Ok(())).unwrap();
    thread.stop().unwrap();
    let taken = taken.lock().unwrap();
    assert_eq!(notes(&taken), [0, 1]);
    let report = verify(&*taken, Trust::Any);
    assert_eq!((report.bad, report.end), (None, ChainEnd::Stopped));
}

/// A writer that dies leaves nobody waiting, and takes nothing more.
#[test]
fn dead_writer_is_an_error_to_all() {
    struct Dies(u32);
    impl Sink for Dies {
        fn write(&mut self, _: &[Sealed]) -> Result<(), SinkError> {
            self.0 += 1;
            assert!(self.0 < 2, "this sink dies");
            Ok(())
        }
    }
    let (trail, thread) = Trail::start(TrailOptions::sink(Dies(0)), identity(), key(1), chain(7), clock()).unwrap();
    let ticket = trail.append(at(0), &note(0)).unwrap();
    assert_eq!(durable(&trail, ticket), Err(AppendError::NotDurable));
    assert!(matches!(thread.stop(), Err(TrailError::Unfinished)));
    assert_eq!(trail.append(at(0), &note(1)), Err(AppendError::Stopped));
}

/// Many records that wait together are one batch, and each waiting task is woken.
#[test]
fn records_that_wait_together_are_one_commit() {
    #[derive(Debug)]
    struct Commits(Mutex<Vec<Commit>>);
    impl Observer for Commits {
        fn committed(&self, commit: &Commit) {
            self.0.lock().unwrap().push(*commit);
        }
    }
    let commits = Arc::new(Commits(Mutex::default()));
    let (sink, may, _) = slow_sink();
    may.send(Ok(())).unwrap();
    let observer = Arc::clone(&commits) as Arc<dyn Observer>;
    let options = TrailOptions { observer, ..TrailOptions::sink(sink) };
    let (trail, thread) = Trail::start(options, identity(), key(1), chain(7), clock()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..1000)
            .map(|n| {
                let trail = trail.clone();
                let ticket = trail.append(at(0), &note(n)).unwrap();
                tokio::spawn(async move { trail.durable(ticket).await })
            })
            .collect();
        drop(may);
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    });
    thread.stop().unwrap();
    let commits = commits.0.lock().unwrap();
    // The start; what the writer took at once; the rest; the stop.
    assert!(commits.len() <= 4, "{commits:?}");
    assert_eq!(commits.iter().map(|commit| commit.records).sum::<u64>(), 1003);
}
