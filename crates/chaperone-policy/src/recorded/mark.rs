//! What is kept in memory beside something that decisions read: the digest of its state, and when that was last written down.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

/// The digest of a state, and the last stretch of the trail into which it was written.
#[derive(Debug)]
pub struct StateMark {
    digest: [u8; 32],
    written: AtomicU64,
}

/// A state as it is written down.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StateText {
    /// JSON.
    pub text: String,
    /// SHA-256 of it.
    pub digest: [u8; 32],
}

impl StateText {
    /// Of a text.
    pub fn new(text: String) -> Self {
        let digest = Sha256::digest(&text).into();
        Self { text, digest }
    }
}

impl StateMark {
    /// Of a state that was not written yet.
    pub const fn new(digest: [u8; 32]) -> Self {
        Self { digest, written: AtomicU64::new(u64::MAX) }
    }

    /// The digest.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whether it was written into this stretch.
    #[inline]
    pub fn is_written(&self, stretch: u64) -> bool {
        self.written.load(Ordering::Acquire) == stretch
    }

    /// Notes that it is in this stretch, before whatever is written from now on.
    pub fn note_written(&self, stretch: u64) {
        self.written.store(stretch, Ordering::Release);
    }
}

/// A place for a mark, which is made when it is first asked for. Copies begin without one: whoever copies something changes it.
#[derive(Debug, Default)]
pub struct MarkCell(OnceLock<Box<StateMark>>);

impl MarkCell {
    /// The mark; `state` makes the text of the state.
    pub fn get(&self, state: impl FnOnce() -> String) -> &StateMark {
        self.0.get_or_init(|| Box::new(StateMark::new(StateText::new(state()).digest)))
    }
}

impl Clone for MarkCell {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for MarkCell {
    /// What it is beside is compared, not whether that was written down.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for MarkCell {}
