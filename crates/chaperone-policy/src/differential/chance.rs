//! Random choices that a seed determines.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// A source of choices. Equal seeds choose alike.
pub(super) struct Chance(StdRng);

impl Chance {
    /// The choices of one part of a run.
    pub(super) fn new(seed: u64, part: u64) -> Self {
        // Parts must differ whatever the seed; multiplying by an odd number loses nothing.
        Self(StdRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(part)))
    }

    /// A number below `end`, which must not be zero.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    /// A number from `start` to `end`, both included.
    pub(super) fn between(&mut self, start: usize, end: usize) -> usize {
        self.0.random_range(start..=end)
    }

    /// True so many times in a hundred.
    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Any number.
    pub(super) fn number(&mut self) -> u64 {
        self.0.random()
    }

    /// One of some texts, of which there is at least one.
    pub(super) fn pick<'a>(&mut self, from: &'a [impl AsRef<str>]) -> &'a str {
        from[self.below(from.len())].as_ref()
    }

    /// One of some, of which there is at least one.
    pub(super) fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
