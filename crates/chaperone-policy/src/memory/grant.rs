//! A person's yes, as it stands in a memory until it is used up or over.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::Memory;
use super::change::ChangeError;
use super::limits::{CLOCK_SKEW_MAX, MemoryLimits};
use crate::ids::ApprovalId;
use crate::step_up::AttributesDigest;
use crate::timestamp::Timestamp;
use crate::value::EntityRef;

/// What a person approved: one step-up, for one action on one resource with these attributes, for so long and so often.
///
/// It lifts nothing else. Whose memory it stands in says for whom: a session, or every session of a tree.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalGrant {
    /// The step-up's name, as `@stepup` has it.
    pub step_up: SmolStr,
    /// The action.
    pub action: EntityRef,
    /// What it acts on.
    pub resource: EntityRef,
    /// Of the request's attributes.
    pub digest: AttributesDigest,
    /// When it is over.
    pub until: Timestamp,
    /// How many actions it may still let pass. With the last of them it is removed.
    pub uses: NonZeroU32,
}

impl ApprovalGrant {
    /// Whether it is over at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until <= now
    }
}

impl Memory {
    /// What people approved and was not used up, by the ids of the approvals; some of it may be over.
    pub fn grants(&self) -> impl Iterator<Item = (ApprovalId, &ApprovalGrant)> {
        self.grants.iter().map(|(approval, grant)| (*approval, grant))
    }

    /// The same, with what people approved as another one has it.
    #[must_use]
    pub fn with_grants_of(&self, other: &Self) -> Self {
        Self { grants: other.grants.clone(), ..self.clone() }
    }

    /// Notes what a person approved. What stands already under this id stays as it is: one approval grants once.
    pub(super) fn grant(
        &mut self,
        approval: ApprovalId,
        grant: &ApprovalGrant,
        now: Timestamp,
        limits: &MemoryLimits,
    ) -> Result<(), ChangeError> {
        if self.grants.contains_key(&approval) {
            return Ok(());
        }
        // For as long as the clock of any replica may find it good, it stays.
        self.grants.retain(|_, grant| !grant.is_over(now.minus(CLOCK_SKEW_MAX)));
        if self.grants.len() >= limits.grants {
            return Err(ChangeError::Full { what: "approval", name: grant.step_up.clone(), limit: limits.grants });
        }
        self.grants.insert(approval, grant.clone());
        Ok(())
    }

    /// Takes back what a person approved. Says how many uses it had left; `None` when it is not there, over, or used up.
    pub fn withdraw(&mut self, approval: ApprovalId, now: Timestamp) -> Option<NonZeroU32> {
        self.grants.remove(&approval).filter(|grant| !grant.is_over(now)).map(|grant| grant.uses)
    }

    /// Takes one use of what a person approved.
    pub(super) fn use_grant(&mut self, approval: ApprovalId, now: Timestamp) -> Result<(), ChangeError> {
        let Some(grant) = self.grants.get_mut(&approval).filter(|grant| !grant.is_over(now)) else {
            return Err(ChangeError::GrantSpent { approval });
        };
        match NonZeroU32::new(grant.uses.get() - 1) {
            Some(left) => grant.uses = left,
            None => {
                self.grants.remove(&approval);
            }
        }
        Ok(())
    }
}
