//! A bundle to decide again with.

use std::sync::Arc;

use chaperone_policy::recorded::EntityState;
use chaperone_policy::{Bundle, BundleNumber};

use super::obstacle::Obstacle;
use crate::replica::Snapshot;

/// A bundle to decide again with, and its own entities.
#[derive(Clone, Debug)]
pub struct Rules(Arc<Snapshot>);

impl Rules {
    /// Of a bundle. `digest` is SHA-256 of its files, in hexadecimal.
    pub fn new(number: BundleNumber, digest: &str, bundle: impl Into<Arc<Bundle>>) -> Self {
        let bundle = bundle.into();
        let (entities, mark) = (bundle.own_entities().clone(), Arc::default());
        Self(Arc::new(Snapshot { number, digest: digest.into(), bundle, entities, mark }))
    }

    /// The bundle.
    pub fn bundle(&self) -> &Arc<Bundle> {
        &self.0.bundle
    }

    /// SHA-256 of its files, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// With these entities before its own.
    ///
    /// # Errors
    /// When its schema does not allow one of them.
    pub(super) fn with_entities(&self, states: &[Arc<EntityState>]) -> Result<Arc<Snapshot>, Obstacle> {
        if states.is_empty() {
            return Ok(Arc::clone(&self.0));
        }
        let Snapshot { number, digest, bundle, .. } = &*self.0;
        let entities = bundle.entities_as_read(states.iter().map(Arc::as_ref));
        let entities = entities.map_err(|error| Obstacle::Unfit(error.to_string()))?;
        let (digest, bundle, mark) = (Arc::clone(digest), Arc::clone(bundle), Arc::default());
        Ok(Arc::new(Snapshot { number: *number, digest, bundle, entities, mark }))
    }
}
