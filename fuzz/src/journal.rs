//! The journal's segments. The first byte says what the rest is: `R`, a segment as it is; `C`, a segment whose checksums are put right, so
//! that what they guard is reached; `B`, bodies of records, a line each, which are written and read again; `E`, edits of a segment that is
//! whole.

use std::fs;

use chaperone_trail::{ChainId, Chainer, Head, Record, Sealed, Segments, TrailError, Trust, verify};
use tempfile::TempDir;

use crate::{Target, table};

/// The journal's segments.
pub const TARGET: Target = Target { name: "journal", check, seeds };

const HEADER: usize = 76;
const FRAME: usize = 12;
const FOOTER: usize = 64;
/// How many bodies are written.
const RECORDS_MAX: usize = 64;

fn check(data: &[u8]) {
    match data.split_first() {
        Some((b'R', segment)) => {
            let _ = sound(segment);
        }
        Some((b'C', segment)) => {
            let mut segment = segment.to_vec();
            correct(&mut segment);
            let _ = sound(&segment);
        }
        Some((b'B', rest)) => {
            let Some((first, lines)) = rest.split_first() else { return };
            // Records are texts: in no other than UTF-8 could one end with what a footer begins with.
            let lines = String::from_utf8_lossy(lines);
            let bodies: Vec<&[u8]> = lines.split('\n').map(str::as_bytes).take(RECORDS_MAX).collect();
            let (segment, records) = segment(&bodies, first & 1 == 1);
            assert_eq!(sound(&segment).expect("what was written is read"), records);
        }
        Some((b'E', rest)) => check_edits(rest),
        _ => {}
    }
}

/// Whatever is changed in a sealed segment, no record is read that was not written; and one byte is seen, but for its footer: without one, the
/// segment is as a crash might leave it.
fn check_edits(edits: &[u8]) {
    let bodies: [&[u8]; 4] = [STARTED, br#""kind":"stopped"}"#, b"x", br#""kind":"no_decision"}"#];
    let (whole, records) = segment(&bodies, true);
    let mut changed = whole.clone();
    // More could make checksums right again.
    for edit in edits.chunks_exact(3).take(3) {
        let place = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % whole.len();
        changed[place] ^= edit[2];
    }
    if let Ok(read) = sound(&changed) {
        assert!(records.starts_with(&read), "a change was not seen");
        // Several may be what a crash leaves of the last writes; one is not, unless only the footer is cut off.
        let (frames, footer) = whole.split_at(whole.len() - FOOTER);
        let is_one = changed.iter().zip(&whole).filter(|(one, other)| one != other).count() == 1;
        assert!(!is_one || (changed.starts_with(frames) && !changed.ends_with(footer) && read == records));
    }
    // And cut off anywhere, all whole records before are there, or it is refused.
    let length = edits.iter().take(2).fold(0, |length, byte| length << 8 | usize::from(*byte)) % whole.len();
    if let Ok(read) = sound(&whole[..length]) {
        assert!(records.starts_with(&read), "records that were not written");
    }
}

/// Reads a segment as a journal of its own. What is read hangs together.
fn sound(segment: &[u8]) -> Result<Vec<Sealed>, TrailError> {
    let directory = if fs::exists("/dev/shm").unwrap_or(false) { TempDir::new_in("/dev/shm") } else { TempDir::new() };
    let directory = directory.expect("a directory for the journal");
    // Where its header has its first place: any other name is refused.
    let first = segment.get(32..40).and_then(|bytes| bytes.try_into().ok()).map_or(1, u64::from_le_bytes);
    fs::write(directory.path().join(format!("{first:020}.trail")), segment).expect("a segment");
    let segments = Segments::open(directory.path())?;
    let mut cursor = segments.unshipped(0);
    let records = cursor.batch(usize::MAX, usize::MAX)?;
    assert!(cursor.read()?.is_none(), "there is more behind the end");
    assert!(records.len() <= segment.len() / (FRAME + 1), "more records than it has room for");
    for (sealed, seq) in records.iter().zip(first..) {
        assert_eq!((sealed.chain, sealed.seq), (segments.chain(), seq), "a record in another place");
        let _ = Record::parse(&sealed.bytes);
    }
    let extent = segments.extent().map(|extent| (extent.first, extent.last));
    let ends = records.first().zip(records.last()).map(|(first, last)| (first.seq, last.seq));
    assert_eq!(extent, ends, "it has another extent than its records");
    let report = verify(&records, Trust::Any);
    if report.bad.is_none() && !records.is_empty() {
        assert_eq!(Some((report.first, report.last)), ends, "it was not verified to its end");
    }
    Ok(records)
}

/// A segment of these bodies, and the records in it.
fn segment(bodies: &[&[u8]], sealed: bool) -> (Vec<u8>, Vec<Sealed>) {
    let chain: ChainId = "00000000-0000-7000-8000-000000000007".parse().expect("a UUID");
    let mut chainer = Chainer::new(chain, Head::default());
    let mut bytes = [b"CHPTRAIL".as_slice(), &1_u32.to_le_bytes(), &[0; 4], chain.as_uuid().as_bytes()].concat();
    bytes.extend([1_u64.to_le_bytes().as_slice(), &[0; 32]].concat());
    push_checksum(&mut bytes, 0);
    let mut records = Vec::new();
    for (body, seq) in bodies.iter().zip(1_i64..) {
        let body = [format!("\"at\":{},", 1000 - seq).as_bytes(), body].concat();
        let record = chainer.seal(&body).to_vec();
        let length = u32::try_from(record.len()).expect("a short record").to_le_bytes();
        let durable = u32::try_from(bytes.len()).expect("a short segment").to_le_bytes();
        let crc = crc32fast::hash(&[&length, &durable, record.as_slice()].concat()).to_le_bytes();
        bytes.extend([&length, &durable, &crc, record.as_slice()].concat());
        records.push(Sealed { chain, seq: seq.unsigned_abs(), bytes: record });
    }
    if sealed {
        let begin = bytes.len();
        let count = i64::try_from(bodies.len()).expect("few records");
        bytes.extend([u32::MAX.to_le_bytes().as_slice(), &count.to_le_bytes()].concat());
        bytes.extend([(1000 - count).to_le_bytes(), 999_i64.to_le_bytes()].concat());
        bytes.extend(table::bytes(&String::from_utf8_lossy(&chainer.head().digest.to_hex())));
        push_checksum(&mut bytes, begin);
    }
    (bytes, records)
}

fn push_checksum(bytes: &mut Vec<u8>, begin: usize) {
    let crc = crc32fast::hash(&bytes[begin..]);
    bytes.extend(crc.to_le_bytes());
}

/// Puts the checksums of a segment right, as far as frames follow one another.
fn correct(bytes: &mut [u8]) {
    let put = |block: &mut [u8]| {
        if let Some((fields, crc)) = block.split_last_chunk_mut::<4>() {
            *crc = crc32fast::hash(fields).to_le_bytes();
        }
    };
    let Some((header, mut rest)) = bytes.split_at_mut_checked(HEADER) else { return };
    put(header);
    while let Some((head, behind)) = std::mem::take(&mut rest).split_at_mut_checked(FRAME) {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        if length == u32::MAX {
            if let Some((footer, _)) = behind.split_at_mut_checked(FOOTER - FRAME) {
                let whole = [&*head, &*footer].concat();
                let crc = crc32fast::hash(&whole[..FOOTER - 4]).to_le_bytes();
                footer[FOOTER - FRAME - 4..].copy_from_slice(&crc);
            }
            return;
        }
        let Some((record, next)) = behind.split_at_mut_checked(length as usize) else { return };
        let crc = crc32fast::hash(&[&head[..8], &*record].concat());
        head[8..].copy_from_slice(&crc.to_le_bytes());
        rest = next;
    }
}

const STARTED: &[u8] = br#""kind":"started","replica":"a","version":"1","key":"k"}"#;

fn seeds() -> Vec<Vec<u8>> {
    let bodies: Vec<&[u8]> =
        vec![STARTED, br#""kind":"act","act":"outcome.reported","by":"","note":"n"}"#, br#""kind":"stopped"}"#];
    let mut seeds = Vec::new();
    for count in 0..=bodies.len() {
        for sealed in [false, true] {
            let (bytes, _) = segment(&bodies[..count], sealed);
            seeds.push([b"R", bytes.as_slice()].concat());
            seeds.push([b"C", bytes.as_slice()].concat());
            seeds.push([b"R", &bytes[..bytes.len() - bytes.len() / 5]].concat());
        }
        seeds.push(
            [b"B", [u8::try_from(count).unwrap_or(0)].as_slice(), &bodies[..count].join(b"\n".as_slice())].concat(),
        );
        seeds.push([b"E".as_slice(), &[7, 1, 1, 80, 0, 255, 9, 2, 4][..3 * count]].concat());
    }
    seeds
}
