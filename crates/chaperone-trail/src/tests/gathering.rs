//! Records that come together are written together; one that comes by itself waits for no others.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::{at, chain, clock, durable, identity, key, note};
use crate::{Sealed, Sink, SinkError, Ticket, Trail, TrailOptions, TrailThread};

/// Tells how many records a batch has, and writes it when it is told to.
struct Hand {
    offered: Sender<usize>,
    go: Receiver<()>,
}

impl Sink for Hand {
    fn write(&mut self, batch: &[Sealed]) -> Result<(), SinkError> {
        let _ = self.offered.send(batch.len());
        // Nobody holds it back any more.
        let _ = self.go.recv();
        Ok(())
    }
}

/// A trail that gathers for longer than any test takes, with room for so many records.
fn start(queue_len_max: usize) -> (Trail, TrailThread, Receiver<usize>, Sender<()>) {
    let ((offered, batches), (release, go)) = (channel(), channel());
    let options = TrailOptions {
        queue_len_max,
        gather: Duration::from_hours(1),
        checkpoint_interval: Duration::from_hours(2),
        ..TrailOptions::sink(Hand { offered, go })
    };
    release.send(()).unwrap();
    let (trail, thread) = Trail::start(options, identity(), key(1), chain(7), clock()).unwrap();
    assert_eq!(batches.recv(), Ok(1), "that it has begun is a record too");
    (trail, thread, batches, release)
}

fn append(trail: &Trail, count: u64) -> Option<Ticket> {
    (0..count).fold(None, |_, n| Some(trail.append(at(0), &note(n)).unwrap()))
}

/// Leaves the trail after a batch of so many.
fn crowd(trail: &Trail, batches: &Receiver<usize>, release: &Sender<()>, count: u64) {
    append(trail, 1);
    assert_eq!(batches.recv(), Ok(1));
    append(trail, count);
    release.send(()).unwrap();
    assert_eq!(batches.recv().map(|batch| batch as u64), Ok(count), "what came while it wrote");
    release.send(()).unwrap();
}

/// Looks that records gather after so many, until there are `enough`.
fn gathers(count: u64, enough: u64) {
    let (trail, thread, batches, release) = start(100);
    crowd(&trail, &batches, &release, count);
    append(&trail, enough - 1);
    assert!(batches.recv_timeout(Duration::from_millis(100)).is_err(), "they gather");
    append(&trail, 1);
    assert_eq!(batches.recv().map(|batch| batch as u64), Ok(enough));
    drop(release);
    thread.stop().unwrap();
}

#[test]
fn what_comes_after_many_gathers_until_there_are_as_many() {
    gathers(20, 20);
}

#[test]
fn what_gathers_is_written_before_the_queue_is_full() {
    gathers(80, 50);
}

#[test]
fn what_gathers_is_written_when_the_trail_stops() {
    let (trail, thread, batches, release) = start(100);
    crowd(&trail, &batches, &release, 20);
    let ticket = append(&trail, 3).unwrap();
    drop(release);
    thread.stop().unwrap();
    durable(&trail, ticket).unwrap();
    assert_eq!(batches.recv(), Ok(5), "with a checkpoint and the stop");
}

#[test]
fn what_comes_after_a_crowd_waits_for_no_more() {
    let (trail, thread, batches, release) = start(1_000);
    crowd(&trail, &batches, &release, 100);
    append(&trail, 1);
    assert_eq!(batches.recv(), Ok(1));
    drop(release);
    thread.stop().unwrap();
}

#[test]
fn one_caller_after_the_other_is_not_kept_waiting() {
    let (trail, thread, _batches, release) = start(100);
    drop(release);
    for _ in 0..20 {
        durable(&trail, append(&trail, 3).unwrap()).unwrap();
    }
    thread.stop().unwrap();
}
