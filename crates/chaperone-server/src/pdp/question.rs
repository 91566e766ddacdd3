//! What a check asks and what it is answered, in the words of the domain.

use std::sync::Arc;

use chaperone_policy::mapping::{Credential, Mapped, Needs, Undecodable};
use chaperone_policy::{
    BundleNumber, Decision, DecisionId, Delegation, EntityRef, HandleHash, Outcome, Request, Session, SessionHandle,
    Timestamp,
};

use super::challenge::Challenged;
use crate::presenter::Evidence;
use crate::replica::RecalledChain;

/// Over which door a check came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// Envoy's ext_authz.
    ExtAuthz,
    /// Chaperone's own gRPC.
    Grpc,
}

impl Protocol {
    /// Its name in traces and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExtAuthz => "ext_authz",
            Self::Grpc => "grpc",
        }
    }
}

/// How fresh the session must be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Consistency {
    /// From memory, within the staleness limit.
    #[default]
    Bounded,
    /// Read from the store for this check.
    Strict,
}

/// The session that is claimed, without the secret that claims it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Claim {
    /// The one with this handle.
    Session(HandleHash),
    /// Something that is no handle.
    NoHandle,
    /// It can be read in more than one way.
    Ambiguous,
    /// None: whoever presents nothing acts for itself.
    Absent,
}

impl Claim {
    /// From the text that is presented as a handle.
    pub fn of_handle(text: &str) -> Self {
        SessionHandle::parse(text).map_or(Self::NoHandle, |handle| Self::Session(handle.hash()))
    }
}

impl From<Credential> for Claim {
    fn from(credential: Credential) -> Self {
        match credential {
            Credential::Handle(text) => Self::of_handle(&text),
            Credential::Ambiguous => Self::Ambiguous,
            Credential::Absent => Self::Absent,
        }
    }
}

/// What a check is about, once its request was understood.
#[derive(Debug)]
pub struct Question<'a, 'm> {
    /// What is presented as the session.
    pub claim: Claim,
    /// Who presents it.
    pub evidence: Evidence<'a>,
    /// What is asked for: every one must be allowed.
    pub asked: Asked<'a, 'm>,
    /// How fresh the session must be.
    pub consistency: Consistency,
}

/// What is asked for.
#[derive(Debug)]
pub enum Asked<'a, 'm> {
    /// These.
    Actions(&'a [Request]),
    /// What the mapping made of a request. Its attributes are read when it is known on whose authority, and so which of them matter.
    Mapped(&'a mut Mapped<'m>),
    /// Something that cannot be read.
    Undecodable(&'a Undecodable),
}

impl<'a, 'm> Asked<'a, 'm> {
    /// From what came of the mapping.
    pub fn of(mapped: &'a mut Result<Mapped<'m>, Undecodable>) -> Self {
        match mapped {
            Ok(mapped) => Self::Mapped(mapped),
            Err(undecodable) => Self::Undecodable(undecodable),
        }
    }

    /// The actions, with the attributes that were read so far.
    pub(crate) fn actions(&self) -> &[Request] {
        match self {
            Self::Actions(actions) => actions,
            Self::Mapped(mapped) => &mapped.requests,
            Self::Undecodable(_) => &[],
        }
    }

    /// The actions, with the attributes that are needed.
    pub(crate) fn read(&mut self, needs: impl FnOnce() -> Needs) -> Result<&[Request], Undecodable> {
        match self {
            Self::Actions(actions) => Ok(actions),
            Self::Mapped(mapped) => {
                mapped.read_attributes(needs())?;
                Ok(&mapped.requests)
            }
            Self::Undecodable(undecodable) => Err(undecodable.clone()),
        }
    }
}

/// A decision with what its answer is made of.
#[derive(Debug)]
pub struct Answer {
    /// Its name.
    pub id: DecisionId,
    /// The decision.
    pub decision: Decision,
    /// What would make an allow of a challenge; empty for every other outcome.
    pub challenge: Box<[Challenged]>,
    /// Who acts; `None` when that is not known.
    pub principal: Option<EntityRef>,
    /// The session.
    pub session: Option<Arc<Session>>,
    /// Who acts for whom; `None` where nobody acts for another.
    pub delegation: Option<Arc<Delegation>>,
    /// The sessions that it was delegated from: its parent first, the root last.
    pub ancestors: Box<[Arc<Session>]>,
    /// The bundle that decided.
    pub bundle: BundleNumber,
    /// When.
    pub at: Timestamp,
    /// What it was made on.
    pub read: Read,
}

/// What a decision was made on, for its record.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// The session with its ancestors and what was remembered of them.
    pub chain: Option<Arc<RecalledChain>>,
    /// Entities beside the principals and the resources.
    pub entities: Vec<EntityRef>,
}

impl Answer {
    /// Whether the action may go ahead.
    pub fn is_allowed(&self) -> bool {
        self.decision.outcome == Outcome::Allow
    }
}
