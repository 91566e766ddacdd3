//! Trying a bundle beside the active one.

use std::sync::Arc;

use chaperone_policy::{BundleNumber, NAME_BYTES_MAX};
use chaperone_store::{Candidate, CandidateRole, Share, Store};
use chaperone_trail::Acted;

use super::bundles::Bundles;
use super::sessions::check_length;
use super::{AdminError, CATCH_UP};
use crate::clock::Clock;
use crate::replica::Replica;
use crate::shadow::{Shadow, ShadowReport};
use crate::trail::{TrailWriter, acts};

/// The use cases of rollouts.
#[derive(Clone, Debug)]
pub struct Rollouts {
    pub(super) replica: Arc<Replica>,
    pub(super) bundles: Bundles,
    shadow: Shadow,
    pub(super) clock: Clock,
    pub(super) trail: TrailWriter,
}

impl Rollouts {
    /// Over one replica's store, its bundles and its shadow. What is done is recorded in `trail`.
    pub fn new(replica: Arc<Replica>, bundles: Bundles, shadow: Shadow, clock: Clock, trail: TrailWriter) -> Self {
        Self { replica, bundles, shadow, clock, trail }
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        self.replica.store()
    }

    /// Has a bundle decide beside the active one, on every replica.
    ///
    /// # Errors
    /// When there is no such bundle, none or this very one is active, a stored entity does not fit its schema, or the store or the trail
    /// fails.
    pub async fn start_shadow(
        &self,
        number: BundleNumber,
        share: Share,
        message: String,
        by: &str,
    ) -> Result<Candidate, AdminError> {
        check_length("message", &message, 0, NAME_BYTES_MAX)?;
        self.trail.require()?;
        let beside = self.beside(number).await?;
        self.bundles.check_usable(self.bundles.get(Some(number)).await?).await?;
        let candidate = Candidate {
            role: CandidateRole::Shadow,
            number,
            beside,
            share,
            label: None,
            message,
            started_by: by.to_owned(),
            started_at: self.clock.now(),
        };
        self.store().put_candidate(&candidate).await?;
        self.record(acts::SHADOW_STARTED, by, number, &format!("{share} {}", candidate.message)).await?;
        Ok(candidate)
    }

    /// Ends the shadow.
    ///
    /// # Errors
    /// When there is none, or the store or the trail fails.
    pub async fn stop_shadow(&self, message: String, by: &str) -> Result<(), AdminError> {
        self.end(CandidateRole::Shadow, acts::SHADOW_STOPPED, &message, by).await.map(drop)
    }

    /// What the shadow would have decided otherwise, on this replica.
    ///
    /// # Errors
    /// When there is none.
    pub fn shadow(&self) -> Result<ShadowReport, AdminError> {
        self.shadow.report().ok_or_else(|| none(CandidateRole::Shadow))
    }

    /// Ends what is tried. Returns its bundle's number.
    pub(super) async fn end(
        &self,
        role: CandidateRole,
        act: &'static str,
        message: &str,
        by: &str,
    ) -> Result<BundleNumber, AdminError> {
        check_length("message", message, 0, NAME_BYTES_MAX)?;
        let number = self.candidate(role).await?.number;
        if !self.store().remove_candidate(role, self.clock.now()).await? {
            return Err(none(role));
        }
        self.record(act, by, number, message).await?;
        Ok(number)
    }

    pub(super) async fn candidate(&self, role: CandidateRole) -> Result<Candidate, AdminError> {
        let mut candidates = self.store().candidates().await?.into_iter();
        candidates.find(|candidate| candidate.role == role).ok_or_else(|| none(role))
    }

    /// The active bundle, beside which another one can be tried.
    pub(super) async fn beside(&self, number: BundleNumber) -> Result<BundleNumber, AdminError> {
        match self.bundles.active_number().await? {
            None => Err(AdminError::precondition("nothing_active", "no bundle is active: activate this one")),
            Some(active) if active == number => {
                Err(AdminError::precondition("already_active", format!("bundle {number} is active already")))
            }
            Some(active) => Ok(active),
        }
    }

    pub(super) async fn record(
        &self,
        act: &'static str,
        by: &str,
        number: BundleNumber,
        note: &str,
    ) -> Result<(), AdminError> {
        let acted = Acted { note: note.trim().to_owned().into(), ..acts::on_bundle(act, by, number) };
        self.trail.act(self.clock.now(), acted).await?;
        self.replica.catch_up(CATCH_UP).await;
        Ok(())
    }
}

fn none(role: CandidateRole) -> AdminError {
    AdminError::NotFound(format!("a {role}"))
}
