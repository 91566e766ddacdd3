//! Decisions: outcome, reason, and what determined them.

use std::fmt;

use smol_str::SmolStr;

use crate::effects::Effect;
use crate::step_up::StepUp;
use crate::timestamp::Timestamp;

/// What was decided. Being unable to decide is not an outcome.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// The action may go ahead.
    Allow,
    /// The action must not go ahead.
    Deny,
    /// The action must not go ahead, but would with the approvals that [`Decision::step_ups`] names.
    Challenge,
}

impl Outcome {
    /// Its name in traces, metrics and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Challenge => "challenge",
        }
    }
}

/// Why an outcome is as it is. The codes are stable: callers and alerts rely on them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// A policy permits it and none forbids it.
    Permitted,
    /// No policy permits it.
    NoPermit,
    /// A policy forbids it.
    Forbidden,
    /// Policies forbid it until a person approves it.
    StepUpRequired,
    /// A policy failed to evaluate; Cedar alone would have skipped it.
    PolicyError,
    /// What was presented is no session that is known.
    SessionUnknown,
    /// The session's end, or an ancestor's, has passed.
    SessionExpired,
    /// The session, or an ancestor, was unused for too long.
    SessionIdle,
    /// The session's task, or an ancestor's, was completed.
    SessionCompleted,
    /// The session, or an ancestor, was revoked.
    SessionRevoked,
    /// The entity of the principal, or of an ancestor's, says `suspended`.
    PrincipalSuspended,
    /// The presenter is not who the session is bound to. Ancestors are bound to presenters of their own.
    BindingMismatch,
    /// Outside the session's scope, or an ancestor's.
    OutOfScope,
    /// Neither a session nor a peer that the mapping lets act for itself.
    Unauthenticated,
    /// The request cannot be read in one way only.
    Undecodable,
    /// What the decision has to remember does not fit: a limit is reached.
    MemoryFull,
}

impl Reason {
    /// Its stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::NoPermit => "no_permit",
            Self::Forbidden => "forbidden",
            Self::StepUpRequired => "step_up_required",
            Self::PolicyError => "policy_error",
            Self::SessionUnknown => "session_unknown",
            Self::SessionExpired => "session_expired",
            Self::SessionIdle => "session_idle",
            Self::SessionCompleted => "session_completed",
            Self::SessionRevoked => "session_revoked",
            Self::PrincipalSuspended => "principal_suspended",
            Self::BindingMismatch => "binding_mismatch",
            Self::OutOfScope => "out_of_scope",
            Self::Unauthenticated => "unauthenticated",
            Self::Undecodable => "undecodable",
            Self::MemoryFull => "memory_full",
        }
    }

    /// One sentence for a caller who gets no better one from a policy.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Permitted => "a policy permits this",
            Self::NoPermit => "no policy permits this",
            Self::Forbidden => "a policy forbids this",
            Self::StepUpRequired => "this needs an approval",
            Self::PolicyError => "a policy could not be evaluated",
            Self::SessionUnknown => "the session is not known",
            Self::SessionExpired => "the session has expired",
            Self::SessionIdle => "the session was unused for too long",
            Self::SessionCompleted => "the session's task is complete",
            Self::SessionRevoked => "the session was revoked",
            Self::PrincipalSuspended => "the principal is suspended",
            Self::BindingMismatch => "the session is bound to another presenter",
            Self::OutOfScope => "the session's scope does not cover this",
            Self::Unauthenticated => "a session is required",
            Self::Undecodable => "the request cannot be read unambiguously",
            Self::MemoryFull => "no more can be remembered of this session, its tree or its principal",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// How a policy failed to evaluate.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Failure {
    /// It asks for an attribute or a tag of an entity that is not known.
    EntityUnknown,
    /// It asks for an attribute or a tag that is not there.
    AttributeMissing,
    /// A value is of another type than it needs.
    WrongType,
    /// A number does not fit into 64 bits.
    Overflow,
    /// A function of an extension type refuses its arguments, such as a datetime that would be too far away.
    Extension,
    /// An amount that it counts is negative.
    NegativeAmount,
    /// It remembers something of a session, and there is none.
    NoSession,
    /// It cannot be evaluated at all.
    Other,
}

impl Failure {
    /// Its stable code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EntityUnknown => "entity_unknown",
            Self::AttributeMissing => "attribute_missing",
            Self::WrongType => "wrong_type",
            Self::Overflow => "overflow",
            Self::Extension => "extension",
            Self::NegativeAmount => "negative_amount",
            Self::NoSession => "no_session",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A decision on one action.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision {
    /// The outcome; `Allow` exactly when the reason is `Permitted`, `Challenge` exactly when it is `StepUpRequired`.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// The policies that determined it: the permits of an allow, the forbids of a denial, those of a challenge that are not lifted, the policies that failed.
    pub policies: Vec<DeterminingPolicy>,
    /// More on the reason for the caller, such as why a session was revoked.
    pub detail: Option<String>,
    /// What it does beside: nothing, for most.
    pub effects: Vec<Effect>,
    /// What would make an allow of a challenge: every one of these. Empty for every other outcome.
    pub step_ups: Box<[StepUp]>,
    /// Until when a report of the outcome is waited for; `None` where no effect waits for one.
    pub report_until: Option<Timestamp>,
}

/// A policy that determined an outcome.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeterminingPolicy {
    /// Its `@id`.
    pub id: SmolStr,
    /// Its `@reason` with the placeholders filled in.
    pub reason: Option<String>,
    /// How it failed, where that is what determined the outcome.
    pub failure: Option<Failure>,
}

impl Decision {
    /// A denial by a built-in rule.
    pub fn deny(reason: Reason) -> Self {
        Self {
            outcome: Outcome::Deny,
            reason,
            policies: Vec::new(),
            detail: None,
            effects: Vec::new(),
            step_ups: Box::default(),
            report_until: None,
        }
    }

    /// The sentence for the caller: the first determining policy's reason, else the detail, else the reason's own text.
    pub fn sentence(&self) -> &str {
        self.policies
            .iter()
            .find_map(|policy| policy.reason.as_deref())
            .or(self.detail.as_deref())
            .unwrap_or(self.reason.text())
    }
}
