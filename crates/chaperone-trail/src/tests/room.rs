//! Room that is made ahead: what is read of a journal is the same with it and without.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::{TempDir, tempdir};

use super::faulty::FaultyDisk;
use super::{at, chain, clock, durable, identity, key, note, notes, options, records};
use crate::{JournalOptions, Keep, Observer, Trail, TrailOptions, TrailThread};

#[derive(Debug, Default)]
struct Repaired(AtomicU64);

impl Observer for Repaired {
    fn repaired(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths
}

fn with_ending(directory: &Path, ending: &str) -> Vec<PathBuf> {
    files(directory).into_iter().filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}

/// Writes until the last segment stands where there was room before. Tells how many notes there are.
fn write_into_room(trail: &Trail, directory: &Path, disk: &FaultyDisk) -> u64 {
    let is_in_room = || {
        let last = with_ending(directory, "trail").pop().unwrap();
        disk.rooms() > 0 && fs::read(last).unwrap().ends_with(&[0])
    };
    let mut count = 0;
    while !is_in_room() {
        let ticket = trail.append(at(0), &note(count)).unwrap();
        durable(trail, ticket).unwrap();
        count += 1;
    }
    count
}

fn start(directory: &Path, options: TrailOptions) -> (Trail, TrailThread, FaultyDisk, u64) {
    let disk = FaultyDisk::default();
    let (trail, thread) =
        Trail::start_on(Arc::new(disk.clone()), options, identity(), key(1), chain(7), clock()).unwrap();
    let count = write_into_room(&trail, directory, &disk);
    (trail, thread, disk, count)
}

fn copy(from: &Path) -> TempDir {
    let to = tempdir().unwrap();
    for path in files(from) {
        fs::copy(&path, to.path().join(path.file_name().unwrap())).unwrap();
    }
    to
}

/// A process that is killed leaves room behind its last record. Nothing of that counts as torn, and the chain goes on.
#[test]
fn room_that_a_crash_left_is_no_damage() {
    let directory = tempdir().unwrap();
    let (_, thread, _, count) = start(directory.path(), options(directory.path(), 4 << 10));
    let crashed = copy(directory.path());
    fs::write(crashed.path().join("00000000000000000001.room"), [0; 100]).unwrap();
    thread.stop().unwrap();
    assert_eq!(notes(&records(crashed.path())), (0..count).collect::<Vec<_>>());

    let repaired = Arc::new(Repaired::default());
    let observer = Arc::clone(&repaired) as Arc<dyn Observer>;
    let options = TrailOptions { observer, ..options(crashed.path(), 4 << 10) };
    let (trail, thread) = Trail::start(options, identity(), key(1), chain(7), clock()).unwrap();
    assert_eq!(repaired.0.load(Ordering::Relaxed), 0);
    let ticket = trail.append(at(0), &note(count)).unwrap();
    durable(&trail, ticket).unwrap();
    thread.stop().unwrap();
    assert_eq!(notes(&records(crashed.path())), (0..=count).collect::<Vec<_>>());
    assert_eq!(with_ending(crashed.path(), "room"), [] as [PathBuf; 0]);
}

/// A journal that ends in order keeps no room.
#[test]
fn room_is_given_back_at_the_end() {
    let directory = tempdir().unwrap();
    let (trail, thread, ..) = start(directory.path(), options(directory.path(), 4 << 10));
    thread.stop().unwrap();
    assert_eq!(with_ending(directory.path(), "room"), [] as [PathBuf; 0]);
    let lengths = with_ending(directory.path(), "trail").into_iter().map(|path| path.metadata().unwrap().len());
    assert_eq!(lengths.sum::<u64>(), trail.status().journal_bytes);
}

/// What is made ahead takes nothing from a disk that is nearly full, or beyond the quota.
#[test]
fn room_is_only_made_where_there_is_plenty() {
    for (left, quota_bytes) in [(Some(15 << 10), 1 << 30), (None, 8 << 10)] {
        let directory = tempdir().unwrap();
        let journal = JournalOptions { directory: directory.path().into(), segment_bytes_max: 4 << 10, quota_bytes };
        let options = TrailOptions { keep: Keep::Journal(journal), ..TrailOptions::journal("") };
        let disk = FaultyDisk::default();
        disk.set_room(left);
        let (trail, thread) =
            Trail::start_on(Arc::new(disk.clone()), options, identity(), key(1), chain(7), clock()).unwrap();
        for n in 0.. {
            if trail.append(at(0), &note(n)).and_then(|ticket| durable(&trail, ticket)).is_err() {
                break;
            }
        }
        assert!(trail.status().journal_bytes > 6 << 10, "{:?}", trail.status());
        assert_eq!(disk.rooms(), 0);
        disk.set_room(None);
        drop(thread);
    }
}
