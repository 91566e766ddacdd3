//! What happened: the body of a record. One definition for who writes, and borrows, and for who reads, and owns.

use std::borrow::Cow;
use std::net::IpAddr;

use chaperone_policy::{ApprovalId, BundleNumber, DecisionId, EntityRef, SessionId, Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

type Text<'a> = Cow<'a, str>;

/// What happened.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event<'a> {
    /// A replica began to write, or went on after it was stopped. The first record of every chain.
    Started {
        /// The replica's name.
        replica: Text<'a>,
        /// Its program's version.
        version: Text<'a>,
        /// The Ed25519 key that its checkpoints are signed with: 32 bytes, in base64.
        key: Text<'a>,
    },
    /// The chain up to here, signed.
    Checkpoint {
        /// As in `started`.
        key: Text<'a>,
        /// Ed25519 (RFC 8032) over the chain, this record's place, time and `prev`: 64 bytes, in base64.
        signature: Text<'a>,
    },
    /// A replica stopped in order. What follows, if anything, is a `started`.
    Stopped,
    /// Something that decisions read, written down before the first of this chain that reads it.
    State(State<'a>),
    /// A decision.
    Decision(Box<Decided<'a>>),
    /// No decision could be made; the action did not go ahead.
    NoDecision {
        /// The id that the caller was told, a UUIDv7.
        id: DecisionId,
        /// The door, such as `ext_authz`.
        protocol: Text<'a>,
        /// The stable code, such as `stale`.
        code: Text<'a>,
        /// How long it took, in microseconds.
        elapsed_us: u64,
        /// The trace that it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<Trace<'a>>,
    },
    /// A person or a system changed what is decided: an act on a session, a bundle, an entity or an approval, a signal, a report.
    Act(Box<Acted<'a>>),
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// [`Event::Started`].
    Started,
    /// [`Event::Checkpoint`].
    Checkpoint,
    /// [`Event::Stopped`].
    Stopped,
    /// [`Event::State`].
    State,
    /// [`Event::Decision`].
    Decision,
    /// [`Event::NoDecision`].
    NoDecision,
    /// [`Event::Act`].
    Act,
}

/// A decision, with what it was made on.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Decided<'a> {
    /// A UUIDv7.
    pub id: DecisionId,
    /// The door, such as `ext_authz`.
    pub protocol: Text<'a>,
    /// `allow`, `deny` or `challenge`.
    pub outcome: Text<'a>,
    /// The stable code, such as `forbidden`.
    pub code: Text<'a>,
    /// The sentence for the caller.
    pub reason: Text<'a>,
    /// The session; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionFacts<'a>>,
    /// Who acts; absent when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Cow<'a, EntityRef>>,
    /// Who presented the session, as the enforcement point vouches.
    #[serde(default, skip_serializing_if = "Presented::is_empty")]
    pub presenter: Presented<'a>,
    /// What was asked for; empty when that could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Asked<'a>>,
    /// The policies that determined the outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy<'a>>,
    /// What it did beside, in the order of its policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<AppliedEffect<'a>>,
    /// The approvals that a challenge asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step_ups: Vec<StepUpAsked<'a>>,
    /// The bundle that decided.
    pub bundle: BundleNumber,
    /// What was read of sessions, memories and entities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<StateRef<'a>>,
    /// Whether it was made from state older than the staleness limit, within the grace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// When the check began. It was decided at the record's `at`.
    pub began_at: Timestamp,
    /// How long it took until it was recorded, in microseconds.
    pub elapsed_us: u64,
    /// The trace that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace<'a>>,
}

/// The session of a decision.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SessionFacts<'a> {
    /// Its id, a UUIDv7.
    pub id: SessionId,
    /// The root of its tree.
    pub tree: SessionId,
    /// Who answers for it.
    pub owner: Text<'a>,
    /// The id of its task; empty when it has none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub task: Text<'a>,
    /// The sessions that it was delegated from: its parent first, the root last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<Delegation<'a>>,
}

/// A session that another was delegated from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Delegation<'a> {
    /// Its id.
    pub id: SessionId,
    /// Who acts in it.
    pub principal: Cow<'a, EntityRef>,
}

/// What the enforcement point vouched for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Presented<'a> {
    /// The SPIFFE ID of the peer's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<Text<'a>>,
    /// SHA-256 of the peer's certificate (RFC 8705 section 3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<Digest>,
    /// Where the peer connects from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

impl Presented<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.spiffe_id.is_none() && self.certificate_sha256.is_none() && self.address.is_none()
    }
}

/// One action that was asked for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Asked<'a> {
    /// Its identity.
    pub action: Cow<'a, EntityRef>,
    /// What it acts on.
    pub resource: Cow<'a, EntityRef>,
    /// The attributes of the request, in the order of their names, as far as they are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(Text<'a>, Value)>,
    /// The names of attributes that were there and are not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Text<'a>>,
    /// The names of attributes of which a keyed hash stands in their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashed: Vec<Text<'a>>,
}

/// A policy that determined an outcome.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Policy<'a> {
    /// Its `@id`.
    pub id: Text<'a>,
    /// How it failed, where that is what determined the outcome, such as `overflow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Text<'a>>,
}

/// Something that a decision did beside being made.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AppliedEffect<'a> {
    /// Such as `label`, `count`, `remember`, `risk`, `revoke`, `alert` or `approval`.
    pub effect: Text<'a>,
    /// As the policy's annotation would write it, such as `tree:pii` or `exports/1h += 1`.
    pub text: Text<'a>,
}

/// An approval that a challenge asks for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StepUpAsked<'a> {
    /// Its name, as the policy's `@stepup` has it.
    pub name: Text<'a>,
    /// The approval that waits for a person.
    pub approval: ApprovalId,
}

/// Something that decisions read, as it was.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct State<'a> {
    /// What it is of, such as `session:01a2…`, `memory:tree:01a2…` or `entity:Document::"42"`.
    pub of: Text<'a>,
    /// SHA-256 of the bytes of `value`.
    pub digest: Digest,
    /// What it was: JSON, as a text, so that every reader keeps its bytes.
    pub value: Text<'a>,
}

/// A [`State`] that was read.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StateRef<'a> {
    /// What it is of.
    pub of: Text<'a>,
    /// Which state of it; absent: there was none, such as of an entity that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// The trace that something belongs to (W3C Trace Context).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Trace<'a> {
    /// 32 hexadecimal digits.
    pub trace_id: Text<'a>,
    /// 16 hexadecimal digits.
    pub span_id: Text<'a>,
}

/// An act on what is decided.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Acted<'a> {
    /// What was done, such as `session.opened`, `session.revoked`, `bundle.activated`, `approval.approved` or `outcome.reported`.
    pub act: Text<'a>,
    /// Who did it; empty when that is not known.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub by: Text<'a>,
    /// The session that it was done to, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionFacts<'a>>,
    /// Whose session it is, or who was offboarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Cow<'a, EntityRef>>,
    /// The decision that it follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionId>,
    /// The approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalId>,
    /// The bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BundleNumber>,
    /// What changed, as `AppliedEffect` has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<AppliedEffect<'a>>,
    /// More, in one sentence, such as the reason that was given.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub note: Text<'a>,
}

impl Event<'_> {
    /// Its kind.
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Started { .. } => EventKind::Started,
            Self::Checkpoint { .. } => EventKind::Checkpoint,
            Self::Stopped => EventKind::Stopped,
            Self::State(_) => EventKind::State,
            Self::Decision(_) => EventKind::Decision,
            Self::NoDecision { .. } => EventKind::NoDecision,
            Self::Act(_) => EventKind::Act,
        }
    }

    /// The session that it is about.
    pub fn session(&self) -> Option<&SessionFacts<'_>> {
        match self {
            Self::Decision(decided) => decided.session.as_ref(),
            Self::Act(acted) => acted.session.as_ref(),
            Self::Started { .. }
            | Self::Checkpoint { .. }
            | Self::Stopped
            | Self::State(_)
            | Self::NoDecision { .. } => None,
        }
    }

    /// Who acts or acted.
    pub fn principal(&self) -> Option<&EntityRef> {
        match self {
            Self::Decision(decided) => decided.principal.as_deref(),
            Self::Act(acted) => acted.principal.as_deref(),
            Self::Started { .. }
            | Self::Checkpoint { .. }
            | Self::Stopped
            | Self::State(_)
            | Self::NoDecision { .. } => None,
        }
    }
}
