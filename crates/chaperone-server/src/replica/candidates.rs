//! Candidates as this replica has them: bundles beside the active one, with the stored entities before their own.

use std::collections::BTreeSet;
use std::sync::Arc;

use chaperone_policy::{BundleNumber, EntityRef, EntityStore, SessionChain, SessionId};
use chaperone_store::{Candidate, CandidateRole, Store, StoreError};

use super::entities::{EntityLoadError, apply_changed_entities, load_entities};
use super::{CompiledBundles, Snapshot};

/// The candidates of one moment.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// The one that decides beside the active bundle, and answers nobody.
    pub shadow: Option<Arc<Trial>>,
    /// The one that decides for a part of the sessions.
    pub canary: Option<Arc<Trial>>,
}

/// A candidate, and what it decides with here.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What is stored of it.
    pub candidate: Candidate,
    /// Its policies and entities, or why this replica cannot use them.
    pub policies: Result<Arc<Snapshot>, String>,
}

impl Candidates {
    /// The canary, where this is the bundle that it decides beside.
    pub fn canary_beside(&self, active: BundleNumber) -> Option<Arc<Trial>> {
        self.canary.as_ref().filter(|trial| trial.candidate.beside == active).map(Arc::clone)
    }

    /// Whether there is none.
    pub(super) const fn is_none(&self) -> bool {
        self.shadow.is_none() && self.canary.is_none()
    }

    /// What is stored now. A bundle that is here already is not compiled again; these entities of it are as they are stored now.
    pub(super) async fn load(
        store: &dyn Store,
        bundles: &CompiledBundles,
        known: &Self,
        changed: &BTreeSet<EntityRef>,
    ) -> Result<Self, StoreError> {
        let (known, mut candidates) = (known.with_changed(store, changed).await?, Self::default());
        for candidate in store.candidates().await? {
            match candidate.role {
                CandidateRole::Shadow => {
                    let trial = Trial::load(store, bundles, candidate, known.shadow.as_deref()).await?;
                    candidates.shadow = Some(Arc::new(trial));
                }
                CandidateRole::Canary => {
                    let trial = Trial::load(store, bundles, candidate, known.canary.as_deref()).await?;
                    candidates.canary = Some(Arc::new(trial));
                }
            }
        }
        Ok(candidates)
    }

    /// The same with these entities as they are stored now.
    pub(super) async fn with_changed(
        &self,
        store: &dyn Store,
        changed: &BTreeSet<EntityRef>,
    ) -> Result<Self, StoreError> {
        let change = async |trial: &Option<Arc<Trial>>| match trial {
            Some(trial) if !changed.is_empty() => Ok(Some(Arc::new(trial.with_changed(store, changed).await?))),
            unchanged => Ok::<_, StoreError>(unchanged.clone()),
        };
        Ok(Self { shadow: change(&self.shadow).await?, canary: change(&self.canary).await? })
    }
}

impl Trial {
    /// Whether a canary decides for this session: by the root of its tree, so that all of a tree is decided by one bundle.
    pub fn takes(&self, chain: &SessionChain) -> bool {
        match &self.candidate.label {
            Some(label) => chain.root().labels.contains(label),
            None => self.takes_tree(chain.root().id),
        }
    }

    /// Whether its share takes this tree: by the last bytes of the root's id, a UUIDv7, which are random and on every replica the same.
    pub fn takes_tree(&self, root: SessionId) -> bool {
        self.takes_id(root.as_uuid().as_bytes())
    }

    /// As [`Trial::takes_tree`], of another UUIDv7.
    pub fn takes_id(&self, id: &[u8; 16]) -> bool {
        let [.., a, b, c, d] = *id;
        self.candidate.share.takes(u32::from_be_bytes([a, b, c, d]))
    }

    async fn load(
        store: &dyn Store,
        bundles: &CompiledBundles,
        candidate: Candidate,
        known: Option<&Self>,
    ) -> Result<Self, StoreError> {
        if let Some(known) = known
            && known.candidate.number == candidate.number
            && known.policies.is_ok()
        {
            return Ok(Self { candidate, policies: known.policies.clone() });
        }
        let policies = Self::compile(store, bundles, &candidate).await?;
        Ok(Self::told(candidate, policies))
    }

    async fn compile(
        store: &dyn Store,
        bundles: &CompiledBundles,
        candidate: &Candidate,
    ) -> Result<Result<Arc<Snapshot>, String>, StoreError> {
        let Some(stored) = store.bundle(candidate.number).await? else {
            return Ok(Err("it is not stored".to_owned()));
        };
        let (source, digest) = (stored.source, stored.info.digest);
        let bundle = match bundles.compile(source).await {
            Ok(bundle) => bundle,
            Err(problems) => {
                let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                return Ok(Err(problems.join("; ")));
            }
        };
        usable(load_entities(store, &bundle).await, |entities| Snapshot {
            number: candidate.number,
            digest: digest.into(),
            bundle,
            entities,
            mark: Arc::default(),
        })
    }

    async fn with_changed(&self, store: &dyn Store, changed: &BTreeSet<EntityRef>) -> Result<Self, StoreError> {
        // What does not fit is not tried again at every change: that would take long, and the state of checks waits for it.
        let Ok(snapshot) = &self.policies else { return Ok(self.clone()) };
        let Snapshot { number, digest, bundle, entities, .. } = &**snapshot;
        let entities = match apply_changed_entities(store, bundle, entities, changed.clone()).await {
            // Only together they may not fit: what is stored now says so.
            Err(EntityLoadError::Refused(_)) => load_entities(store, bundle).await,
            other => other,
        };
        let policies = usable(entities, |entities| Snapshot {
            number: *number,
            digest: Arc::clone(digest),
            bundle: Arc::clone(bundle),
            entities,
            mark: Arc::default(),
        })?;
        if policies.is_err() {
            return Ok(Self::told(self.candidate.clone(), policies));
        }
        Ok(Self { candidate: self.candidate.clone(), policies })
    }

    fn told(candidate: Candidate, policies: Result<Arc<Snapshot>, String>) -> Self {
        let (number, role) = (candidate.number.get(), candidate.role.as_str());
        match &policies {
            Ok(_) => tracing::info!(bundle.number = number, candidate.role = role, "candidate is loaded"),
            Err(problems) => {
                tracing::warn!(
                    bundle.number = number,
                    candidate.role = role,
                    problems,
                    "candidate cannot be used here"
                );
            }
        }
        Self { candidate, policies }
    }
}

/// A snapshot of these entities, where the candidate's schema allows them. That the store does not answer is not the candidate's fault.
fn usable(
    entities: Result<EntityStore, EntityLoadError>,
    snapshot: impl FnOnce(EntityStore) -> Snapshot,
) -> Result<Result<Arc<Snapshot>, String>, StoreError> {
    match entities {
        Ok(entities) => Ok(Ok(Arc::new(snapshot(entities)))),
        Err(EntityLoadError::Store(error)) => Err(error),
        Err(error @ (EntityLoadError::Refused(_) | EntityLoadError::Failed(_))) => Ok(Err(error.to_string())),
    }
}
