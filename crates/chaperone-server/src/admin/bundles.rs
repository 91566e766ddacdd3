//! Uploading and activating bundles.

use std::sync::Arc;

use chaperone_policy::{Bundle, BundleNumber, BundleSource, NAME_BYTES_MAX, Problem};
use chaperone_store::{BundleActivation, BundleInfo, NewActivation, NewBundle, Store, StoredBundle};
use chaperone_trail::Acted;

use super::sessions::check_length;
use super::{AdminError, CATCH_UP};
use crate::clock::Clock;
use crate::replica::{EntityLoadError, Replica, load_entities};
use crate::trail::{TrailWriter, acts};

/// The bundle use cases.
#[derive(Clone, Debug)]
pub struct Bundles {
    replica: Arc<Replica>,
    clock: Clock,
    trail: TrailWriter,
}

impl Bundles {
    /// Over one replica's store. What is done is recorded in `trail`.
    pub fn new(replica: Arc<Replica>, clock: Clock, trail: TrailWriter) -> Self {
        Self { replica, clock, trail }
    }

    fn store(&self) -> &Arc<dyn Store> {
        self.replica.store()
    }

    /// Says what is wrong with a bundle; how many policies it has, when nothing is.
    ///
    /// # Errors
    /// [`AdminError::Problems`] with all of them.
    pub async fn validate(&self, source: BundleSource) -> Result<u32, AdminError> {
        let bundle = compile(source).await?;
        Ok(policy_count(&bundle))
    }

    /// Stores a valid bundle. Says whether it is new.
    ///
    /// # Errors
    /// [`AdminError::Problems`] with all of them, or when the store or the trail fails.
    pub async fn upload(
        &self,
        source: BundleSource,
        message: String,
        by: &str,
    ) -> Result<(BundleInfo, bool), AdminError> {
        check_message(&message)?;
        let bundle = compile(source.clone()).await?;
        let new = NewBundle {
            source,
            policy_count: policy_count(&bundle),
            message,
            uploaded_by: by.to_owned(),
            uploaded_at: self.clock.now(),
        };
        let (info, is_new) = self.store().insert_bundle(&new).await?;
        if is_new {
            let note = note(&info, &info.message);
            let acted = Acted { note: note.into(), ..acts::on_bundle(acts::BUNDLE_UPLOADED, by, info.number) };
            self.trail.act(self.clock.now(), acted).await?;
        }
        Ok((info, is_new))
    }

    /// Makes a bundle the one that decides, on every replica.
    ///
    /// # Errors
    /// When there is no such bundle, another one is active than expected, a stored entity does not fit its schema, or the store or the
    /// trail fails.
    pub async fn activate(
        &self,
        number: BundleNumber,
        expected: Option<BundleNumber>,
        message: String,
        by: &str,
    ) -> Result<BundleInfo, AdminError> {
        check_message(&message)?;
        self.trail.require()?;
        let stored = self.get(Some(number)).await?;
        let bundle = compile(stored.source).await?;
        self.check_entities(bundle).await?;
        let activation = NewActivation { expected, message, ..NewActivation::new(number, by, self.clock.now()) };
        let info = self.store().activate_bundle(&activation).await?;
        let note = note(&info, &activation.message);
        let acted = Acted { note: note.into(), ..acts::on_bundle(acts::BUNDLE_ACTIVATED, by, number) };
        self.trail.act(self.clock.now(), acted).await?;
        self.replica.catch_up(CATCH_UP).await;
        Ok(info)
    }

    async fn check_entities(&self, bundle: Bundle) -> Result<(), AdminError> {
        match load_entities(&**self.store(), &Arc::new(bundle)).await {
            Ok(_) => Ok(()),
            Err(EntityLoadError::Store(error)) => Err(error.into()),
            Err(EntityLoadError::Refused(errors)) => {
                let texts: Vec<_> = errors.iter().take(20).map(ToString::to_string).collect();
                let message =
                    format!("{} stored entities do not fit the bundle's schema: {}", errors.len(), texts.join("; "));
                Err(AdminError::Precondition { code: "entities_do_not_fit", message })
            }
            Err(EntityLoadError::Failed(_)) => Err(AdminError::Problems(vec![crashed()])),
        }
    }

    /// Bundles, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, before: Option<BundleNumber>, limit: u32) -> Result<Vec<BundleInfo>, AdminError> {
        Ok(self.store().bundles(before, limit).await?)
    }

    /// Activations, newest first. `before` is the position of the last of the page before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn history(&self, before: Option<u64>, limit: u32) -> Result<Vec<BundleActivation>, AdminError> {
        Ok(self.store().bundle_activations(before, limit).await?)
    }

    /// A bundle with its files; without a number, the active one.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn get(&self, number: Option<BundleNumber>) -> Result<StoredBundle, AdminError> {
        match number {
            Some(number) => {
                let found = self.store().bundle(number).await?;
                found.ok_or_else(|| AdminError::NotFound(format!("bundle {number}")))
            }
            None => {
                let found = self.store().active_bundle().await?;
                found.ok_or_else(|| AdminError::NotFound("an active bundle".into()))
            }
        }
    }
}

fn check_message(message: &str) -> Result<(), AdminError> {
    check_length("message", message, 0, NAME_BYTES_MAX)
}

/// What the trail keeps beside the number: which files these were, and what was said.
fn note(info: &BundleInfo, message: &str) -> String {
    format!("{} {message}", info.digest).trim_end().to_owned()
}

fn policy_count(bundle: &Bundle) -> u32 {
    u32::try_from(bundle.policy_count()).unwrap_or(u32::MAX)
}

/// Off the async threads: a large bundle takes seconds.
async fn compile(source: BundleSource) -> Result<Bundle, AdminError> {
    let compiled = tokio::task::spawn_blocking(move || {
        source.check_limits()?;
        Bundle::compile(&source)
    });
    compiled.await.unwrap_or_else(|_| Err(vec![crashed()])).map_err(AdminError::Problems)
}

fn crashed() -> Problem {
    Problem::of_file("bundle.toml", "internal", "validating the bundle failed; it was not stored")
}
