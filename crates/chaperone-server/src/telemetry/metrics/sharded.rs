//! What several threads add to, in parts: threads that write to one cache line wait for each other, which costs more than what they count.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many parts there are. Further threads share them.
const PARTS: usize = 16;

/// The place of the next thread that counts.
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PLACE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Values to be added up, of which each thread has one to write to.
#[derive(Debug)]
pub(super) struct Sharded<T> {
    parts: Box<[Part<T>]>,
    /// Of the threads that have none of those.
    last: Part<T>,
}

/// Apart from its neighbours by two cache lines, which processors fetch together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part<T>(T);

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self { parts: std::iter::repeat_with(Part::default).take(PARTS - 1).collect(), last: Part::default() }
    }
}

impl<T> Sharded<T> {
    /// This thread's own. Other threads may have the same one.
    pub(super) fn own(&self) -> &T {
        &self.parts.get(place()).unwrap_or(&self.last).0
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.parts.iter().chain([&self.last]).map(|part| &part.0)
    }
}

fn place() -> usize {
    PLACE.with(|place| {
        place.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed) % PARTS;
            place.set(Some(next));
            next
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::thread;

    use super::*;

    #[test]
    fn nothing_is_lost_however_many_threads_count() {
        let counts = Sharded::<AtomicU64>::default();
        thread::scope(|scope| {
            for _ in 0..3 * PARTS {
                scope.spawn(|| {
                    for _ in 0..100 {
                        counts.own().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(counts.iter().count(), PARTS);
        let sum: u64 = counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        assert_eq!(sum, 300 * u64::try_from(PARTS).expect("few"));
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) > 0), "every part is some thread's");
    }
}
