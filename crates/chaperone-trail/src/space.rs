//! How much room a journal has.

use std::sync::atomic::{AtomicU64, Ordering};

/// A quota, and what is used of it. What is reserved for records that wait counts as used.
#[derive(Debug)]
pub(crate) struct Space {
    quota_bytes: u64,
    used_bytes: AtomicU64,
}

impl Space {
    pub const fn new(quota_bytes: u64) -> Self {
        Self { quota_bytes, used_bytes: AtomicU64::new(0) }
    }

    /// Without a quota.
    pub const fn unlimited() -> Self {
        Self::new(u64::MAX)
    }

    /// Takes `bytes`, if there is room for them.
    pub fn reserve(&self, bytes: u64) -> bool {
        let used = self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = used.saturating_add(bytes) <= self.quota_bytes;
        if !fits {
            self.remove(bytes);
        }
        fits
    }

    /// Whether there is room for `bytes`, without taking them.
    pub fn has(&self, bytes: u64) -> bool {
        self.used_bytes().saturating_add(bytes) <= self.quota_bytes
    }

    /// Takes `bytes`, whether there is room or not.
    pub fn add(&self, bytes: u64) {
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives `bytes` back that were taken.
    pub fn remove(&self, bytes: u64) {
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }
}
