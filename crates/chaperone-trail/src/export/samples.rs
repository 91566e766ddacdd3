//! A story that the tests export, and the texts that it gives.

use std::path::Path;

use crate::digest::Digest;
use crate::record::{Record, Sealed};

const STORY: &str = include_str!("../../fixtures/story.jsonl");

/// One chain: a report is written, a step-up approved, a child delegated, and all of it revoked.
pub(super) fn story() -> Vec<(Sealed, Record)> {
    STORY
        .lines()
        .map(|line| {
            let record = Record::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error:?}"));
            (Sealed { chain: record.chain, seq: record.seq, bytes: line.into() }, record)
        })
        .collect()
}

/// Compares with a file under `fixtures/`, or writes it when `CHAPERONE_GOLDEN` is `write`.
pub(super) fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    if std::env::var_os("CHAPERONE_GOLDEN").is_some_and(|mode| mode == "write") {
        std::fs::write(&path, text).expect("it is written");
    }
    let golden = std::fs::read_to_string(&path).expect("it is there; CHAPERONE_GOLDEN=write makes it");
    assert!(golden == text, "{name} differs; CHAPERONE_GOLDEN=write, and look at the difference");
}

#[test]
fn story_is_a_chain() {
    let mut prev = Digest::ZERO;
    for (place, (sealed, record)) in (1..).zip(story()) {
        assert_eq!((record.seq, record.prev), (place, prev));
        prev = sealed.digest();
    }
}
