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
    TreeId,
    TreeLabels,
}

/// A part of the context that an action may declare or not.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Declared {
    Session,
    Tree,
}

/// A part of the context as a record.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Part {
    Whole,
    Request,
    Session,
    Task,
    Tree,
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
            | Self::DelegationDepth => Declared::Session,
            Self::TreeId | Self::TreeLabels => Declared::Tree,
        }
    }
}

impl Part {
    /// Its fields that are no records, with their names.
    pub(super) const fn state(self) -> &'static [(&'static str, State)] {
        match self {
            Self::Whole | Self::Request => &[],
            Self::Session => &[
                ("exists", State::SessionExists),
                ("id", State::SessionId),
                ("owner", State::SessionOwner),
                ("labels", State::SessionLabels),
                ("risk", State::SessionRisk),
                ("age_seconds", State::SessionAge),
                ("idle_seconds", State::SessionIdle),
                ("delegation_depth", State::DelegationDepth),
            ],
            Self::Task => &[("id", State::TaskId), ("purpose", State::TaskPurpose)],
            Self::Tree => &[("id", State::TreeId), ("labels", State::TreeLabels)],
        }
    }

    /// Its fields that are records, with their names and with what the action must declare for them.
    pub(super) const fn parts(self) -> &'static [(&'static str, Part, Option<Declared>)] {
        match self {
            Self::Whole => &[
                ("request", Part::Request, None),
                ("session", Part::Session, Some(Declared::Session)),
                ("tree", Part::Tree, Some(Declared::Tree)),
            ],
            Self::Session => &[("task", Part::Task, None)],
            Self::Request | Self::Task | Self::Tree => &[],
        }
    }

    /// What the action must declare for it.
    pub(super) const fn declared(self) -> Option<Declared> {
        match self {
            Self::Whole | Self::Request => None,
            Self::Session | Self::Task => Some(Declared::Session),
            Self::Tree => Some(Declared::Tree),
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
