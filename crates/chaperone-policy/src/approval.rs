//! Approvals: what a challenge asks a person for, and what becomes of it.
//!
//! Plain data and pure transitions; who stores it, and how two answers at once are told apart, is the store's matter.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::ids::{ApprovalId, BundleNumber, DecisionId, SessionId};
use crate::memory::{ApprovalGrant, Memory, MemoryKey};
use crate::session::{Session, Task};
use crate::step_up::{AttributesDigest, StepUp, StepUpSettings};
use crate::timestamp::Timestamp;
use crate::value::{Attributes, EntityRef};

/// How many actions one approval may let pass.
pub const USES_MAX: u32 = 1_000;
/// How long a comment may be, in bytes.
pub const COMMENT_BYTES_MAX: usize = 1_024;

/// What a challenge asks a person for, and what became of it.
///
/// As JSON it is stored. A field that is unknown is an error: it is a newer program's, and must not be lost.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Its name.
    pub id: ApprovalId,
    /// The session that asked.
    pub session: SessionId,
    /// Its tree.
    pub tree: SessionId,
    /// Who acts.
    pub principal: EntityRef,
    /// The person or team that answers for the session.
    pub owner: String,
    /// What the session is for.
    pub task: Task,
    /// The step-up's name.
    pub step_up: SmolStr,
    /// The action.
    pub action: EntityRef,
    /// What it acts on.
    pub resource: EntityRef,
    /// What the policies see of the request, as the approver is to see it.
    pub attributes: Attributes,
    /// Of the attributes: it is approved for these and no others.
    pub digest: AttributesDigest,
    /// What the policies that ask say, a line each.
    pub reason: String,
    /// The policies that ask.
    pub policies: Vec<SmolStr>,
    /// Their bundle.
    pub bundle: BundleNumber,
    /// The decision that asked first.
    pub decision: DecisionId,
    /// How many people must say yes.
    pub approvers: u32,
    /// Whether an owner may be one of them: the session's, or an ancestor's.
    pub owner_may_approve: bool,
    /// How long it may count, in microseconds.
    pub max_duration_us: u64,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When it stops waiting for answers.
    pub expires_at: Timestamp,
    /// Who said yes so far.
    pub votes: Vec<Vote>,
    /// What they said yes to: the narrowest of each. `None` before the first.
    pub terms: Option<Terms>,
    /// Who ended the wait, and how.
    pub decided: Option<Decided>,
    /// Grows by one with every change.
    pub version: u64,
}

/// A person's answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// Who.
    pub by: String,
    /// How the caller was known: `token`, `local`, or the name in its certificate.
    pub via: String,
    /// When.
    pub at: Timestamp,
    /// A note; may be empty.
    pub comment: String,
}

/// For how long, how often and for whom an approval counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// For whom.
    pub scope: ApprovalScope,
    /// How many actions it lets pass.
    pub uses: NonZeroU32,
    /// How long it counts from when it is approved, in microseconds.
    duration_us: u64,
}

/// For whom an approval counts. The narrowest first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalScope {
    /// The session that asked.
    Session,
    /// Every session of its tree.
    Tree,
}

/// How the wait for answers ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// How.
    pub verdict: Verdict,
    /// The last answer.
    pub vote: Vote,
    /// Until when what was approved counts.
    pub granted_until: Option<Timestamp>,
    /// How many uses were taken back, where it was withdrawn after it had been approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<NonZeroU32>,
}

/// On whose behalf something is asked: who acts in a session, and who answers for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Requester {
    /// Who acts.
    pub principal: EntityRef,
    /// Who answers for that.
    pub owner: String,
}

impl From<&Session> for Requester {
    fn from(session: &Session) -> Self {
        Self { principal: session.principal.clone(), owner: session.owner.clone() }
    }
}

/// What an answer says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Yes.
    Approved,
    /// No.
    Denied,
    /// It was withdrawn.
    Cancelled,
}

/// Where an approval is in its life.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ApprovalState {
    /// It waits for answers.
    Pending,
    /// Enough people said yes.
    Approved,
    /// A person said no.
    Denied,
    /// It was withdrawn.
    Cancelled,
    /// Nobody answered in time.
    Expired,
}

impl ApprovalState {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

/// Why an answer is not taken. Nothing is changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ApprovalError {
    /// It does not wait for answers any more.
    #[error("approval `{id}` is {} already", .state.as_str())]
    Over {
        /// The approval.
        id: ApprovalId,
        /// Where it is.
        state: ApprovalState,
    },
    /// Nobody approves what they ask for themselves.
    #[error("`{by}` is {role}, who may not approve this")]
    OwnRequest {
        /// Who tried.
        by: String,
        /// The session's principal or its owner, or an ancestor's.
        role: &'static str,
    },
    /// What it granted is used up or over, so that there is nothing to withdraw.
    #[error("what approval `{id}` granted is used up or over; nothing is left to withdraw")]
    Spent {
        /// The approval.
        id: ApprovalId,
    },
    /// Several people must say yes, not one several times.
    #[error("`{by}` has approved this already; another person must")]
    SamePerson {
        /// Who tried.
        by: String,
    },
    /// Longer than the step-up allows.
    #[error("it may count for at most {} s", .max.as_secs())]
    TooLong {
        /// How long it may be.
        max: Duration,
    },
    /// More often than an approval may.
    #[error("it may let at most {USES_MAX} actions pass")]
    TooOften,
}

impl Terms {
    /// From what an approver says.
    pub fn new(scope: ApprovalScope, uses: NonZeroU32, duration: Duration) -> Self {
        Self { scope, uses, duration_us: micros(duration) }
    }

    /// The narrowest of each.
    fn narrowed(self, other: Self) -> Self {
        Self {
            scope: self.scope.min(other.scope),
            uses: self.uses.min(other.uses),
            duration_us: self.duration_us.min(other.duration_us),
        }
    }
}

/// Where a challenge comes from.
#[derive(Clone, Copy, Debug)]
pub struct AskedBy<'a> {
    /// The session.
    pub session: &'a Session,
    /// The decision.
    pub decision: DecisionId,
    /// The bundle that made it.
    pub bundle: BundleNumber,
    /// When.
    pub at: Timestamp,
}

impl Approval {
    /// What a challenge asks for.
    pub fn asked(id: ApprovalId, wanted: &StepUp, settings: &StepUpSettings, by: AskedBy<'_>) -> Self {
        let AskedBy { session, decision, bundle, at } = by;
        let reasons: Vec<&str> = wanted.policies.iter().filter_map(|(_, reason)| reason.as_deref()).collect();
        Self {
            id,
            session: session.id,
            tree: session.tree,
            principal: session.principal.clone(),
            owner: session.owner.clone(),
            task: session.task.clone(),
            step_up: wanted.name.clone(),
            action: wanted.action.clone(),
            resource: wanted.resource.clone(),
            attributes: wanted.attributes.clone(),
            digest: wanted.digest,
            reason: reasons.join("\n"),
            policies: wanted.policies.iter().map(|(policy, _)| policy.clone()).collect(),
            bundle,
            decision,
            approvers: settings.approvers,
            owner_may_approve: settings.owner_may_approve,
            max_duration_us: micros(settings.max_duration),
            requested_at: at,
            expires_at: at.plus(settings.pending_for),
            votes: Vec::new(),
            terms: None,
            decided: None,
            version: 1,
        }
    }

    /// How long it may count.
    pub fn max_duration(&self) -> Duration {
        Duration::from_micros(self.max_duration_us)
    }

    /// Where it is in its life at `now`.
    pub fn state(&self, now: Timestamp) -> ApprovalState {
        match self.decided.as_ref().map(|decided| decided.verdict) {
            Some(Verdict::Approved) => ApprovalState::Approved,
            Some(Verdict::Denied) => ApprovalState::Denied,
            Some(Verdict::Cancelled) => ApprovalState::Cancelled,
            None if self.expires_at <= now => ApprovalState::Expired,
            None => ApprovalState::Pending,
        }
    }

    /// Takes a yes. With the last that is needed it is approved: [`grant`](Self::grant) then says what for. `ancestors` are those of the
    /// session that asked: whoever delegated asks as well.
    ///
    /// # Errors
    /// When it does not wait any more, this person may not approve it or has, or the terms are wider than they may be.
    pub fn approve(&self, vote: Vote, terms: Terms, ancestors: &[Requester]) -> Result<Self, ApprovalError> {
        self.require_pending(vote.at)?;
        if let Some(role) = self.role(&vote.by, ancestors) {
            return Err(ApprovalError::OwnRequest { by: vote.by, role });
        }
        if self.votes.iter().any(|earlier| is_same(&earlier.by, &vote.by)) {
            return Err(ApprovalError::SamePerson { by: vote.by });
        }
        if terms.duration_us > self.max_duration_us {
            return Err(ApprovalError::TooLong { max: self.max_duration() });
        }
        if terms.uses.get() > USES_MAX {
            return Err(ApprovalError::TooOften);
        }
        let terms = self.terms.map_or(terms, |earlier| earlier.narrowed(terms));
        let mut approved = Self { terms: Some(terms), ..self.clone() };
        approved.votes.push(vote.clone());
        if approved.votes.len() >= self.approvers as usize {
            let granted_until = Some(vote.at.plus(Duration::from_micros(terms.duration_us)));
            approved.decided = Some(Decided { verdict: Verdict::Approved, vote, granted_until, withdrawn: None });
        }
        Ok(approved)
    }

    /// Takes a no, or withdraws it.
    ///
    /// # Errors
    /// When it does not wait any more.
    pub fn close(&self, verdict: Closing, vote: Vote) -> Result<Self, ApprovalError> {
        self.require_pending(vote.at)?;
        let verdict = match verdict {
            Closing::Deny => Verdict::Denied,
            Closing::Cancel => Verdict::Cancelled,
        };
        let decided = Some(Decided { verdict, vote, granted_until: None, withdrawn: None });
        Ok(Self { decided, ..self.clone() })
    }

    /// Takes back what was granted: out of `memory`, where it stands. Who approved it stays known.
    ///
    /// # Errors
    /// When it is not approved, or what it granted is used up or over.
    pub fn withdraw(&self, vote: Vote, memory: &mut Memory) -> Result<Self, ApprovalError> {
        match self.state(vote.at) {
            ApprovalState::Approved => {}
            state => return Err(ApprovalError::Over { id: self.id, state }),
        }
        let withdrawn = memory.withdraw(self.id, vote.at).ok_or(ApprovalError::Spent { id: self.id })?;
        let verdict = Verdict::Cancelled;
        let decided = Some(Decided { verdict, vote, granted_until: None, withdrawn: Some(withdrawn) });
        Ok(Self { decided, ..self.clone() })
    }

    /// What somebody is to the request who may therefore not approve it; `None` for everybody else.
    fn role(&self, by: &str, ancestors: &[Requester]) -> Option<&'static str> {
        let acts = |principal: &EntityRef| is_same(by, &principal.id) || is_same(by, &principal.to_string());
        if acts(&self.principal) {
            return Some("the session's principal");
        }
        if ancestors.iter().any(|ancestor| acts(&ancestor.principal)) {
            return Some("the principal of an ancestor");
        }
        if self.owner_may_approve {
            return None;
        }
        if is_same(by, &self.owner) {
            return Some("the session's owner");
        }
        ancestors.iter().any(|ancestor| is_same(by, &ancestor.owner)).then_some("the owner of an ancestor")
    }

    /// What it grants, and in whose memory that is to stand; `None` unless it is approved.
    pub fn grant(&self) -> Option<(MemoryKey, ApprovalGrant)> {
        let (terms, until) = (self.terms?, self.decided.as_ref()?.granted_until?);
        let key = match terms.scope {
            ApprovalScope::Session => MemoryKey::Session(self.session),
            ApprovalScope::Tree => MemoryKey::Tree(self.tree),
        };
        let grant = ApprovalGrant {
            step_up: self.step_up.clone(),
            action: self.action.clone(),
            resource: self.resource.clone(),
            digest: self.digest,
            until,
            uses: terms.uses,
        };
        Some((key, grant))
    }

    /// Whether this person's yes is among those that it has.
    pub fn has_vote_of(&self, by: &str) -> bool {
        self.votes.iter().any(|vote| is_same(&vote.by, by))
    }

    fn require_pending(&self, now: Timestamp) -> Result<(), ApprovalError> {
        match self.state(now) {
            ApprovalState::Pending => Ok(()),
            state => Err(ApprovalError::Over { id: self.id, state }),
        }
    }
}

/// How an approval ends that is not approved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Closing {
    /// By a no.
    Deny,
    /// It is withdrawn.
    Cancel,
}

/// Whether two names are one person's. Closed: what differs only in case or in spaces around it is the same.
fn is_same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
