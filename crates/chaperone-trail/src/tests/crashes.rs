//! Crashes: what was acknowledged is there, once.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::Arc;

use tempfile::{TempDir, tempdir};

use super::faulty::FaultyDisk;
use super::{at, chain, clock, durable, identity, key, note, notes, options, records, start};
use crate::{Trail, TrailError, Trust, verify};

fn copy(from: &Path) -> TempDir {
    let to = tempdir().unwrap();
    for file in fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        fs::copy(&path, to.path().join(path.file_name().unwrap())).unwrap();
    }
    to
}

fn trust() -> Trust {
    Trust::Keys(BTreeSet::from([key(1).verifying_key()]))
}

/// Opens what a crash left, ends it in order, and gives the notes that are there. The chain must be whole.
fn notes_after(directory: &Path) -> Vec<u64> {
    let disk = Arc::new(FaultyDisk::default());
    let (_, thread) =
        Trail::start_on(disk, options(directory, 4 << 10), identity(), key(1), chain(7), clock()).unwrap();
    thread.stop().unwrap();
    let records = records(directory);
    let report = verify(&records, trust());
    assert_eq!(report.bad, None);
    assert_eq!((report.first, report.last, report.unsigned), (1, records.len() as u64, 0));
    notes(&records)
}

fn last_segment(directory: &Path) -> std::path::PathBuf {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "trail"));
    paths.sort();
    paths.pop().unwrap()
}

/// What a crash leaves of a file: of what was not synced, so many thirds, and behind that what was there before.
fn lose(written: &[u8], durable: &[u8], kept: usize) -> Vec<u8> {
    let same = written.iter().zip(durable).take_while(|(one, other)| one == other).count();
    let cut = same + (written.len() - same) * kept / 3;
    [&written[..cut], durable.get(cut..).unwrap_or_default()].concat()
}

/// Wherever the power fails, and however much of what was not synced is lost, what was acknowledged is there once, in its order.
#[test]
fn acknowledged_records_survive_a_crash_at_every_step() {
    let (mut crashes, mut rooms) = (0, 0);
    for steps in 1.. {
        let directory = tempdir().unwrap();
        let disk = FaultyDisk::default();
        disk.set_steps(steps);
        let mut acknowledged = Vec::new();
        let started = Trail::start_on(
            Arc::new(disk.clone()),
            options(directory.path(), 4 << 10),
            identity(),
            key(1),
            chain(7),
            clock(),
        );
        if let Ok((trail, thread)) = started {
            let mut wanted = 0..24;
            while !wanted.is_empty() {
                // Some alone, some together.
                let together: Vec<u64> = wanted.by_ref().take(1 + steps % 3).collect();
                let tickets: Vec<_> = together.iter().map(|n| trail.append(at(0), &note(*n))).collect();
                for (n, ticket) in together.into_iter().zip(tickets) {
                    if ticket.and_then(|ticket| durable(&trail, ticket)).is_ok() {
                        acknowledged.push(n);
                    }
                }
            }
            drop(thread);
        }
        let failed = disk.power_failed();
        rooms += disk.rooms();
        for kept in [0, 1, 3] {
            let left = copy(directory.path());
            for (path, durable) in disk.durable() {
                let path = left.path().join(path.file_name().unwrap());
                if path.exists() {
                    fs::write(&path, lose(&fs::read(&path).unwrap(), &durable, kept)).unwrap();
                }
            }
            let found = notes_after(left.path());
            assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
            assert!(acknowledged.iter().all(|n| found.contains(n)), "{steps} {kept}: {acknowledged:?} {found:?}");
        }
        if !failed {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 30, "{crashes}");
    assert!(rooms > 0, "no segment was written where there was room before");
}

/// A segment that ends anywhere, in a frame or between two, is cut off after its last whole frame.
#[test]
fn torn_tail_is_repaired_wherever_it_is_torn() {
    let directory = tempdir().unwrap();
    let (trail, thread) = start(directory.path());
    for n in 0..4 {
        let ticket = trail.append(at(0), &note(n)).unwrap();
        durable(&trail, ticket).unwrap();
    }
    // As a process leaves it that is killed.
    let crashed = copy(directory.path());
    drop(thread);
    let path = last_segment(crashed.path());
    let bytes = fs::read(&path).unwrap();
    let frames = 4;
    let mut seen = BTreeSet::new();
    for length in 76..=bytes.len() {
        let torn = copy(crashed.path());
        OpenOptions::new().write(true).open(last_segment(torn.path())).unwrap().set_len(length as u64).unwrap();
        let found = notes_after(torn.path());
        assert_eq!(found, (0..found.len() as u64).collect::<Vec<_>>());
        seen.insert(found.len());
    }
    assert_eq!(seen, (0..=frames).collect());
}

/// What a write left behind that did not reach the disk in order is torn as well: zeros, or a hole before whole frames.
#[test]
fn write_that_reached_the_disk_in_part_is_torn() {
    let directory = tempdir().unwrap();
    let disk = FaultyDisk::default();
    let (trail, thread) = Trail::start_on(
        Arc::new(disk.clone()),
        options(directory.path(), 4 << 10),
        identity(),
        key(1),
        chain(7),
        clock(),
    )
    .unwrap();
    let ticket = trail.append(at(0), &note(0)).unwrap();
    durable(&trail, ticket).unwrap();
    let before = fs::read(last_segment(directory.path())).unwrap().len();
    drop(thread);
    // The last batch has two records: the checkpoint and the stop. The footer was not written yet.
    let crashed = copy(directory.path());
    let path = last_segment(crashed.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 64);
    bytes[before + 20] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(notes_after(crashed.path()), [0]);
    bytes[before..].fill(0);
    let crashed = copy(directory.path());
    fs::write(last_segment(crashed.path()), &bytes).unwrap();
    assert_eq!(notes_after(crashed.path()), [0]);
}

/// What is broken before the end was durable once: it is not cut off, but told with its file and place.
#[test]
fn damage_before_the_tail_is_told_and_not_repaired() {
    let directory = tempdir().unwrap();
    let (trail, thread) = start(directory.path());
    for n in 0..4 {
        let ticket = trail.append(at(0), &note(n)).unwrap();
        durable(&trail, ticket).unwrap();
    }
    let crashed = copy(directory.path());
    drop(thread);
    let segment = last_segment(crashed.path());
    let mut bytes = fs::read(&segment).unwrap();
    // In the first frame: `started`.
    bytes[100] ^= 4;
    fs::write(&segment, &bytes).unwrap();
    let refused = Trail::start(options(crashed.path(), 4 << 10), identity(), key(1), chain(7), clock());
    match refused {
        Err(TrailError::Damaged { path, offset, .. }) => assert_eq!((path, offset), (segment.clone(), 76)),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

/// A segment that is missing is not passed over.
#[test]
fn missing_segment_is_told() {
    let directory = tempdir().unwrap();
    let (trail, thread) = start(directory.path());
    for n in 0..60 {
        let ticket = trail.append(at(0), &note(n)).unwrap();
        durable(&trail, ticket).unwrap();
    }
    thread.stop().unwrap();
    let mut paths: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "trail"));
    paths.sort();
    assert!(paths.len() > 2);
    fs::remove_file(&paths[1]).unwrap();
    let refused = Trail::start(options(directory.path(), 4 << 10), identity(), key(1), chain(7), clock());
    assert!(matches!(refused, Err(TrailError::Damaged { path, .. }) if path == paths[2]));
}
