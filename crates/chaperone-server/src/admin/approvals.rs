//! Answering what challenges ask for.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{
    Approval, ApprovalError, ApprovalId, ApprovalScope, ApprovalState, COMMENT_BYTES_MAX, Change, Closing, Life,
    MemoryLimits, NAME_BYTES_MAX, Terms, Timestamp, Vote,
};
use chaperone_store::{ApprovalFilter, SavedApproval, Store, StoreError, StoredMemory};
use chaperone_trail::Acted;

use super::sessions::check_length;
use super::{AdminError, CATCH_UP, CONFLICT_RETRIES};
use crate::clock::Clock;
use crate::replica::Replica;
use crate::trail::{TrailWriter, acts};

/// The approval use cases.
#[derive(Clone, Debug)]
pub struct Approvals {
    replica: Arc<Replica>,
    clock: Clock,
    trail: TrailWriter,
    limits: MemoryLimits,
}

/// Who answers, and what they note.
#[derive(Clone, Debug)]
pub struct Answerer {
    /// A person's name.
    pub by: String,
    /// How the caller was known.
    pub via: String,
    /// A note; may be empty.
    pub comment: String,
}

/// What an approver says yes to.
#[derive(Clone, Copy, Debug)]
pub struct Yes {
    /// How long it counts; as long as it may when nothing is said.
    pub duration: Option<Duration>,
    /// How many actions it lets pass.
    pub uses: NonZeroU32,
    /// For whom it counts.
    pub scope: ApprovalScope,
}

impl Approvals {
    /// Over one replica's store. What is done is recorded in `trail`. At most `limits.grants` approvals count in one session or tree at
    /// once.
    pub fn new(replica: Arc<Replica>, clock: Clock, trail: TrailWriter, limits: MemoryLimits) -> Self {
        Self { replica, clock, trail, limits }
    }

    fn store(&self) -> &Arc<dyn Store> {
        self.replica.store()
    }

    /// The time that states are told for.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// One approval.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn get(&self, id: ApprovalId) -> Result<Approval, AdminError> {
        self.store().approval(id).await?.ok_or_else(|| AdminError::NotFound(format!("approval `{id}`")))
    }

    /// Approvals, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        &self,
        filter: &ApprovalFilter,
        before: Option<ApprovalId>,
        limit: u32,
    ) -> Result<Vec<Approval>, AdminError> {
        Ok(self.store().approvals(filter, before, limit).await?)
    }

    /// Takes a yes. With the last that is needed, the grant is stored in one transaction with the approval: both or neither.
    ///
    /// Whose yes is already among those of an approved one is told so again, and nothing is changed.
    ///
    /// # Errors
    /// When it does not wait any more, its session has ended, this person may not approve it, or the store or the trail fails.
    pub async fn approve(&self, id: ApprovalId, answerer: &Answerer, yes: Yes) -> Result<Approval, AdminError> {
        self.trail.require()?;
        check_answerer(answerer)?;
        for _ in 0..CONFLICT_RETRIES {
            let approval = self.get(id).await?;
            let now = self.clock.now();
            if approval.state(now) == ApprovalState::Approved && approval.has_vote_of(&answerer.by) {
                return Ok(approval);
            }
            self.require_live(&approval, now).await?;
            let duration = yes.duration.unwrap_or(approval.max_duration());
            let approved = approval.approve(vote(answerer, now), Terms::new(yes.scope, yes.uses, duration))?;
            let granted = self.granted(&approved, now).await?;
            match self.store().save_approval(&approved, granted.as_ref(), now).await {
                Ok(SavedApproval::Done(saved)) => return self.told(*saved, acts::APPROVAL_APPROVED, answerer).await,
                Ok(SavedApproval::MemoryConflict(_)) | Err(StoreError::ApprovalConflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AdminError::Store(StoreError::ApprovalConflict { id }))
    }

    /// Takes a no, or withdraws it.
    ///
    /// # Errors
    /// When it does not wait any more, or the store or the trail fails.
    pub async fn close(&self, id: ApprovalId, closing: Closing, answerer: &Answerer) -> Result<Approval, AdminError> {
        check_answerer(answerer)?;
        let act = match closing {
            Closing::Deny => acts::APPROVAL_DENIED,
            Closing::Cancel => acts::APPROVAL_CANCELLED,
        };
        for _ in 0..CONFLICT_RETRIES {
            let now = self.clock.now();
            let closed = self.get(id).await?.close(closing, vote(answerer, now))?;
            match self.store().save_approval(&closed, None, now).await {
                Ok(SavedApproval::Done(saved)) => return self.told(*saved, act, answerer).await,
                Ok(SavedApproval::MemoryConflict(_)) | Err(StoreError::ApprovalConflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AdminError::Store(StoreError::ApprovalConflict { id }))
    }

    /// Logs and records an answer, and waits until this replica has applied it.
    async fn told(&self, saved: Approval, act: &'static str, answerer: &Answerer) -> Result<Approval, AdminError> {
        let Answerer { by, via, comment } = answerer;
        let now = self.clock.now();
        let state = saved.state(now).as_str();
        tracing::info!(approval.id = %saved.id, approval.state = state, approval.by = by, "an approval was answered");
        let note =
            if comment.is_empty() { format!("{state}; via {via}") } else { format!("{state}; via {via}: {comment}") };
        let acted = Acted { note: note.into(), ..acts::on_approval(act, by, &saved) };
        let (recorded, ()) = tokio::join!(self.trail.act(now, acted), self.replica.catch_up(CATCH_UP));
        recorded?;
        Ok(saved)
    }

    async fn require_live(&self, approval: &Approval, now: Timestamp) -> Result<(), AdminError> {
        let id = approval.session;
        match self.store().session(id).await?.map(|session| session.life(now)) {
            Some(Life::Active) => Ok(()),
            Some(_) => {
                Err(AdminError::Precondition { code: "session_ended", message: format!("session `{id}` has ended") })
            }
            None => Err(AdminError::no_session(id)),
        }
    }

    /// The memory with what an approval grants in it; `None` when it grants nothing yet.
    async fn granted(&self, approval: &Approval, now: Timestamp) -> Result<Option<StoredMemory>, AdminError> {
        let Some((key, grant)) = approval.grant() else { return Ok(None) };
        let stored = self.store().memories(std::slice::from_ref(&key)).await?.pop();
        let mut stored = stored.ok_or_else(|| AdminError::NotFound(format!("memory `{key}`")))?;
        let change = Change::Grant(approval.id, Box::new(grant));
        stored
            .memory
            .apply(&change, now, &self.limits, 0)
            .map_err(|error| AdminError::Precondition { code: "memory_full", message: error.to_string() })?;
        Ok(Some(stored))
    }
}

fn vote(answerer: &Answerer, at: Timestamp) -> Vote {
    let Answerer { by, via, comment } = answerer.clone();
    Vote { by, via, at, comment }
}

fn check_answerer(answerer: &Answerer) -> Result<(), AdminError> {
    check_length("by", answerer.by.trim(), 1, NAME_BYTES_MAX)?;
    check_length("comment", &answerer.comment, 0, COMMENT_BYTES_MAX)
}

impl From<ApprovalError> for AdminError {
    fn from(error: ApprovalError) -> Self {
        let message = error.to_string();
        match error {
            ApprovalError::Over { .. } => Self::Precondition { code: "approval_over", message },
            ApprovalError::OwnRequest { .. } => Self::Precondition { code: "approver_is_requester", message },
            ApprovalError::SamePerson { .. } => Self::Precondition { code: "approver_is_the_same", message },
            ApprovalError::TooLong { .. } => Self::invalid("duration", message),
            ApprovalError::TooOften => Self::invalid("uses", message),
        }
    }
}
