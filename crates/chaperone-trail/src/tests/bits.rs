//! Single bits, and bytes of strangers.

use std::fs;

use proptest::prelude::*;
use tempfile::tempdir;

use super::{at, chain, note, start};
use crate::Segments;
use crate::chain::{Chainer, Head};
use crate::journal::{Footer, Header, Scan, TimeRange, frame_prefix, scan};

/// A segment of some records, with its footer.
fn sealed(count: u64) -> Vec<u8> {
    let before = Head::default();
    let mut chainer = Chainer::new(chain(7), before);
    let mut bytes = Header { chain: chain(7), before }.encode().to_vec();
    let mut range = TimeRange::EMPTY;
    for n in 0..count {
        let time = at(i64::try_from(n).unwrap() * 1000 - 1000);
        let mut body = Vec::new();
        crate::body::encode(&mut body, time, &note(n)).unwrap();
        let durable = u32::try_from(bytes.len()).unwrap();
        let record = chainer.seal(&body);
        bytes.extend(frame_prefix(durable, record));
        bytes.extend(record);
        range.add(time);
    }
    bytes.extend(Footer { count, range, digest: chainer.head().digest }.encode());
    bytes
}

fn is_whole(scan: &Scan) -> bool {
    scan.sealed && scan.torn == 0
}

/// Every single bit of a sealed segment counts.
#[test]
fn every_changed_bit_of_a_sealed_segment_is_caught() {
    let bytes = sealed(3);
    assert!(scan(&bytes).is_ok_and(|scan| is_whole(&scan)));
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!scan(&changed).is_ok_and(|scan| is_whole(&scan)), "bit {bit}");
    }
}

/// A footer that is right in itself, but tells of more records than any chain has, is none: as one that a crash cut off.
#[test]
fn footer_of_too_many_records_is_none() {
    let directory = tempdir().unwrap();
    let header = Header { chain: chain(7), before: Head { seq: 1, ..Head::default() } }.encode();
    let footer = |count| Footer { count, range: TimeRange::EMPTY, digest: Head::default().digest }.encode();
    let path = directory.path().join(format!("{:020}.trail", 2));
    for count in [u64::MAX, u64::MAX - 1, u64::MAX / 2] {
        fs::write(&path, [&header[..], &footer(count)].concat()).unwrap();
        let segments = Segments::open(directory.path()).unwrap();
        assert_eq!(segments.extent(), None, "{count}");
        assert_eq!(segments.unshipped(1).batch(usize::MAX, usize::MAX).unwrap(), [], "{count}");
    }
}

/// The same through what readers use: the files of a journal, opened and read.
#[test]
fn every_changed_byte_of_a_journal_is_caught_by_reading_it() {
    let directory = tempdir().unwrap();
    let (trail, thread) = start(directory.path());
    for n in 0..20 {
        trail.append(at(0), &note(n)).unwrap();
    }
    thread.stop().unwrap();
    let mut paths: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "trail"));
    paths.sort();
    assert!(paths.len() > 1);
    let read = || Segments::open(directory.path())?.unshipped(1).batch(usize::MAX, usize::MAX);
    let count = read().unwrap().len();
    for path in &paths {
        let bytes = fs::read(path).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 8);
            fs::write(path, &changed).unwrap();
            match read() {
                Err(_) => {}
                // The footer of the last segment, as if it had been cut off while it was written: every record is there.
                Ok(records) => {
                    assert!(path == paths.last().unwrap() && place >= bytes.len() - 64, "{path:?} {place}");
                    assert_eq!(records.len(), count);
                }
            }
        }
        fs::write(path, &bytes).unwrap();
    }
}

/// Whatever the bytes of a segment are, reading it ends, and finds no record that is not there.
fn survives(bytes: &[u8]) {
    if let Ok(scan) = scan(bytes) {
        assert!(scan.length + scan.torn + scan.room == bytes.len() as u64);
        assert!(scan.count <= scan.length / 13);
    }
}

proptest! {
    /// Bytes of strangers are a segment or an error.
    #[test]
    fn bytes_of_strangers_are_a_segment_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        survives(&bytes);
    }

    /// The same behind a header that is right, and with parts of a segment put together in another way.
    #[test]
    fn segments_put_together_anew_are_a_segment_or_an_error(
        parts in proptest::collection::vec((any::<prop::sample::Index>(), 0..400_usize, any::<u8>()), 0..8),
        keep in 0..4_u64,
    ) {
        let whole = sealed(4);
        let frames = whole.len() - 76 - 64;
        let mut bytes = whole[..76 + frames * usize::try_from(keep).unwrap() / 4].to_vec();
        for (from, length, noise) in parts {
            let from = from.index(whole.len());
            bytes.extend(&whole[from..whole.len().min(from + length)]);
            if noise % 4 == 0 {
                bytes.push(noise);
            }
        }
        survives(&bytes);
    }
}
