//! Sessions and their legal transitions, as pure functions.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, ToSmolStr as _};

use crate::actor::Delegation;
use crate::compiled::{Datum, Uid};
use crate::effects::Level;
use crate::ids::SessionId;
use crate::memory::{Memory, MemoryKey};
use crate::recall::Recollection;
use crate::request::Presenter;
use crate::scope::Scope;
use crate::timestamp::Timestamp;
use crate::value::EntityRef;
use crate::zone::Zones;

/// How deep a delegation may go; a root is at depth 0.
pub const DELEGATION_DEPTH_MAX: u32 = 16;
/// How many labels a session may have.
pub const LABELS_MAX: usize = 32;
/// How long a label, an owner, a task id, and a reason may be, in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// How long a purpose may be, in bytes.
pub const PURPOSE_BYTES_MAX: usize = 4096;
/// How many zones a session may be bound to.
pub const BINDING_ZONES_MAX: usize = 16;

/// Bounded authority after a login: a principal, a task, a scope, an owner, an end.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// The root of its tree; its own id for a root.
    pub tree: SessionId,
    /// The session that it was delegated from.
    pub parent: Option<SessionId>,
    /// How many delegations lie between it and its root.
    pub depth: u32,
    /// Who acts.
    pub principal: EntityRef,
    /// The person or team that answers for it.
    pub owner: String,
    /// What it is for.
    pub task: Task,
    /// Marks that it was opened with.
    pub labels: BTreeSet<String>,
    /// What it may ever do, whatever the policies grant.
    pub scope: Scope,
    /// What its presenter must show.
    pub binding: Binding,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// How long it may stay unused.
    pub idle_timeout: Option<Duration>,
    /// When it was last used, as far as is known; not before `opened_at`.
    pub last_used_at: Timestamp,
    /// How it was ended, if it was.
    pub ended: Option<Ended>,
    /// Grows by one with every change but a use.
    pub version: u64,
}

/// What a session is for.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Task {
    /// The caller's id for it; may be empty.
    pub id: String,
    /// A text for people; may be empty.
    pub purpose: String,
}

/// Evidence that the presenter of a session must show. Absent fields ask for nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Binding {
    /// The SPIFFE ID of the presenter's certificate, in its canonical form.
    pub spiffe_id: Option<String>,
    /// SHA-256 of the presenter's certificate in DER (RFC 8705 section 3.1).
    pub certificate_sha256: Option<[u8; 32]>,
    /// The names of zones: the presenter's address is in one of them.
    pub zones: BTreeSet<String>,
}

impl Binding {
    /// Whether `presenter` shows all that this asks for. `zones` are the active bundle's: a name that they do not know covers nothing, and
    /// neither does any where the presenter's address is not known.
    pub fn is_met_by(&self, presenter: &Presenter, zones: &Zones) -> bool {
        let spiffe_id = self.spiffe_id.is_none() || self.spiffe_id.as_deref() == presenter.spiffe_id.as_deref();
        let certificate = self.certificate_sha256.is_none() || self.certificate_sha256 == presenter.certificate_sha256;
        spiffe_id && certificate && (self.zones.is_empty() || self.is_met_in(presenter, zones))
    }

    fn is_met_in(&self, presenter: &Presenter, zones: &Zones) -> bool {
        let zone = presenter.address.and_then(|address| zones.find(address));
        zone.is_some_and(|zone| self.zones.contains(zone.as_str()))
    }
}

/// How a session was ended by an act, not by time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ended {
    /// Completed or revoked.
    pub by_act: EndingAct,
    /// When.
    pub at: Timestamp,
    /// Why; may be empty.
    pub reason: String,
    /// Who did it.
    pub by: String,
}

/// The two acts that end a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndingAct {
    /// Its task is done.
    Completed,
    /// Its authority was withdrawn.
    Revoked,
}

/// Where a session is in its life, by its own record alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Life {
    /// It has authority.
    Active,
    /// Its absolute end has passed.
    Expired,
    /// It was unused for longer than its idle timeout.
    Idle,
    /// Its task was completed.
    Completed,
    /// It was revoked.
    Revoked,
}

/// A transition that a session cannot make.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TransitionError {
    /// It has ended; nothing brings it back.
    #[error("session `{id}` has ended and cannot be changed")]
    HasEnded {
        /// The session.
        id: SessionId,
    },
}

impl Session {
    /// Where it is in its life at `now`. An act stands before time: a revoked session stays revoked when it would have expired.
    pub fn life(&self, now: Timestamp) -> Life {
        match &self.ended {
            Some(Ended { by_act: EndingAct::Revoked, .. }) => Life::Revoked,
            Some(Ended { by_act: EndingAct::Completed, .. }) => Life::Completed,
            None if now >= self.expires_at => Life::Expired,
            None if self.idle_timeout.is_some_and(|limit| now.since(self.last_used_at) > limit) => Life::Idle,
            None => Life::Active,
        }
    }

    /// Moves the end to `expires_at`.
    ///
    /// # Errors
    /// When the session is not active at `now`: an ended session never lives again.
    pub fn renew(&self, expires_at: Timestamp, now: Timestamp) -> Result<Self, TransitionError> {
        self.require_active(now)?;
        Ok(Self { expires_at, ..self.clone() })
    }

    /// Ends it as completed.
    ///
    /// # Errors
    /// When it is not active at `now`.
    pub fn complete(&self, reason: String, by: String, now: Timestamp) -> Result<Self, TransitionError> {
        self.require_active(now)?;
        let ended = Ended { by_act: EndingAct::Completed, at: now, reason, by };
        Ok(Self { ended: Some(ended), ..self.clone() })
    }

    fn require_active(&self, now: Timestamp) -> Result<(), TransitionError> {
        match self.life(now) {
            Life::Active => Ok(()),
            Life::Expired | Life::Idle | Life::Completed | Life::Revoked => {
                Err(TransitionError::HasEnded { id: self.id })
            }
        }
    }
}

/// A session with its ancestors: itself first, its root last.
///
/// INVARIANT (whole chain): each session is followed by its parent, and the last has none. `new` checks it; the rules rely on
/// it, because an ancestor that is left out is an ancestor whose revocation is not seen.
#[derive(Clone, Debug)]
pub struct SessionChain {
    sessions: Vec<Arc<Session>>,
    recall: Arc<Recollection>,
    facts: Arc<SessionFacts>,
    delegation: Option<Arc<Delegation>>,
}

/// What policies read of a chain, made once and not at every decision.
#[derive(Debug)]
pub(crate) struct SessionFacts {
    /// The session's id.
    pub(crate) id: Datum,
    /// Who answers for it.
    pub(crate) owner: Datum,
    /// Its task's id.
    pub(crate) task_id: Datum,
    /// Its task's purpose.
    pub(crate) task_purpose: Datum,
    /// The labels of the session and its ancestors, opened with and added.
    pub(crate) labels: Datum,
    /// How many delegations lie between it and its root.
    pub(crate) depth: Datum,
    /// The id of its tree.
    pub(crate) tree: Datum,
    /// The labels that the root was opened with, and those added to the tree.
    pub(crate) tree_labels: Datum,
    /// The labels added to the principal.
    pub(crate) principal_labels: Datum,
    /// Who acts, in each session of the chain.
    pub(crate) principals: Box<[Uid]>,
    /// Their names. Few policies read them.
    chain: OnceLock<Datum>,
}

impl Default for SessionFacts {
    /// Where there is no session.
    fn default() -> Self {
        Self::new(&[], &Recollection::default())
    }
}

impl SessionFacts {
    /// With nothing in them where there is no session.
    fn new(sessions: &[Arc<Session>], recall: &Recollection) -> Self {
        let opened_with = |sessions: &[Arc<Session>]| -> Vec<SmolStr> {
            sessions.iter().flat_map(|session| &session.labels).map(SmolStr::from).collect()
        };
        let added = |level| recall.memory(level).into_iter().flat_map(|memory| memory.labels()).cloned();
        let labels =
            |labels: &mut dyn Iterator<Item = SmolStr>| Datum::Set(Arc::new(labels.map(Datum::String).collect()));
        let root = sessions.last().map(std::slice::from_ref).unwrap_or_default();
        let inherited = recall.sessions().iter().flat_map(|memory| memory.labels()).cloned();
        let session = sessions.first();
        let text =
            |text: fn(&Session) -> SmolStr| Datum::String(session.map(|session| text(session)).unwrap_or_default());
        Self {
            id: text(|session| session.id.to_smolstr()),
            owner: text(|session| session.owner.as_str().into()),
            task_id: text(|session| session.task.id.as_str().into()),
            task_purpose: text(|session| session.task.purpose.as_str().into()),
            labels: labels(&mut opened_with(sessions).into_iter().chain(inherited)),
            depth: Datum::Long(session.map_or(0, |session| session.depth.into())),
            tree: text(|session| session.tree.to_smolstr()),
            tree_labels: labels(&mut opened_with(root).into_iter().chain(added(Level::Tree))),
            principal_labels: labels(&mut added(Level::Principal)),
            principals: sessions.iter().map(|session| Uid::new(session.principal.clone())).collect(),
            chain: OnceLock::new(),
        }
    }

    /// The names of those who act, in each session of the chain.
    pub(crate) fn chain(&self) -> &Datum {
        self.chain.get_or_init(|| {
            let names = self.principals.iter().map(|principal| Datum::String(principal.name().to_smolstr()));
            Datum::Set(Arc::new(names.collect()))
        })
    }
}

impl SessionChain {
    /// From a session and its ancestors, of which nothing is remembered, or `None` when they are not one whole chain.
    pub fn new(sessions: Vec<Arc<Session>>) -> Option<Self> {
        let linked = sessions.windows(2).all(|pair| match pair {
            [child, parent] => child.parent == Some(parent.id) && child.tree == parent.tree,
            _ => false,
        });
        let rooted = sessions.last().is_some_and(|root| root.parent.is_none() && root.tree == root.id);
        if !(linked && rooted) {
            return None;
        }
        let nothing = Arc::new(Memory::default());
        let memories = vec![nothing; sessions.len() + 2];
        let delegation = match sessions.as_slice() {
            [_] => None,
            chain => Delegation::of(chain.iter().map(|session| &session.principal)).map(Arc::new),
        };
        Self { sessions, recall: Arc::default(), facts: Arc::default(), delegation }.with_memories(memories)
    }

    /// Whose memories a decision reads and changes: each session's, itself first, then the tree's, then the principal's.
    pub fn memory_keys(&self) -> impl Iterator<Item = MemoryKey> {
        let sessions = self.sessions.iter().map(|session| MemoryKey::Session(session.id));
        sessions.chain([MemoryKey::Tree(self.root().id), MemoryKey::Principal(self.session().principal.clone())])
    }

    /// The same sessions with what is remembered of them, in the order of [`memory_keys`](Self::memory_keys). `None` when these are not
    /// as many.
    pub fn with_memories(&self, memories: Vec<Arc<Memory>>) -> Option<Self> {
        if memories.len() != self.sessions.len() + 2 {
            return None;
        }
        let recall = Recollection::new(memories)?;
        let facts = SessionFacts::new(&self.sessions, &recall);
        let (sessions, delegation) = (self.sessions.clone(), self.delegation.clone());
        Some(Self { sessions, recall: Arc::new(recall), facts: Arc::new(facts), delegation })
    }

    /// What is remembered, in the order of [`memory_keys`](Self::memory_keys).
    pub fn memories(&self) -> impl Iterator<Item = &Arc<Memory>> {
        self.recall.all()
    }

    /// What is remembered, as conditions read it.
    pub(crate) fn recall(&self) -> &Recollection {
        &self.recall
    }

    /// What policies read of it.
    pub(crate) fn facts(&self) -> &SessionFacts {
        &self.facts
    }

    /// Who acts for whom; `None` where nobody acts for another.
    pub fn delegation(&self) -> Option<&Arc<Delegation>> {
        self.delegation.as_ref()
    }

    /// The session itself.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT (whole chain): a chain has a root, so it is not empty")]
    pub fn session(&self) -> &Arc<Session> {
        &self.sessions[0]
    }

    /// Its root.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT (whole chain): a chain has a root, so it is not empty")]
    pub fn root(&self) -> &Arc<Session> {
        &self.sessions[self.sessions.len() - 1]
    }

    /// The session and its ancestors, itself first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.sessions.iter()
    }
}
