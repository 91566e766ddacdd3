//! Sessions in memory, each with its ancestors, found by the hash of its handle.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::{ArcSwap, Guard};
use chaperone_policy::{HandleHash, Life, Memory, Session, SessionChain, SessionId, Timestamp};

use super::memories::MemoryCell;
use super::recalled::{RecalledChain, WrittenSessions};

/// How many changed sessions are told apart. After so many, all are forgotten at once, and loads under way are not kept.
const CHANGES_MAX: usize = 8192;
/// How many parts the sessions are kept in, each with a lock of its own: one for each value of a byte.
const SHARDS: usize = 256;
/// How many sessions are compared to find one that makes room.
const CANDIDATES: usize = 8;

/// A bounded cache. When it is full, a session that was not used for long makes room: it is only a copy.
///
/// Checks read the shards, and wait only for a writer of the same shard. Whoever writes holds the index from beginning to end, and a
/// shard for one step of it: so writers see one cache, and do not hold up those who read.
#[derive(Debug)]
pub struct SessionCache {
    capacity: usize,
    shards: Box<[Shard; SHARDS]>,
    index: Mutex<Index>,
    /// Uses that are not in the store yet, of sessions that are no longer in memory.
    orphaned_uses: Mutex<HashMap<SessionId, Timestamp>>,
}

/// Apart from its neighbours by two cache lines, which processors fetch together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(RwLock<Chains>);

type Chains = HashMap<HandleHash, Arc<CachedChain>, BuildHasherDefault<Uniform>>;

/// Takes eight bytes of what is a hash already. Nobody can choose it: it is SHA-256 of random bytes that were drawn here.
#[derive(Debug, Default)]
struct Uniform(u64);

impl Hasher for Uniform {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk().map_or(0, |first| u64::from_ne_bytes(*first));
    }

    /// All are of one length.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What is in the shards, from the side of those who change it.
#[derive(Debug, Default)]
struct Index {
    /// Every chain that is in a shard, at its place.
    chains: Vec<Arc<CachedChain>>,
    /// In which chains a session is, as itself or as an ancestor.
    holding: HashMap<SessionId, HashSet<HandleHash>>,
    /// Where to look for one that makes room.
    hand: usize,
    /// What changed lately, so that a load that began before a change does not put the old state back.
    changes: RecentChanges,
}

#[derive(Debug, Default)]
struct RecentChanges {
    tick: u64,
    /// Ticks up to this one are forgotten, or everything changed at it.
    forgotten: u64,
    by_session: HashMap<SessionId, u64>,
}

/// A session with its ancestors, and when it was last used here.
#[derive(Debug)]
pub struct CachedChain {
    /// The sessions as they were loaded, of which nothing is remembered.
    sessions: SessionChain,
    /// What is remembered, in the order of the chain's keys.
    cells: Box<[Arc<MemoryCell>]>,
    /// The sessions with what is remembered, as it was when it was last looked at.
    recalled: ArcSwap<RecalledChain>,
    /// What the trail has of the sessions.
    written: WrittenSessions,
    handle: HandleHash,
    /// Where the index has it. Only whoever holds the index reads and writes it.
    place: AtomicUsize,
    /// Microseconds since the epoch; 0 when it was not used since it was loaded.
    used_at: AtomicI64,
    /// The part of `used_at` that the store knows.
    stored_use: AtomicI64,
}

/// A chain as it was loaded.
#[derive(Debug)]
pub struct LoadedChain {
    /// The sessions.
    pub sessions: SessionChain,
    /// What is remembered of them, in the order of the chain's keys.
    pub cells: Box<[Arc<MemoryCell>]>,
}

impl From<SessionChain> for LoadedChain {
    /// Of which nothing is remembered, now or later.
    fn from(sessions: SessionChain) -> Self {
        Self { sessions, cells: Box::default() }
    }
}

/// Taken before a load begins.
#[derive(Clone, Copy, Debug)]
pub struct LoadTicket(u64);

impl CachedChain {
    fn new(handle: HandleHash, LoadedChain { sessions, cells }: LoadedChain) -> Self {
        let (used_at, stored_use) = (AtomicI64::new(0), AtomicI64::new(0));
        let written = WrittenSessions::default();
        let recalled = ArcSwap::from_pointee(recall(&sessions, &cells, &written));
        Self { sessions, cells, recalled, written, handle, place: AtomicUsize::new(usize::MAX), used_at, stored_use }
    }

    /// The sessions with what is remembered of them now.
    pub fn recalled(&self) -> Guard<Arc<RecalledChain>> {
        let recalled = self.recalled.load();
        if self.cells.iter().zip(&recalled.marks).all(|(cell, mark)| cell.mark() == *mark) {
            return recalled;
        }
        // Two that do this at once may store in either order; whoever finds the older one makes it again.
        self.recalled.store(Arc::new(recall(&self.sessions, &self.cells, &self.written)));
        self.recalled.load()
    }

    /// The sessions with these memories. `None` when they are not as many as the chain has keys.
    pub fn recalled_with(&self, memories: Vec<Arc<Memory>>) -> Option<RecalledChain> {
        Some(RecalledChain::new(self.sessions.with_memories(memories)?, self.written.clone()))
    }

    /// The hash of its handle.
    pub fn handle(&self) -> HandleHash {
        self.handle
    }

    /// The sessions, of which nothing is remembered.
    pub fn sessions(&self) -> &SessionChain {
        &self.sessions
    }

    /// What is remembered, in the order of the chain's keys.
    pub fn cells(&self) -> &[Arc<MemoryCell>] {
        &self.cells
    }

    /// The versions of what is remembered, as far as is known here by now, in the order of the chain's keys.
    pub fn memory_versions(&self) -> Vec<u64> {
        self.cells.iter().map(|cell| cell.version()).collect()
    }

    /// Notes a use. A use of a session is a use of its ancestors.
    pub fn note_use(&self, now: Timestamp) {
        self.used_at.fetch_max(now.as_micros(), Ordering::Relaxed);
    }

    /// When it was last used, as far as is known here.
    fn last_use(&self) -> i64 {
        self.used_at.load(Ordering::Relaxed).max(self.sessions.session().last_used_at.as_micros())
    }

    /// Goes on counting where `other` ends.
    fn take_over_uses(&self, other: &Self) {
        self.used_at.store(other.used_at.load(Ordering::Relaxed), Ordering::Relaxed);
        self.stored_use.store(other.stored_use.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether any session of the chain would be idle if it had not been used since it was loaded.
    pub fn looks_idle(&self, now: Timestamp) -> bool {
        self.sessions.iter().any(|session| session.life(now) == Life::Idle)
    }

    /// The chain with the uses that were noted here.
    fn with_uses(&self) -> SessionChain {
        let used_at = Timestamp::from_micros(self.used_at.load(Ordering::Relaxed));
        let sessions = self.sessions.iter().map(|session| {
            if session.last_used_at >= used_at {
                return Arc::clone(session);
            }
            Arc::new(Session { last_used_at: used_at, ..Session::clone(session) })
        });
        // Only a time changed, so the links are whole as before.
        SessionChain::new(sessions.collect()).unwrap_or_else(|| self.sessions.clone())
    }

    /// Uses that the store does not know yet; they count as known from now on.
    fn take_uses(&self) -> Option<Timestamp> {
        let used_at = self.used_at.load(Ordering::Relaxed);
        let stored = self.stored_use.fetch_max(used_at, Ordering::Relaxed);
        (used_at > stored).then(|| Timestamp::from_micros(used_at))
    }
}

impl SessionCache {
    /// An empty cache for at most `capacity` sessions.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            shards: Box::new(std::array::from_fn(|_| Shard::default())),
            index: Mutex::default(),
            orphaned_uses: Mutex::default(),
        }
    }

    /// A session by its handle.
    pub fn find(&self, handle: &HandleHash) -> Option<Arc<CachedChain>> {
        self.shard(handle).read().get(handle).cloned()
    }

    /// How many sessions are in memory.
    pub fn len(&self) -> usize {
        self.index().chains.len()
    }

    /// Whether none is in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// To be taken before a load begins.
    pub fn begin_load(&self) -> LoadTicket {
        LoadTicket(self.index().changes.tick)
    }

    /// Keeps what was loaded, unless one of its sessions changed since the load began: then what was loaded is good for the check
    /// that asked for it, which began before the change was applied here, and for no later one.
    pub fn insert(&self, handle: HandleHash, loaded: impl Into<LoadedChain>, ticket: LoadTicket) -> Arc<CachedChain> {
        let cached = Arc::new(CachedChain::new(handle, loaded.into()));
        let mut index = self.index();
        if cached.sessions.iter().any(|session| index.changes.has_changed(session.id, ticket)) {
            return cached;
        }
        match self.find(&handle) {
            // It stays in its shard until the new one takes its place there: no check between the two has to load it.
            Some(old) => {
                cached.take_over_uses(&old);
                index.remove(&old);
            }
            None => {
                while index.chains.len() >= self.capacity {
                    let Some(victim) = index.victim() else { break };
                    self.remove(&mut index, &victim);
                }
            }
        }
        index.add(&cached);
        self.shard(&handle).write().insert(handle, Arc::clone(&cached));
        cached
    }

    /// Writes the uses that were noted here into the cached sessions, where the idle rule reads them. Done only when a session would
    /// look idle without them, so that a check costs no copy.
    pub fn fold_uses(&self, handle: &HandleHash) -> Option<Arc<CachedChain>> {
        let ticket = self.begin_load();
        let cached = self.find(handle)?;
        let loaded = LoadedChain { sessions: cached.with_uses(), cells: cached.cells.clone() };
        Some(self.insert(*handle, loaded, ticket))
    }

    /// Drops a session that the store does not have.
    pub fn forget(&self, handle: &HandleHash) {
        self.remove(&mut self.index(), handle);
    }

    /// Drops every chain that a changed session is part of.
    pub fn apply_change(&self, changed: SessionId) {
        let mut index = self.index();
        index.changes.note(changed);
        for handle in index.holding.remove(&changed).unwrap_or_default() {
            self.remove(&mut index, &handle);
        }
    }

    /// Drops everything: the feed has a gap, so anything may have changed.
    pub fn clear(&self) {
        let mut index = self.index();
        index.changes.note_everything();
        while let Some(handle) = index.chains.last().map(|last| last.handle) {
            self.remove(&mut index, &handle);
        }
    }

    /// Uses that the store does not know yet. They are handed over: whoever cannot store them gives them back.
    pub fn take_uses(&self) -> Vec<(SessionId, Timestamp)> {
        let mut uses = std::mem::take(&mut *self.orphaned_uses.lock().unwrap_or_else(PoisonError::into_inner));
        // Whatever is dropped meanwhile leaves its uses with the orphaned ones, for the next time.
        for shard in self.shards.iter() {
            for cached in shard.read().values() {
                Self::collect_uses(cached, &mut uses);
            }
        }
        uses.into_iter().collect()
    }

    /// Takes back uses that could not be stored.
    pub fn return_uses(&self, uses: Vec<(SessionId, Timestamp)>) {
        let mut orphaned = self.orphaned_uses.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, at) in uses {
            if orphaned.len() < self.capacity {
                orphaned.entry(id).and_modify(|known| *known = at.max(*known)).or_insert(at);
            }
        }
    }

    fn collect_uses(cached: &CachedChain, uses: &mut HashMap<SessionId, Timestamp>) {
        if let Some(at) = cached.take_uses() {
            for session in cached.sessions.iter() {
                uses.entry(session.id).and_modify(|known| *known = at.max(*known)).or_insert(at);
            }
        }
    }

    fn remove(&self, index: &mut Index, handle: &HandleHash) {
        let removed = self.shard(handle).write().remove(handle);
        if let Some(cached) = removed {
            Self::collect_uses(&cached, &mut self.orphaned_uses.lock().unwrap_or_else(PoisonError::into_inner));
            index.remove(&cached);
        }
    }

    #[expect(clippy::indexing_slicing, reason = "there is a shard for every value of a byte")]
    fn shard(&self, handle: &HandleHash) -> &Shard {
        // Not one of the bytes that tell the places within a shard.
        let [.., last] = handle.as_bytes();
        &self.shards[usize::from(*last)]
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cell of which nothing is known counts as empty; whoever loads a chain fills its cells before.
fn recall(sessions: &SessionChain, cells: &[Arc<MemoryCell>], written: &WrittenSessions) -> RecalledChain {
    // The marks first: what is published in between is then found to be missing.
    let marks = cells.iter().map(|cell| cell.mark()).collect();
    let memories = cells.iter().map(|cell| cell.latest().unwrap_or_default().memory).collect();
    let chain = sessions.with_memories(memories).unwrap_or_else(|| sessions.clone());
    RecalledChain::new(chain, written.clone()).marked(marks)
}

impl Shard {
    fn read(&self) -> RwLockReadGuard<'_, Chains> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Chains> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn add(&mut self, cached: &Arc<CachedChain>) {
        cached.place.store(self.chains.len(), Ordering::Relaxed);
        self.chains.push(Arc::clone(cached));
        for session in cached.sessions.iter() {
            self.holding.entry(session.id).or_default().insert(cached.handle);
        }
    }

    fn remove(&mut self, cached: &CachedChain) {
        let place = cached.place.load(Ordering::Relaxed);
        if place < self.chains.len() {
            self.chains.swap_remove(place);
        }
        // The last one has moved there.
        if let Some(moved) = self.chains.get(place) {
            moved.place.store(place, Ordering::Relaxed);
        }
        for session in cached.sessions.iter() {
            if let Some(handles) = self.holding.get_mut(&session.id) {
                handles.remove(&cached.handle);
                if handles.is_empty() {
                    self.holding.remove(&session.id);
                }
            }
        }
    }

    /// Of a few, the one that was used longest ago. The next time others are looked at.
    fn victim(&mut self) -> Option<HandleHash> {
        let count = self.chains.len();
        let from = self.hand.checked_rem(count)?;
        self.hand = from + CANDIDATES;
        let candidates = (from..self.hand).filter_map(|place| self.chains.get(place.checked_rem(count)?));
        candidates.min_by_key(|cached| cached.last_use()).map(|oldest| oldest.handle)
    }
}

impl RecentChanges {
    fn note(&mut self, id: SessionId) {
        // All at once: to look for the old ones at every change would take ever longer while many sessions end together.
        if self.by_session.len() >= CHANGES_MAX {
            self.note_everything();
        }
        self.tick += 1;
        self.by_session.insert(id, self.tick);
    }

    fn note_everything(&mut self) {
        self.tick += 1;
        self.forgotten = self.tick;
        self.by_session.clear();
    }

    fn has_changed(&self, id: SessionId, since: LoadTicket) -> bool {
        since.0 < self.forgotten || self.by_session.get(&id).is_some_and(|tick| *tick > since.0)
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
