//! What conditions are evaluated on.

use std::cell::{Cell, OnceCell};
use std::ops::Deref;

use smol_str::SmolStr;
use typed_arena::Arena;

use super::data::{Datum, Operand};
use super::program::{NodeId, Role};
use super::symbol::Symbol;
use super::trace::{Looked, Trace};
use super::uid::Uid;
use crate::decision::Failure;
use crate::entities::{EntityRecord, EntityStore};
use crate::request::Request;
use crate::schema::Action;
use crate::session::{Session, SessionChain};
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
    /// Where it is noted what was looked at.
    pub(crate) trace: &'a Trace,
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
    /// The principal or the resource.
    #[inline]
    pub(super) fn subject(&self, role: Role) -> Subject<'a> {
        match role {
            Role::Principal => self.principal,
            Role::Resource => self.resource,
        }
    }

    /// An attribute of the request.
    #[inline]
    pub(super) fn attribute(&self, symbol: Symbol) -> Option<&'a Datum> {
        let place = self.action.place(symbol)?;
        let value = self.request.value(place);
        self.trace.look(|| match value {
            Some(_) => Looked::Attribute(self.request.action.clone(), self.attribute_at(place)),
            None => Looked::NoAttribute(self.request.action.clone(), self.attribute_at(place)),
        });
        value
    }

    /// Whether the request has an attribute.
    #[inline]
    pub(super) fn has_attribute(&self, symbol: Symbol) -> bool {
        let Some(place) = self.action.place(symbol) else { return false };
        let is_there = self.request.value(place).is_some();
        if !is_there {
            self.trace.look(|| Looked::NoAttribute(self.request.action.clone(), self.attribute_at(place)));
        }
        is_there
    }

    #[cold]
    fn attribute_at(&self, place: usize) -> SmolStr {
        self.action.shape.attributes.keys().nth(place).cloned().unwrap_or_default()
    }

    /// Every attribute of the request.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (Symbol, &'a Datum)> {
        self.trace.look(|| Looked::Attributes(self.request.action.clone()));
        let request = self.request;
        let places = self.action.attributes.iter().enumerate();
        places.filter_map(|(place, symbol)| Some((*symbol, request.value(place)?)))
    }

    /// What is known of an entity.
    pub(super) fn record(&self, uid: &'a Uid) -> Option<&'a EntityRecord> {
        [self.principal, self.resource].into_iter().find(|subject| std::ptr::eq(subject.uid, uid)).map_or_else(
            || {
                self.trace.entity(uid.name());
                self.entities.find(uid)
            },
            |subject| subject.record,
        )
    }
}

/// What came of a condition that did not fail: the node's number from 1, twice, and one more when it holds. 0 is nothing: room for
/// many is then quick to make.
type Memo = u64;

/// Room for what one evaluation makes. Nothing is allocated for most.
pub(crate) struct Scratch {
    values: OnceCell<Arena<Datum>>,
    /// How old the session is, in seconds.
    pub(super) age: Datum,
    /// How long it was unused, in seconds.
    pub(super) idle: Datum,
    /// The session's risk.
    pub(super) risk: Datum,
    /// By the last bits of the node's number: a node that is looked up seldom finds another in its place, and is evaluated again.
    memos: [Cell<Memo>; MEMOS],
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

impl Scratch {
    /// Empty.
    pub(crate) fn new(question: &Question<'_>) -> Self {
        let session = question.chain.map(|chain| &**chain.session());
        let since = |time: fn(&Session) -> Timestamp| {
            let seconds = session.map_or(0, |session| question.now.since(time(session)).as_secs());
            Datum::Long(i64::try_from(seconds).unwrap_or(i64::MAX))
        };
        Self {
            values: OnceCell::new(),
            age: since(|session| session.opened_at),
            idle: since(|session| session.last_used_at),
            risk: Datum::Long(
                question.chain.map_or(0, |chain| chain.recall().risk(question.risk_decay_per_hour, question.now)),
            ),
            memos: [const { Cell::new(0) }; MEMOS],
        }
    }

    /// Keeps a value that a condition made.
    pub(super) fn keep(&self, value: Datum) -> Operand<'_> {
        let kept: &Datum = self.values.get_or_init(Arena::new).alloc(value);
        kept.as_operand()
    }

    /// The result of a condition that several policies share.
    #[inline]
    pub(super) fn shared(
        &self,
        node: NodeId,
        evaluate: impl FnOnce() -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        let Some(memo) = self.memos.get(node.0 as usize % MEMOS) else { return evaluate() };
        let key = (u64::from(node.0) + 1) * 2;
        let known = memo.get();
        if known & !1 == key {
            return Ok(known != key);
        }
        let result = evaluate();
        if let Ok(holds) = result {
            memo.set(key | u64::from(holds));
        }
        result
    }
}
