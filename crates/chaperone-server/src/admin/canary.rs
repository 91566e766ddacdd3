//! A bundle that decides for a part of the sessions.

use chaperone_policy::{BundleNumber, NAME_BYTES_MAX};
use chaperone_store::{Candidate, CandidateRole, Share};

use super::AdminError;
use super::bundles::Consent;
use super::rollouts::Rollouts;
use super::sessions::check_length;
use crate::admin_auth::Caller;
use crate::trail::acts;

/// For whom a canary decides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CanaryScope {
    /// For a part of the session trees.
    Share(Share),
    /// For those whose root was opened with this label.
    Label(String),
}

/// A canary, as one replica sees it.
#[derive(Clone, Debug)]
pub struct CanaryStatus {
    /// What is stored of it.
    pub candidate: Candidate,
    /// Whether it decides: false once another bundle became active.
    pub is_deciding: bool,
    /// Why this replica cannot use it.
    pub problem: Option<String>,
}

impl Rollouts {
    /// Has a bundle decide for a part of the session trees, on every replica.
    ///
    /// # Errors
    /// As [`start_shadow`](Self::start_shadow); also where the rules ask for somebody else, as an activation does.
    pub async fn start_canary(
        &self,
        number: BundleNumber,
        scope: CanaryScope,
        message: String,
        allow_expansion: bool,
        by: &Caller,
    ) -> Result<CanaryStatus, AdminError> {
        check_length("message", &message, 0, NAME_BYTES_MAX)?;
        self.trail.require()?;
        let consent = self.bundles.check_rules(number, allow_expansion, by).await?;
        let beside = self.beside(number).await?;
        let stored = self.bundles.get(Some(number)).await?;
        let info = stored.info.clone();
        let bundle = self.bundles.check_usable(stored).await?;
        // What it newly keeps counts for its sessions from the beginning, as for all from its promotion on.
        self.bundles.fill_in(&info, &bundle, Some(beside)).await?;
        let (share, label) = match scope {
            CanaryScope::Share(share) => (share, None),
            CanaryScope::Label(label) => (Share::NONE, Some(label)),
        };
        let (started_by, started_at) = (by.name.to_string(), self.clock.now());
        let role = CandidateRole::Canary;
        self.set(
            Candidate { role, number, beside, share, label, message, started_by, started_at },
            acts::CANARY_STARTED,
            consent,
        )
        .await
    }

    /// Has the canary decide for more session trees: for all that it decides for, and others.
    ///
    /// # Errors
    /// When there is none, it is over, or that would not be more; where the rules ask for somebody else; when the store or the trail fails.
    pub async fn widen_canary(
        &self,
        share: Share,
        message: String,
        allow_expansion: bool,
        by: &Caller,
    ) -> Result<CanaryStatus, AdminError> {
        check_length("message", &message, 0, NAME_BYTES_MAX)?;
        self.trail.require()?;
        let candidate = self.deciding_canary().await?;
        let consent = self.bundles.check_rules(candidate.number, allow_expansion, by).await?;
        if candidate.label.is_some() || share <= candidate.share {
            let now = candidate.label.map_or_else(|| candidate.share.to_string(), |label| format!("the label {label}"));
            let message = format!("{share} does not hold all that the canary decides for now, which is {now}");
            return Err(AdminError::precondition("not_wider", message));
        }
        let (started_by, started_at) = (by.name.to_string(), self.clock.now());
        self.set(Candidate { share, message, started_by, started_at, ..candidate }, acts::CANARY_WIDENED, consent).await
    }

    /// Makes the canary's bundle the active one. Returns its number.
    ///
    /// # Errors
    /// When there is none or it is over; as an activation fails.
    pub async fn promote_canary(
        &self,
        message: String,
        allow_expansion: bool,
        by: &Caller,
    ) -> Result<BundleNumber, AdminError> {
        let candidate = self.deciding_canary().await?;
        let consent = Consent { allow_expansion, ..Consent::default() };
        self.bundles.activate(candidate.number, Some(candidate.beside), message, consent, by).await?;
        // It is over with that; what is left is to forget it, which nobody needs to know of.
        self.store().remove_candidate(CandidateRole::Canary, self.clock.now()).await?;
        Ok(candidate.number)
    }

    /// Ends the canary. Returns its bundle's number.
    ///
    /// # Errors
    /// When there is none, or the store or the trail fails.
    pub async fn abort_canary(&self, message: &str, by: &str) -> Result<BundleNumber, AdminError> {
        self.end(CandidateRole::Canary, acts::CANARY_ABORTED, message, by).await
    }

    /// The canary.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn canary(&self) -> Result<CanaryStatus, AdminError> {
        let candidate = self.candidate(CandidateRole::Canary).await?;
        let active = self.bundles.active_number().await?;
        let known = self.replica.candidates().canary.clone().filter(|trial| trial.candidate.number == candidate.number);
        let problem = known.and_then(|trial| trial.policies.as_ref().err().cloned());
        Ok(CanaryStatus { is_deciding: active == Some(candidate.beside), candidate, problem })
    }

    async fn deciding_canary(&self) -> Result<Candidate, AdminError> {
        let CanaryStatus { candidate, is_deciding, .. } = self.canary().await?;
        if is_deciding {
            return Ok(candidate);
        }
        let message = format!("the canary {} is over: another bundle became active", candidate.number);
        Err(AdminError::precondition("canary_over", message))
    }

    async fn set(&self, candidate: Candidate, act: &'static str, consent: &str) -> Result<CanaryStatus, AdminError> {
        self.store().put_candidate(&candidate).await?;
        let scope =
            candidate.label.as_ref().map_or_else(|| candidate.share.to_string(), |label| format!("label {label}"));
        let note = format!("{scope} {}", format!("{consent} {}", candidate.message).trim());
        self.record(act, &candidate.started_by, candidate.number, &note).await?;
        self.canary().await
    }
}
