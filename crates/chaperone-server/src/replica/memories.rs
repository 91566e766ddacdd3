//! What is remembered, in memory: one cell for each session, tree and principal that a cached chain has, shared by all of those chains.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};

use chaperone_policy::{Memory, MemoryKey};
use chaperone_store::StoredMemory;

/// How many cells there are at least before those that nobody holds any more are looked for.
const SWEEP_MIN: usize = 1024;

/// The latest known memory of one session, tree or principal.
#[derive(Debug)]
pub struct MemoryCell {
    key: MemoryKey,
    /// The version of `latest` and one; 0: nothing is known yet. To be read before `latest` is.
    version: AtomicU64,
    latest: RwLock<Versioned>,
}

/// A memory with the version of it that the store has.
#[derive(Clone, Debug, Default)]
pub struct Versioned {
    /// 0: nothing is stored.
    pub version: u64,
    /// What it holds.
    pub memory: Arc<Memory>,
}

impl MemoryCell {
    fn new(key: MemoryKey) -> Self {
        Self { key, version: AtomicU64::new(0), latest: RwLock::default() }
    }

    /// Whose it is.
    pub fn key(&self) -> &MemoryKey {
        &self.key
    }

    /// Tells one content of the cell from another; 0 when nothing is known.
    pub(super) fn mark(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The version that is known; 0 where nothing is stored, or known.
    pub fn version(&self) -> u64 {
        self.mark().saturating_sub(1)
    }

    /// What is known; `None` before anything is.
    pub fn latest(&self) -> Option<Versioned> {
        (self.mark() != 0).then(|| self.read().clone())
    }

    /// Takes a memory as the store has it, or had it: an older one than is known changes nothing.
    pub fn publish(&self, version: u64, memory: Arc<Memory>) {
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        if self.version.load(Ordering::Acquire) <= version {
            *latest = Versioned { version, memory };
            self.version.store(version + 1, Ordering::Release);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Versioned> {
        self.latest.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cells that are held, by whose they are.
#[derive(Debug, Default)]
pub struct MemoryTable(Mutex<Cells>);

#[derive(Debug, Default)]
struct Cells {
    by_key: HashMap<MemoryKey, Weak<MemoryCell>>,
    sweep_at: usize,
}

impl MemoryTable {
    /// The cell of a key: from now on it is kept current for as long as somebody holds it.
    pub fn cell(&self, key: MemoryKey) -> Arc<MemoryCell> {
        let mut cells = self.cells();
        if let Some(cell) = cells.by_key.get(&key).and_then(Weak::upgrade) {
            return cell;
        }
        if cells.by_key.len() >= cells.sweep_at.max(SWEEP_MIN) {
            cells.by_key.retain(|_, cell| cell.strong_count() > 0);
            cells.sweep_at = 2 * cells.by_key.len();
        }
        let cell = Arc::new(MemoryCell::new(key.clone()));
        cells.by_key.insert(key, Arc::downgrade(&cell));
        cell
    }

    /// The cells that do not have this version or a later one yet, of those that are held.
    pub(super) fn behind<'a>(&self, changed: impl IntoIterator<Item = &'a (MemoryKey, u64)>) -> Vec<Arc<MemoryCell>> {
        let cells = self.cells();
        let behind = changed.into_iter().filter_map(|(key, version)| {
            let cell = cells.by_key.get(key)?.upgrade()?;
            // What is not known yet is being loaded, maybe by a read that began before this version was there.
            (cell.mark() <= *version).then_some(cell)
        });
        behind.collect()
    }

    /// Takes memories as the store has them, where they are held.
    pub fn publish(&self, stored: Vec<StoredMemory>) {
        let cells = self.cells();
        for StoredMemory { key, version, memory } in stored {
            if let Some(cell) = cells.by_key.get(&key).and_then(Weak::upgrade) {
                cell.publish(version, Arc::new(memory));
            }
        }
    }

    /// Holds no cell any more: whoever has one keeps it as it is, and everybody else gets a new one.
    pub(super) fn clear(&self) {
        self.cells().by_key.clear();
    }

    fn cells(&self) -> MutexGuard<'_, Cells> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chaperone_policy::{EntityRef, SessionId};

    use super::*;

    fn key(id: &str) -> MemoryKey {
        MemoryKey::Principal(EntityRef::new("Agent", id))
    }

    #[test]
    fn older_memory_never_replaces_a_newer_one() {
        let cell = MemoryTable::default().cell(key("a"));
        assert!(cell.latest().is_none());
        for (published, known) in [(0, 0), (3, 3), (2, 3), (4, 4)] {
            cell.publish(published, Arc::default());
            assert_eq!(cell.latest().map(|latest| latest.version), Some(known));
        }
    }

    #[test]
    fn cell_is_shared_while_it_is_held_and_behind_until_it_has_the_version() {
        let table = MemoryTable::default();
        let (first, second) = (table.cell(key("a")), table.cell(key("a")));
        assert!(Arc::ptr_eq(&first, &second));
        let changed = [(key("a"), 2), (key("b"), 9)];
        assert_eq!(table.behind(&changed).len(), 1);
        first.publish(2, Arc::default());
        assert!(table.behind(&changed).is_empty());
        assert_eq!(table.behind(&[(key("a"), 3)]).len(), 1);
        drop((first, second));
        assert!(table.behind(&[(key("a"), 3)]).is_empty());
    }

    #[test]
    fn cells_that_nobody_holds_make_room() {
        let table = MemoryTable::default();
        let held = table.cell(key("held"));
        for number in 0..4 * SWEEP_MIN as u128 {
            table.cell(MemoryKey::Tree(SessionId::new(uuid::Uuid::from_u128(number))));
        }
        assert!(table.cells().by_key.len() <= SWEEP_MIN + 1);
        assert!(Arc::ptr_eq(&held, &table.cell(key("held"))));
    }
}
