//! Records: what is written is what is read.

use proptest::prelude::*;

use super::events::event;
use super::{at, chain};
use crate::chain::{Chainer, Follower, Head};
use crate::{Digest, Record, body};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A record reads as what was written, whatever happened.
    #[test]
    fn record_reads_what_was_written(events in proptest::collection::vec((any::<i64>(), event()), 1..4), begin in 0..u64::MAX / 2) {
        let before = Head { seq: begin, digest: Digest::of(b"before") };
        let mut chainer = Chainer::new(chain(7), before);
        let mut follower = Follower::new(chain(7), before);
        for (micros, event) in events {
            let prev = chainer.head();
            let mut body = Vec::new();
            body::encode(&mut body, at(micros), &event).unwrap();
            let record = chainer.seal(&body).to_vec();
            let expected = Record { chain: chain(7), seq: prev.seq + 1, prev: prev.digest, at: at(micros), event };
            prop_assert_eq!(Record::parse(&record).unwrap(), expected);
            prop_assert_eq!(chainer.head(), Head { seq: prev.seq + 1, digest: Digest::of(&record) });
            prop_assert_eq!(follower.follow(&record), Some(at(micros)));
            // One object, without a line end, whose numbers and texts any JSON reader has the same.
            prop_assert!(!record.contains(&b'\n'));
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&record).unwrap().is_object());
        }
    }

    /// What is written in one pass is what serde writes: one definition of a record, for whoever writes and reads.
    #[test]
    fn body_is_as_serde_writes_it(micros in any::<i64>(), event in event()) {
        let mut body = Vec::new();
        body::encode(&mut body, at(micros), &event).unwrap();
        let members = serde_json::to_string(&event).unwrap();
        prop_assert_eq!(String::from_utf8(body).unwrap(), format!("\"at\":{micros},{}", &members[1..]));
    }

    /// Whatever the bytes are, reading them as a record ends.
    #[test]
    fn bytes_of_strangers_are_records_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = Record::parse(&bytes);
    }
}
