//! Identities of entities with their hash, and sets of them.

use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

use smol_str::SmolStr;

use crate::value::EntityRef;

/// Odd, with its bits spread evenly.
pub(super) const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
/// Up to how many members of a set are searched from first to last.
const LINEAR_MAX: usize = 8;

/// Keyed by chance, so that nobody who chooses ids can make them collide.
static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// An entity's identity, hashed once. The hash differs from process to process; nothing but speed depends on it.
#[derive(Clone)]
pub(crate) struct Uid {
    hash: u64,
    name: EntityRef,
}

impl Uid {
    /// Hashes an identity.
    pub(crate) fn new(name: EntityRef) -> Self {
        // Nobody chooses types: they are the schema's. Ids alone need the costly hash.
        let kind =
            name.kind.bytes().fold(0_u64, |hash, byte| (hash.rotate_left(5) ^ u64::from(byte)).wrapping_mul(MIX));
        Self { hash: STATE.hash_one(name.id.as_str()) ^ kind, name }
    }

    /// As plain data.
    pub(crate) fn name(&self) -> &EntityRef {
        &self.name
    }

    /// Its hash.
    #[inline]
    pub(super) fn hash_bits(&self) -> u64 {
        self.hash
    }

    /// Its type.
    pub(crate) fn kind(&self) -> &SmolStr {
        &self.name.kind
    }
}

impl PartialEq for Uid {
    fn eq(&self, other: &Self) -> bool {
        // The hash tells most different ones apart, and never equal ones.
        self.hash == other.hash && self.name.id == other.name.id && self.name.kind == other.name.kind
    }
}

impl Eq for Uid {}

impl Ord for Uid {
    /// By hash first: an order to search in, not to show.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.hash.cmp(&other.hash).then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for Uid {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Uid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.name, f)
    }
}

/// For tables of what is hashed already.
pub(crate) type UidHasher = BuildHasherDefault<KnownHash>;

/// Values by identity; clones share their structure.
pub(crate) type UidMap<V> = imbl::GenericHashMap<Arc<Uid>, V, UidHasher, imbl::shared_ptr::DefaultSharedPtr>;

/// Takes the one hash that is written as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KnownHash(u64);

impl Hasher for KnownHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used by `Uid`; still a hash.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A set of identities, to be searched.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct UidSet(Box<[(u64, Arc<Uid>)]>);

impl UidSet {
    /// Whether it has this one.
    pub(crate) fn contains(&self, uid: &Uid) -> bool {
        let is_before = |(hash, _): &(u64, Arc<Uid>)| *hash < uid.hash;
        let start = match self.0.len() {
            ..=LINEAR_MAX => self.0.iter().take_while(|member| is_before(member)).count(),
            _ => self.0.partition_point(is_before),
        };
        let rest = self.0.get(start..).unwrap_or_default();
        rest.iter().take_while(|(hash, _)| *hash == uid.hash).any(|(_, member)| **member == *uid)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Every one, in no meaningful order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Uid>> {
        self.0.iter().map(|(_, uid)| uid)
    }
}

impl FromIterator<Arc<Uid>> for UidSet {
    fn from_iter<I: IntoIterator<Item = Arc<Uid>>>(uids: I) -> Self {
        let mut uids: Vec<_> = uids.into_iter().map(|uid| (uid.hash, uid)).collect();
        uids.sort_unstable();
        uids.dedup();
        Self(uids.into_boxed_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(id: &str) -> Uid {
        Uid::new(EntityRef::new("Team", id))
    }

    #[test]
    fn set_finds_its_members_only() {
        let set: UidSet = ["a", "b", "c", "b"].into_iter().map(|id| Arc::new(uid(id))).collect();
        assert_eq!(set.len(), 3);
        assert!(["a", "b", "c"].into_iter().all(|id| set.contains(&uid(id))));
        assert!(!set.contains(&uid("d")));
        assert!(!set.contains(&Uid::new(EntityRef::new("Group", "a"))));
    }

    #[test]
    fn equal_hashes_do_not_make_equal_identities() {
        let collide = |id: &str| Uid { hash: 7, name: EntityRef::new("Team", id) };
        let set: UidSet = ["a", "b"].into_iter().map(|id| Arc::new(collide(id))).collect();
        assert!(set.contains(&collide("a")) && set.contains(&collide("b")));
        assert!(!set.contains(&collide("c")));
        assert_ne!(collide("a"), collide("b"));
    }
}
