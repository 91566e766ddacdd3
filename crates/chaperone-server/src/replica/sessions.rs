//! Sessions in memory, each with its ancestors, found by the hash of its handle.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use chaperone_policy::{HandleHash, Life, Session, SessionChain, SessionId, Timestamp};

/// How many changed sessions are told apart. After so many, all are forgotten at once, and loads under way are not kept.
const CHANGES_MAX: usize = 8192;

/// A bounded cache. When it is full, any one session makes room: it is only a copy.
#[derive(Debug)]
pub struct SessionCache {
    capacity: usize,
    chains: RwLock<Chains>,
    /// What changed lately, so that a load that began before a change does not put the old state back.
    changes: Mutex<RecentChanges>,
    /// Uses that are not in the store yet, of sessions that are no longer in memory.
    orphaned_uses: Mutex<HashMap<SessionId, Timestamp>>,
}

#[derive(Debug, Default)]
struct Chains {
    by_handle: HashMap<HandleHash, Arc<CachedChain>>,
    /// In which chains a session is, as itself or as an ancestor.
    holding: HashMap<SessionId, HashSet<HandleHash>>,
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
    /// The sessions as they were loaded.
    pub chain: SessionChain,
    /// Microseconds since the epoch; 0 when it was not used since it was loaded.
    used_at: AtomicI64,
    /// The part of `used_at` that the store knows.
    stored_use: AtomicI64,
}

/// Taken before a load begins.
#[derive(Clone, Copy, Debug)]
pub struct LoadTicket(u64);

impl CachedChain {
    fn new(chain: SessionChain) -> Self {
        Self { chain, used_at: AtomicI64::new(0), stored_use: AtomicI64::new(0) }
    }

    /// Notes a use. A use of a session is a use of its ancestors.
    pub fn note_use(&self, now: Timestamp) {
        self.used_at.fetch_max(now.as_micros(), Ordering::Relaxed);
    }

    /// Whether any session of the chain would be idle if it had not been used since it was loaded.
    pub fn looks_idle(&self, now: Timestamp) -> bool {
        self.chain.iter().any(|session| session.life(now) == Life::Idle)
    }

    /// The chain with the uses that were noted here.
    fn with_uses(&self) -> SessionChain {
        let used_at = Timestamp::from_micros(self.used_at.load(Ordering::Relaxed));
        let sessions = self.chain.iter().map(|session| {
            if session.last_used_at >= used_at {
                return Arc::clone(session);
            }
            Arc::new(Session { last_used_at: used_at, ..Session::clone(session) })
        });
        // Only a time changed, so the links are whole as before.
        SessionChain::new(sessions.collect()).unwrap_or_else(|| self.chain.clone())
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
            chains: RwLock::default(),
            changes: Mutex::default(),
            orphaned_uses: Mutex::default(),
        }
    }

    /// A session by its handle.
    pub fn find(&self, handle: &HandleHash) -> Option<Arc<CachedChain>> {
        self.chains.read().unwrap_or_else(PoisonError::into_inner).by_handle.get(handle).cloned()
    }

    /// How many sessions are in memory.
    pub fn len(&self) -> usize {
        self.chains.read().unwrap_or_else(PoisonError::into_inner).by_handle.len()
    }

    /// Whether none is in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// To be taken before a load begins.
    pub fn begin_load(&self) -> LoadTicket {
        LoadTicket(self.changes().tick)
    }

    /// Keeps what was loaded, unless one of its sessions changed since the load began: then what was loaded is good for the check
    /// that asked for it, which began before the change was applied here, and for no later one.
    pub fn insert(&self, handle: HandleHash, chain: SessionChain, ticket: LoadTicket) -> Arc<CachedChain> {
        let cached = Arc::new(CachedChain::new(chain));
        let mut chains = self.chains.write().unwrap_or_else(PoisonError::into_inner);
        let changes = self.changes();
        if cached.chain.iter().any(|session| changes.has_changed(session.id, ticket)) {
            return cached;
        }
        drop(changes);
        self.remove(&mut chains, &handle);
        while chains.by_handle.len() >= self.capacity {
            let Some(victim) = chains.by_handle.keys().next().copied() else { break };
            self.remove(&mut chains, &victim);
        }
        for session in cached.chain.iter() {
            chains.holding.entry(session.id).or_default().insert(handle);
        }
        chains.by_handle.insert(handle, Arc::clone(&cached));
        cached
    }

    /// Writes the uses that were noted here into the cached sessions, where the idle rule reads them. Done only when a session would
    /// look idle without them, so that a check costs no copy.
    pub fn fold_uses(&self, handle: &HandleHash) -> Option<Arc<CachedChain>> {
        let ticket = self.begin_load();
        let cached = self.find(handle)?;
        Some(self.insert(*handle, cached.with_uses(), ticket))
    }

    /// Drops a session that the store does not have.
    pub fn forget(&self, handle: &HandleHash) {
        let mut chains = self.chains.write().unwrap_or_else(PoisonError::into_inner);
        self.remove(&mut chains, handle);
    }

    /// Drops every chain that a changed session is part of.
    pub fn apply_change(&self, changed: SessionId) {
        let mut chains = self.chains.write().unwrap_or_else(PoisonError::into_inner);
        self.changes().note(changed);
        for handle in chains.holding.remove(&changed).unwrap_or_default() {
            self.remove(&mut chains, &handle);
        }
    }

    /// Drops everything: the feed has a gap, so anything may have changed.
    pub fn clear(&self) {
        let mut chains = self.chains.write().unwrap_or_else(PoisonError::into_inner);
        self.changes().note_everything();
        let handles: Vec<_> = chains.by_handle.keys().copied().collect();
        for handle in handles {
            self.remove(&mut chains, &handle);
        }
    }

    /// Uses that the store does not know yet. They are handed over: whoever cannot store them gives them back.
    pub fn take_uses(&self) -> Vec<(SessionId, Timestamp)> {
        let mut uses = std::mem::take(&mut *self.orphaned_uses.lock().unwrap_or_else(PoisonError::into_inner));
        let chains = self.chains.read().unwrap_or_else(PoisonError::into_inner);
        for cached in chains.by_handle.values() {
            Self::collect_uses(cached, &mut uses);
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
            for session in cached.chain.iter() {
                uses.entry(session.id).and_modify(|known| *known = at.max(*known)).or_insert(at);
            }
        }
    }

    fn remove(&self, chains: &mut Chains, handle: &HandleHash) {
        let Some(cached) = chains.by_handle.remove(handle) else { return };
        Self::collect_uses(&cached, &mut self.orphaned_uses.lock().unwrap_or_else(PoisonError::into_inner));
        for session in cached.chain.iter() {
            if let Some(handles) = chains.holding.get_mut(&session.id) {
                handles.remove(handle);
                if handles.is_empty() {
                    chains.holding.remove(&session.id);
                }
            }
        }
    }

    fn changes(&self) -> MutexGuard<'_, RecentChanges> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use chaperone_policy::{Binding, EntityRef, Scope, Task};
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> SessionId {
        SessionId::new(Uuid::from_u128(number))
    }

    fn handle(number: u8) -> HandleHash {
        HandleHash::from_bytes([number; 32])
    }

    fn session(number: u128, parent: Option<u128>) -> Arc<Session> {
        Arc::new(Session {
            id: id(number),
            tree: id(parent.unwrap_or(number)),
            parent: parent.map(id),
            depth: u32::from(parent.is_some()),
            principal: EntityRef::new("Agent", "a"),
            owner: "o".into(),
            task: Task::default(),
            labels: BTreeSet::new(),
            scope: Scope::Unrestricted,
            binding: Binding::default(),
            opened_at: Timestamp::from_micros(0),
            expires_at: Timestamp::from_micros(i64::MAX),
            idle_timeout: Some(Duration::from_secs(1)),
            last_used_at: Timestamp::from_micros(0),
            ended: None,
            version: 1,
        })
    }

    fn chain(sessions: &[Arc<Session>]) -> SessionChain {
        SessionChain::new(sessions.to_vec()).expect("a whole chain")
    }

    fn child_of_1() -> SessionChain {
        chain(&[session(2, Some(1)), session(1, None)])
    }

    #[test]
    fn change_of_an_ancestor_drops_its_descendants() {
        let cache = SessionCache::new(10);
        cache.insert(handle(2), child_of_1(), cache.begin_load());
        cache.insert(handle(3), chain(&[session(3, None)]), cache.begin_load());
        cache.apply_change(id(1));
        assert!(cache.find(&handle(2)).is_none());
        assert!(cache.find(&handle(3)).is_some());
    }

    #[test]
    fn what_was_loaded_before_a_change_is_not_kept_after_it() {
        let cache = SessionCache::new(10);
        let before = cache.begin_load();
        cache.apply_change(id(1));
        cache.insert(handle(2), child_of_1(), before);
        assert!(cache.find(&handle(2)).is_none());
        cache.insert(handle(2), child_of_1(), cache.begin_load());
        assert!(cache.find(&handle(2)).is_some());
        let before = cache.begin_load();
        cache.clear();
        cache.insert(handle(2), child_of_1(), before);
        assert!(cache.is_empty());
    }

    #[test]
    fn full_cache_makes_room_and_loses_no_use() {
        let cache = SessionCache::new(2);
        for number in 1..=5_u8 {
            let cached = cache.insert(handle(number), chain(&[session(u128::from(number), None)]), cache.begin_load());
            cached.note_use(Timestamp::from_micros(i64::from(number)));
        }
        assert_eq!(cache.len(), 2);
        let mut uses = cache.take_uses();
        uses.sort_unstable();
        let expected: Vec<_> = (1..=5_u8).map(|n| (id(n.into()), Timestamp::from_micros(n.into()))).collect();
        assert_eq!(uses, expected);
        assert!(cache.take_uses().is_empty(), "each use is handed over once");
        cache.return_uses(uses);
        assert_eq!(cache.take_uses().len(), 2, "what is given back is bounded by the capacity");
    }

    #[test]
    fn use_of_a_child_keeps_its_parent_from_being_idle() {
        let cache = SessionCache::new(10);
        let now = Timestamp::from_micros(5_000_000);
        let cached = cache.insert(handle(2), child_of_1(), cache.begin_load());
        assert!(cached.looks_idle(now));
        cached.note_use(Timestamp::from_micros(4_500_000));
        let folded = cache.fold_uses(&handle(2)).expect("it is there");
        assert!(!folded.looks_idle(now));
        assert!(cache.find(&handle(2)).is_some_and(|found| !found.looks_idle(now)));
        let mut uses = cache.take_uses();
        uses.sort_unstable();
        assert_eq!(uses.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id(1), id(2)]);
    }

    #[test]
    fn changes_are_remembered_within_bounds_and_still_keep_old_state_out() {
        let cache = SessionCache::new(10);
        let before = cache.begin_load();
        for number in 1..=4 * CHANGES_MAX as u128 {
            cache.apply_change(id(number));
        }
        assert!(cache.changes().by_session.len() <= CHANGES_MAX);
        cache.insert(handle(1), chain(&[session(1, None)]), before);
        assert!(cache.find(&handle(1)).is_none(), "its change is forgotten, but not that there were changes");
        cache.insert(handle(1), chain(&[session(1, None)]), cache.begin_load());
        assert!(cache.find(&handle(1)).is_some());
    }
}
