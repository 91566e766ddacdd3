//! Conditions as a program: every expression once, whichever policies it stands in.

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::SmolStr;

use super::data::Datum;
use super::function::Function;
use super::operator::{Arithmetic, Relation, Unary};
use super::pattern::Pattern;
use super::symbol::{Symbol, Symbols};
use super::uid::Uid;
use crate::decision::Failure;
use crate::effects::{CounterKind, Level, MemoryLayout};
use crate::memory::MemoryName;

/// An expression of a program.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct NodeId(pub(super) u32);

/// An expression. Its parts stand before it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Node {
    Constant(Datum),
    /// A constant expression that fails.
    Fail(Failure),
    Principal,
    Action,
    Resource,
    /// `context.request.…`
    Attribute(Symbol),
    /// `context.request has …`
    HasAttribute(Symbol),
    /// A part of the context that is not the request's.
    State(State),
    /// `context.….counts["…"]`
    Counter(Level, MemoryName, CounterKind),
    /// `context.….sets["…"]`
    Remembered(Level, MemoryName),
    /// Whether the action declares this part of the context.
    Declares(Declared),
    /// A part of the context as a record. Rarely asked for, and built when it is.
    Context(Part),
    If(NodeId, NodeId, NodeId),
    /// In order, up to the first that is false.
    And(Box<[NodeId]>),
    /// In order, up to the first that is true.
    Or(Box<[NodeId]>),
    Unary(Unary, NodeId),
    Relation(Relation, NodeId, NodeId),
    Arithmetic(Arithmetic, NodeId, NodeId),
    In(NodeId, NodeId),
    /// `principal in` one group that is written out, and the same of the resource.
    SubjectIn(Role, Arc<Uid>),
    /// `principal.…`, and the same of the resource.
    SubjectField(Role, Symbol),
    /// `principal has …`, and the same of the resource.
    SubjectHasField(Role, Symbol),
    Field(NodeId, Symbol),
    HasField(NodeId, Symbol),
    Tag(NodeId, NodeId),
    HasTag(NodeId, NodeId),
    Like(NodeId, Box<Pattern>),
    Is(NodeId, SmolStr),
    Set(Box<[NodeId]>),
    Record(Box<[(Symbol, NodeId)]>),
    Call(Function, Box<[NodeId]>),
}

/// An entity of every request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Role {
    Principal,
    Resource,
}

/// What the context says beside the request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum State {
    SessionExists,
    SessionId,
    SessionOwner,
    TaskId,
    TaskPurpose,
    SessionLabels,
    SessionRisk,
    SessionAge,
    SessionIdle,
    DelegationDepth,
    DelegationChain,
    TreeId,
    TreeLabels,
    PrincipalLabels,
}

/// A part of the context that an action may declare or not.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Declared {
    Session,
    Tree,
    Principal,
}

impl From<Level> for Declared {
    fn from(level: Level) -> Self {
        match level {
            Level::Session => Self::Session,
            Level::Tree => Self::Tree,
            Level::Principal => Self::Principal,
        }
    }
}

/// A part of the context as a record.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Part {
    Whole,
    Request,
    Session,
    Task,
    Tree,
    Principal,
    Counts(Level),
    Sets(Level),
}

impl State {
    /// The part of the context that it stands in.
    pub(super) const fn declared(self) -> Declared {
        match self {
            Self::SessionExists
            | Self::SessionId
            | Self::SessionOwner
            | Self::TaskId
            | Self::TaskPurpose
            | Self::SessionLabels
            | Self::SessionRisk
            | Self::SessionAge
            | Self::SessionIdle
            | Self::DelegationDepth
            | Self::DelegationChain => Declared::Session,
            Self::TreeId | Self::TreeLabels => Declared::Tree,
            Self::PrincipalLabels => Declared::Principal,
        }
    }
}

impl Part {
    /// Its fields that are no records, with their names. Counters and sets are the bundle's, and not among them.
    pub(super) const fn state(self) -> &'static [(&'static str, State)] {
        match self {
            Self::Whole | Self::Request | Self::Counts(_) | Self::Sets(_) => &[],
            Self::Session => &[
                ("exists", State::SessionExists),
                ("id", State::SessionId),
                ("owner", State::SessionOwner),
                ("labels", State::SessionLabels),
                ("risk", State::SessionRisk),
                ("age_seconds", State::SessionAge),
                ("idle_seconds", State::SessionIdle),
                ("delegation_depth", State::DelegationDepth),
                ("chain", State::DelegationChain),
            ],
            Self::Task => &[("id", State::TaskId), ("purpose", State::TaskPurpose)],
            Self::Tree => &[("id", State::TreeId), ("labels", State::TreeLabels)],
            Self::Principal => &[("labels", State::PrincipalLabels)],
        }
    }

    /// Its fields that are records, with their names and with what the action must declare for them.
    pub(super) const fn parts(self) -> &'static [(&'static str, Part, Option<Declared>)] {
        match self {
            Self::Whole => &[
                ("request", Part::Request, None),
                ("session", Part::Session, Some(Declared::Session)),
                ("tree", Part::Tree, Some(Declared::Tree)),
                ("principal", Part::Principal, Some(Declared::Principal)),
            ],
            Self::Session => &[
                ("task", Part::Task, None),
                ("counts", Part::Counts(Level::Session), None),
                ("sets", Part::Sets(Level::Session), None),
            ],
            Self::Tree => &[("counts", Part::Counts(Level::Tree), None), ("sets", Part::Sets(Level::Tree), None)],
            Self::Principal => {
                &[("counts", Part::Counts(Level::Principal), None), ("sets", Part::Sets(Level::Principal), None)]
            }
            Self::Request | Self::Task | Self::Counts(_) | Self::Sets(_) => &[],
        }
    }

    /// What the action must declare for it.
    pub(super) const fn declared(self) -> Option<Declared> {
        match self {
            Self::Whole | Self::Request => None,
            Self::Session | Self::Task | Self::Counts(Level::Session) | Self::Sets(Level::Session) => {
                Some(Declared::Session)
            }
            Self::Tree | Self::Counts(Level::Tree) | Self::Sets(Level::Tree) => Some(Declared::Tree),
            Self::Principal | Self::Counts(Level::Principal) | Self::Sets(Level::Principal) => {
                Some(Declared::Principal)
            }
        }
    }
}

/// Which attributes of requests a program reads.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Reads {
    /// Every one: it looks at the request as a whole.
    pub(crate) all: bool,
    /// These.
    pub(crate) attributes: BTreeSet<Symbol>,
}

impl Reads {
    /// Whether it reads this one.
    pub(crate) fn contains(&self, attribute: Symbol) -> bool {
        self.all || self.attributes.contains(&attribute)
    }

    /// Whether it reads none.
    pub(crate) fn is_empty(&self) -> bool {
        !self.all && self.attributes.is_empty()
    }
}

/// Expressions, ready to evaluate.
#[derive(Debug)]
pub(crate) struct Program {
    pub(super) nodes: Box<[Node]>,
    /// The schema's names, and those that only its records have.
    pub(super) symbols: Arc<Symbols>,
    /// What the bundle's policies count and remember.
    pub(super) memory: Arc<MemoryLayout>,
    pub(super) reads: Reads,
    /// Which nodes are parts of several policies' conditions and worth remembering.
    pub(super) shared: Box<[bool]>,
}

impl Program {
    /// Which attributes of requests it reads.
    pub(crate) fn reads(&self) -> &Reads {
        &self.reads
    }
}
