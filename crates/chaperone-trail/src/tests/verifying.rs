//! Verifying a chain.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::{at, chain, clock, durable, identity, key, note};
use crate::{Bad, ChainEnd, Digest, Flaw, Sealed, Sink, SinkError, Trail, TrailOptions, Trust, verify};

#[derive(Default)]
struct Keeps(Arc<Mutex<Vec<Sealed>>>);

impl Sink for Keeps {
    fn write(&mut self, batch: &[Sealed]) -> Result<(), SinkError> {
        self.0.lock().unwrap().extend_from_slice(batch);
        Ok(())
    }
}

/// A chain of notes that was stopped in order: `started`, notes with a checkpoint now and then, a checkpoint, `stopped`.
fn stopped(id: u128, count: u64, signer: u8) -> Vec<Sealed> {
    let sink = Keeps::default();
    let kept = Arc::clone(&sink.0);
    let options = TrailOptions { checkpoint_records: 4, ..TrailOptions::sink(sink) };
    let (trail, thread) = Trail::start(options, identity(), key(signer), chain(id), clock()).unwrap();
    for n in 0..count {
        let ticket = trail.append(at(0), &note(n)).unwrap();
        durable(&trail, ticket).unwrap();
    }
    thread.stop().unwrap();
    std::mem::take(&mut *kept.lock().unwrap())
}

fn trust() -> Trust {
    Trust::Keys([key(1).verifying_key()].into())
}

fn is_whole(records: &[Sealed]) -> bool {
    let report = verify(records, trust());
    report.bad.is_none() && report.first == 1 && report.end == ChainEnd::Stopped && report.unsigned == 0
}

#[test]
fn chain_as_it_was_written_is_proven() {
    let records = stopped(7, 20, 1);
    let report = verify(&records, trust());
    let last = records.len() as u64;
    assert_eq!((report.bad, report.first, report.last), (None, 1, last));
    assert_eq!((report.signed_through, report.unsigned, report.end), (Some(last), 0, ChainEnd::Stopped));
    assert_eq!(report.digest, records.last().unwrap().digest());
    assert_eq!(verify([], trust()).end, ChainEnd::Empty);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any single change of a chain is caught: of a byte, a removal, an exchange, a repetition, an insertion.
    #[test]
    fn any_single_change_is_caught(
        count in 1..12_u64,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5_u8, 1..=255_u8), 40),
    ) {
        let records = stopped(7, count, 1);
        let others = stopped(9, count, 1);
        prop_assert!(is_whole(&records));
        for (here, there, kind, noise) in changes {
            let mut changed = records.clone();
            let (i, j) = (here.index(records.len()), there.index(records.len()));
            match kind {
                0 => {
                    let byte = there.index(changed[i].bytes.len());
                    changed[i].bytes[byte] ^= noise;
                }
                1 => drop(changed.remove(i)),
                2 => changed.swap(i, j),
                3 => changed.insert(j, records[i].clone()),
                _ => changed.insert(j, Sealed { chain: chain(7), seq: j as u64 + 1, ..others[i].clone() }),
            }
            prop_assert!(changed == records || !is_whole(&changed), "{} {} {}", kind, i, j);
        }
    }

    /// A chain whose end was cut off did not stop in order, and has as many unsigned records as follow its last checkpoint.
    #[test]
    fn cut_off_end_is_told(count in 1..20_u64, cut in any::<prop::sample::Index>()) {
        let records = stopped(7, count, 1);
        let left = &records[..=cut.index(records.len() - 1)];
        let report = verify(left, trust());
        prop_assert_eq!(report.bad, None);
        prop_assert_eq!(report.end, ChainEnd::Open);
        let is_checkpoint = |sealed: &Sealed| sealed.bytes.windows(12).any(|bytes| bytes == b"\"checkpoint\"");
        let unsigned = left.iter().rev().take_while(|sealed| !is_checkpoint(sealed)).count() as u64;
        prop_assert_eq!(report.unsigned, unsigned);
        prop_assert_eq!(report.signed_through.unwrap_or(0) + unsigned, left.len() as u64);
    }

    /// Any range of a chain is proven by itself.
    #[test]
    fn range_is_proven(count in 1..12_u64, begin in any::<prop::sample::Index>()) {
        let records = stopped(7, count, 1);
        let begin = begin.index(records.len());
        let report = verify(&records[begin..], trust());
        prop_assert_eq!((report.bad, report.first, report.last), (None, begin as u64 + 1, records.len() as u64));
    }
}

/// Writes the records after `place` anew, as somebody would who has the files and no key.
fn forge(records: &mut Vec<Sealed>, body: &str) {
    let (seq, prev) = records.last().map_or((1, Digest::ZERO), |last| (last.seq + 1, last.digest()));
    let bytes =
        format!("{{\"chain\":\"{}\",\"seq\":{seq},\"prev\":\"{prev}\",{body}}}", chain(7).as_uuid()).into_bytes();
    records.push(Sealed { chain: chain(7), seq, bytes });
}

fn flaw(records: &[Sealed]) -> (u64, Flaw) {
    let Bad { seq, flaw } = verify(records, trust()).bad.unwrap();
    (seq, flaw)
}

#[test]
fn first_bad_record_is_named_with_what_is_wrong() {
    let records = stopped(7, 8, 1);
    let mut gap = records.clone();
    gap.remove(4);
    assert_eq!(flaw(&gap), (5, Flaw::Gap { found: 6 }));
    let mut again = records.clone();
    again.insert(4, records[2].clone());
    assert_eq!(flaw(&again), (5, Flaw::Order { found: 3 }));
    let mut changed = records.clone();
    let text = String::from_utf8(changed[1].bytes.clone()).unwrap().replace("note 0", "note 9");
    changed[1].bytes = text.into_bytes();
    assert_eq!(flaw(&changed), (3, Flaw::Hash));
    let mut garbage = records.clone();
    garbage[2].bytes.truncate(20);
    assert_eq!(flaw(&garbage), (3, Flaw::Malformed));
    let mut other = records[..3].to_vec();
    other.push(stopped(9, 8, 1)[3].clone());
    assert_eq!(flaw(&other), (4, Flaw::WrongChain { chain: chain(9) }));
    let mut misplaced = records.clone();
    misplaced[2].seq = 9;
    assert_eq!(flaw(&misplaced), (3, Flaw::Misplaced { chain: chain(7), seq: 3 }));
    let key = key(2).verifying_key().to_string();
    assert_eq!(flaw(&stopped(7, 3, 2)), (1, Flaw::UnknownKey { key }));
}

/// Whoever cuts a chain off after a checkpoint cannot write the stop himself.
#[test]
fn stop_cannot_be_forged() {
    let records = stopped(7, 20, 1);
    let is_checkpoint = |sealed: &Sealed| sealed.bytes.windows(12).any(|bytes| bytes == b"\"checkpoint\"");
    let checkpoint = records.iter().position(is_checkpoint).unwrap();
    let mut forged = records[..=checkpoint].to_vec();
    forge(&mut forged, "\"at\":5,\"kind\":\"stopped\"");
    assert_eq!(flaw(&forged), (forged.len() as u64, Flaw::UnsignedStop));
    // Nor move a checkpoint to another place, nor put something behind a stop.
    let text = String::from_utf8(records[checkpoint].bytes.clone()).unwrap();
    let mut moved = records[..checkpoint - 1].to_vec();
    forge(&mut moved, text[text.find("\"at\"").unwrap()..].strip_suffix('}').unwrap());
    assert!(matches!(flaw(&moved).1, Flaw::Signature { .. }));
    let mut more = records;
    forge(&mut more, "\"at\":5,\"kind\":\"act\",\"act\":\"x\"");
    assert_eq!(flaw(&more).1, Flaw::AfterStop);
}
