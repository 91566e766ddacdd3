//! A snapshot as a thread has it.

use std::cell::RefCell;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::Snapshot;

thread_local! {
    static LAST: RefCell<Option<Copied>> = const { RefCell::new(None) };
}

struct Copied {
    /// Held, so that no other snapshot can come to stand at its address.
    from: Arc<Snapshot>,
    own: Arc<Snapshot>,
}

/// This snapshot, in a copy that this thread alone counts the uses of: threads that write to one count, twice for each check, wait for each
/// other. It shares everything with the original. The thread keeps it until it asks for another one.
pub fn of_this_thread(snapshot: &Arc<Snapshot>) -> Arc<Snapshot> {
    let found = LAST.try_with(|last| {
        let mut last = last.try_borrow_mut().ok()?;
        if let Some(copied) = last.as_ref().filter(|copied| Arc::ptr_eq(&copied.from, snapshot)) {
            return Some(Arc::clone(&copied.own));
        }
        let own = Arc::new(Snapshot::clone(snapshot));
        let before = last.replace(Copied { from: Arc::clone(snapshot), own: Arc::clone(&own) });
        if let (Some(before), Ok(runtime)) = (before, Handle::try_current()) {
            // It may be the last of a million entities, for which no check has to wait.
            runtime.spawn_blocking(move || drop(before));
        }
        Some(own)
    });
    found.ok().flatten().unwrap_or_else(|| Arc::clone(snapshot))
}
