//! What conditions are evaluated on.

use std::cell::{Cell, OnceCell};
use std::ops::Deref;

use typed_arena::Arena;

use super::data::{Datum, Operand};
use super::program::NodeId;
use super::symbol::Symbol;
use super::uid::Uid;
use crate::decision::Failure;
use crate::entities::{EntityRecord, EntityStore};
use crate::request::Request;
use crate::schema::Action;
use crate::session::SessionChain;
use crate::timestamp::Timestamp;

/// How many results of shared conditions are remembered at once.
const MEMOS: usize = 32;

/// One request, with everything that its conditions may ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) principal: Subject<'a>,
    pub(crate) action: &'a Action,
    pub(crate) resource: Subject<'a>,
    pub(crate) request: &'a Request,
    pub(crate) chain: Option<&'a SessionChain>,
    pub(crate) now: Timestamp,
    /// How many points of risk an hour takes away.
    pub(crate) risk_decay_per_hour: u32,
    pub(crate) entities: &'a EntityStore,
}

/// A question, with room for what one program makes of it. Another program needs another: what is remembered has the numbers of its own
/// expressions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    question: Question<'a>,
    pub(super) scratch: &'a Scratch,
}

impl<'a> Frame<'a> {
    /// Puts the two together.
    pub(crate) fn new(question: &Question<'a>, scratch: &'a Scratch) -> Self {
        Self { question: *question, scratch }
    }
}

impl<'a> Deref for Frame<'a> {
    type Target = Question<'a>;

    fn deref(&self) -> &Question<'a> {
        &self.question
    }
}

/// An entity of the request, with what is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) uid: &'a Uid,
    pub(crate) record: Option<&'a EntityRecord>,
}

impl<'a> Subject<'a> {
    /// Looks it up.
    pub(crate) fn new(uid: &'a Uid, entities: &'a EntityStore) -> Self {
        Self { uid, record: entities.find(uid) }
    }
}

impl<'a> Question<'a> {
    /// An attribute of the request.
    pub(super) fn attribute(&self, symbol: Symbol) -> Option<&'a Datum> {
        self.request.value(self.action.place(symbol)?)
    }

    /// Every attribute of the request.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (Symbol, &'a Datum)> {
        let request = self.request;
        let places = self.action.attributes.iter().enumerate();
        places.filter_map(|(place, symbol)| Some((*symbol, request.value(place)?)))
    }

    /// What is known of an entity.
    pub(super) fn record(&self, uid: &'a Uid) -> Option<&'a EntityRecord> {
        [self.principal, self.resource]
            .into_iter()
            .find(|subject| std::ptr::eq(subject.uid, uid))
            .map_or_else(|| self.entities.find(uid), |subject| subject.record)
    }
}

/// What came of a condition.
type Memo = (NodeId, Result<bool, Failure>);

/// Room for what one evaluation makes. Nothing is allocated for most.
pub(crate) struct Scratch {
    values: OnceCell<Arena<Datum>>,
    /// By the last bits of the node's number: a node that is looked up seldom finds another in its place, and is evaluated again.
    memos: [Cell<Option<Memo>>; MEMOS],
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

impl Scratch {
    /// Empty.
    pub(crate) const fn new() -> Self {
        Self { values: OnceCell::new(), memos: [const { Cell::new(None) }; MEMOS] }
    }

    /// Keeps a value that a condition made.
    pub(super) fn keep(&self, value: Datum) -> Operand<'_> {
        let kept: &Datum = self.values.get_or_init(Arena::new).alloc(value);
        kept.as_operand()
    }

    /// The result of a condition that several policies share.
    pub(super) fn shared(
        &self,
        node: NodeId,
        evaluate: impl FnOnce() -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        let Some(memo) = self.memos.get(node.0 as usize % MEMOS) else { return evaluate() };
        match memo.get() {
            Some((known, result)) if known == node => result,
            _ => {
                let result = evaluate();
                memo.set(Some((node, result)));
                result
            }
        }
    }
}
