//! Which policies were found lately, of what was asked more than once: who acts for a task asks for the same again and again.
//!
//! Each thread has its own, so that none waits for another.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::frame::Subject;
use super::index::Candidates;
use super::uid::{MIX, Uid, UidSet};
use crate::entities::EntityRecord;

/// How many a thread has.
const PLACES: usize = 64;

thread_local! {
    static RECENT: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// Tells one index from every other one of this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct IndexId(u64);

/// What policies are searched for, and in which index.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) index: IndexId,
    /// The number of the action.
    pub(super) action: u32,
    pub(super) principal: Subject<'a>,
    pub(super) resource: Subject<'a>,
}

/// What a thread remembers of a search.
enum Recalled {
    /// What was found.
    Found,
    /// That it was asked for.
    Asked,
    Nothing,
}

#[derive(Default)]
struct Place {
    /// What was searched for last and is not kept: most is never asked for again, and keeping it would cost more than the search.
    asked: u64,
    kept: Option<Kept>,
}

struct Kept {
    index: IndexId,
    action: u32,
    principal: Known,
    resource: Known,
    found: Box<[u32]>,
}

/// All of an entity that scopes look at.
///
/// INVARIANT (exact): sets of ancestors do not change, and this one is held, so that no other can come to stand at its address. What is
/// found for the same entities with the same sets therefore is what would be found again.
struct Known {
    uid: Uid,
    ancestors: Option<Arc<UidSet>>,
}

impl IndexId {
    /// Of a new index.
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Search<'_> {
    /// Puts what was found for the same into `found`, which is empty; or has it searched for.
    pub(super) fn recall_or(&self, found: &mut Candidates, search: impl FnOnce(&mut Candidates)) {
        let hash = self.hash();
        let recalled = with_place(hash, |place| {
            if let Some(kept) = place.kept.as_ref().filter(|kept| self.is_of(kept)) {
                found.extend_from_slice(&kept.found);
                return Recalled::Found;
            }
            if std::mem::replace(&mut place.asked, hash) == hash { Recalled::Asked } else { Recalled::Nothing }
        });
        match recalled {
            Some(Recalled::Found) => {}
            Some(Recalled::Asked) => {
                search(found);
                with_place(hash, |place| place.kept = Some(self.keep(found)));
            }
            Some(Recalled::Nothing) | None => search(found),
        }
    }

    fn hash(&self) -> u64 {
        let Self { index: IndexId(index), action, principal, resource } = self;
        let parts = [*index, u64::from(*action), principal.uid.hash_bits(), resource.uid.hash_bits()];
        parts.into_iter().fold(0, |hash: u64, part| (hash.rotate_left(29) ^ part).wrapping_mul(MIX))
    }

    fn is_of(&self, kept: &Kept) -> bool {
        (self.index, self.action) == (kept.index, kept.action)
            && kept.principal.is(self.principal)
            && kept.resource.is(self.resource)
    }

    fn keep(&self, found: &Candidates) -> Kept {
        let Self { index, action, principal, resource } = *self;
        let (principal, resource) = (Known::new(principal), Known::new(resource));
        Kept { index, action, principal, resource, found: found.as_slice().into() }
    }
}

impl Known {
    fn new(subject: Subject<'_>) -> Self {
        Self { uid: subject.uid.clone(), ancestors: subject.record.map(EntityRecord::ancestors).cloned() }
    }

    fn is(&self, subject: Subject<'_>) -> bool {
        let ancestors = subject.record.map(EntityRecord::ancestors).map(Arc::as_ptr);
        self.ancestors.as_ref().map(Arc::as_ptr) == ancestors && self.uid == *subject.uid
    }
}

/// `None` while the thread ends.
fn with_place<T>(hash: u64, with: impl FnOnce(&mut Place) -> T) -> Option<T> {
    let at = |recent: &RefCell<Vec<Place>>| {
        let mut recent = recent.try_borrow_mut().ok()?;
        if recent.is_empty() {
            recent.resize_with(PLACES, Place::default);
        }
        // The high bits depend on all of it.
        recent.get_mut((hash >> 32) as usize % PLACES).map(with)
    };
    RECENT.try_with(at).ok().flatten()
}
