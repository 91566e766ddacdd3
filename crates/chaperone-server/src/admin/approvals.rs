//! Answering what challenges ask for.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{
    Approval, ApprovalError, ApprovalId, ApprovalScope, ApprovalState, COMMENT_BYTES_MAX, Change, Closing, Life,
    MemoryKey, MemoryLimits, NAME_BYTES_MAX, Requester, Terms, Timestamp, Vote,
};
use chaperone_store::{ApprovalFilter, SavedApproval, Store, StoreError, StoredMemory};
use chaperone_trail::Acted;

use super::sessions::{ancestors, check_length};
use super::{AdminError, CATCH_UP, CONFLICT_RETRIES};
use crate::clock::Clock;
use crate::replica::Replica;
use crate::telemetry::{ApprovalEvent, Metrics};
use crate::trail::{TrailWriter, acts};

/// How often a withdrawal is tried again because decisions changed the same memory: it must get through.
const WITHDRAW_ATTEMPTS_MAX: usize = 32;

/// The approval use cases.
#[derive(Clone, Debug)]
pub struct Approvals {
    replica: Arc<Replica>,
    clock: Clock,
    trail: TrailWriter,
    limits: MemoryLimits,
    metrics: Arc<Metrics>,
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
    pub fn new(
        replica: Arc<Replica>,
        clock: Clock,
        trail: TrailWriter,
        limits: MemoryLimits,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { replica, clock, trail, limits, metrics }
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
    /// When it does not wait any more, its session or an ancestor has ended, this person may not approve it, or the store or the trail
    /// fails.
    pub async fn approve(&self, id: ApprovalId, answerer: &Answerer, yes: Yes) -> Result<Approval, AdminError> {
        self.trail.require()?;
        check_answerer(answerer)?;
        for _ in 0..CONFLICT_RETRIES {
            let approval = self.get(id).await?;
            let now = self.clock.now();
            if approval.state(now) == ApprovalState::Approved && approval.has_vote_of(&answerer.by) {
                return Ok(approval);
            }
            let ancestors = self.live_ancestors(&approval, now).await?;
            let duration = yes.duration.unwrap_or(approval.max_duration());
            let terms = Terms::new(yes.scope, yes.uses, duration);
            let approved = approval.approve(vote(answerer, now), terms, &ancestors)?;
            let granted = self.granted(&approved, now).await?;
            match self.store().save_approval(&approved, granted.as_ref(), now).await {
                Ok(SavedApproval::Done(saved)) => {
                    if saved.decided.is_some() {
                        self.metrics.approvals().became(ApprovalEvent::Approved);
                    }
                    return self.told(*saved, acts::APPROVAL_APPROVED, answerer).await;
                }
                Ok(SavedApproval::MemoryConflict(_)) | Err(StoreError::ApprovalConflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AdminError::Store(StoreError::ApprovalConflict { id }))
    }

    /// Takes a no, or withdraws it. What an approved one has granted is taken out of the memory in one transaction with that: the next
    /// check is challenged again. One that is cancelled already stays as it is.
    ///
    /// # Errors
    /// When it does not wait any more, and nothing of what it granted is left; or the store or the trail fails.
    pub async fn close(&self, id: ApprovalId, closing: Closing, answerer: &Answerer) -> Result<Approval, AdminError> {
        check_answerer(answerer)?;
        for _ in 0..WITHDRAW_ATTEMPTS_MAX {
            let now = self.clock.now();
            let approval = self.get(id).await?;
            let vote = vote(answerer, now);
            let (closed, memory, event, act) = match (closing, approval.state(now)) {
                (Closing::Cancel, ApprovalState::Cancelled) => return Ok(approval),
                (Closing::Cancel, ApprovalState::Approved) => {
                    let (withdrawn, memory) = self.withdrawn(&approval, vote).await?;
                    (withdrawn, Some(memory), ApprovalEvent::Withdrawn, acts::APPROVAL_WITHDRAWN)
                }
                (Closing::Cancel, _) => {
                    (approval.close(closing, vote)?, None, ApprovalEvent::Cancelled, acts::APPROVAL_CANCELLED)
                }
                (Closing::Deny, _) => {
                    (approval.close(closing, vote)?, None, ApprovalEvent::Denied, acts::APPROVAL_DENIED)
                }
            };
            match self.store().save_approval(&closed, memory.as_ref(), now).await {
                Ok(SavedApproval::Done(saved)) => {
                    self.metrics.approvals().became(event);
                    return self.told(*saved, act, answerer).await;
                }
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

    /// Who is above the session that asked. All of them must be live, and so must it.
    async fn live_ancestors(&self, approval: &Approval, now: Timestamp) -> Result<Vec<Requester>, AdminError> {
        let id = approval.session;
        let session = self.store().session(id).await?.ok_or_else(|| AdminError::no_session(id))?;
        if session.life(now) != Life::Active {
            let message = format!("session `{id}` has ended");
            return Err(AdminError::Precondition { code: "session_ended", message });
        }
        let ancestors = ancestors(&**self.store(), &session).await?;
        if let Some(ended) = ancestors.iter().find(|ancestor| ancestor.life(now) != Life::Active) {
            let message = format!("session `{}` has ended, and session `{id}` with it", ended.id);
            return Err(AdminError::Precondition { code: "ancestor_ended", message });
        }
        Ok(ancestors.iter().map(Requester::from).collect())
    }

    /// An approved approval that is withdrawn, and the memory without what it granted.
    async fn withdrawn(&self, approval: &Approval, vote: Vote) -> Result<(Approval, StoredMemory), AdminError> {
        let (key, _) = approval.grant().ok_or(ApprovalError::Spent { id: approval.id })?;
        let mut stored = self.memory(key).await?;
        let withdrawn = approval.withdraw(vote, &mut stored.memory)?;
        Ok((withdrawn, stored))
    }

    async fn memory(&self, key: MemoryKey) -> Result<StoredMemory, AdminError> {
        let stored = self.store().memories(std::slice::from_ref(&key)).await?.pop();
        stored.ok_or_else(|| AdminError::NotFound(format!("memory `{key}`")))
    }

    /// The memory with what an approval grants in it; `None` when it grants nothing yet.
    async fn granted(&self, approval: &Approval, now: Timestamp) -> Result<Option<StoredMemory>, AdminError> {
        let Some((key, grant)) = approval.grant() else { return Ok(None) };
        let mut stored = self.memory(key).await?;
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
            ApprovalError::Over { .. } | ApprovalError::Spent { .. } => {
                Self::Precondition { code: "approval_over", message }
            }
            ApprovalError::OwnRequest { .. } => Self::Precondition { code: "approver_is_requester", message },
            ApprovalError::SamePerson { .. } => Self::Precondition { code: "approver_is_the_same", message },
            ApprovalError::TooLong { .. } => Self::invalid("duration", message),
            ApprovalError::TooOften => Self::invalid("uses", message),
        }
    }
}
