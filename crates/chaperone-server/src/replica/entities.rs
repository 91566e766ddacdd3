//! Stored entities on their way into memory: all of them, or those that changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use chaperone_policy::{Bundle, EntityChanges, EntityError, EntityRef, EntityStore};
use chaperone_store::{Store, StoreError};
use tokio::task::JoinError;

/// How many entities are read at once.
const PAGE: u32 = 1_000;

/// Why entities are not in memory.
#[derive(Debug, thiserror::Error)]
pub enum EntityLoadError {
    /// They could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bundle's schema does not allow these.
    #[error("{}", listed(.0))]
    Refused(Vec<EntityError>),
    /// A bug.
    #[error("compiling entities failed")]
    Failed(#[from] JoinError),
}

fn listed(errors: &[EntityError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A bundle's entities with every stored one before them. Reads a page while the one before it is compiled.
///
/// # Errors
/// See [`EntityLoadError`].
pub async fn load_entities(store: &dyn Store, bundle: &Arc<Bundle>) -> Result<EntityStore, EntityLoadError> {
    let mut changes = bundle.own_entities().change();
    let mut page = store.entities(None, None, PAGE).await?;
    while let Some(last) = page.last().map(|entity| entity.uid.clone()) {
        let is_last = page.len() < PAGE as usize;
        let bundle = Arc::clone(bundle);
        // Off the async threads, and so is what follows: a page takes milliseconds, the end of a million entities seconds.
        let compiling = tokio::task::spawn_blocking(move || {
            changes.put(&bundle, &page);
            changes
        });
        page = if is_last { Vec::new() } else { store.entities(None, Some(&last), PAGE).await? };
        changes = compiling.await?;
    }
    finish(changes).await
}

/// `entities` as they are after these changed, each to what is stored of it now.
///
/// # Errors
/// See [`EntityLoadError`].
pub(super) async fn apply_changed_entities(
    store: &dyn Store,
    bundle: &Arc<Bundle>,
    entities: &EntityStore,
    changed: BTreeSet<EntityRef>,
) -> Result<EntityStore, EntityLoadError> {
    let mut next = entities.change();
    let changed: Vec<EntityRef> = changed.into_iter().collect();
    for uids in changed.chunks(PAGE as usize) {
        let found = store.entities_named(uids).await?;
        let known: BTreeSet<&EntityRef> = found.iter().map(|entity| &entity.uid).collect();
        let gone: Vec<EntityRef> = uids.iter().filter(|uid| !known.contains(uid)).cloned().collect();
        let bundle = Arc::clone(bundle);
        let compiling = tokio::task::spawn_blocking(move || {
            next.put(&bundle, &found);
            next.remove(&bundle, &gone);
            next
        });
        next = compiling.await?;
    }
    finish(next).await
}

async fn finish(changes: EntityChanges) -> Result<EntityStore, EntityLoadError> {
    tokio::task::spawn_blocking(|| changes.finish()).await?.map_err(EntityLoadError::Refused)
}
