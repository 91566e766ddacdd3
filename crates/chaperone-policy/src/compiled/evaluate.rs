//! Evaluating a program on one request.
//!
//! The meaning is Cedar's own, in every value, failure and order of evaluation; differential tests hold it to that.

use std::sync::{Arc, LazyLock};

use smallvec::SmallVec;

use super::compile::Condition;
use super::data::{Datum, Operand};
use super::frame::Frame;
use super::function::Function;
use super::operator::{Relation, Unary};
use super::program::{Declared, Node, NodeId, Part, Program, State};
use super::record::Record;
use super::set::Set;
use super::symbol::Symbol;
use super::trace::Looked;
use super::uid::Uid;
use crate::decision::Failure;
use crate::effects::{CounterKind, Level};
use crate::entities::EntityRecord;
use crate::memory::{Amount, MemoryName};
use crate::recall::Recalled;
use crate::session::SessionFacts;

/// How many operands are held without allocating.
const OPERANDS: usize = 8;

static NOTHING: LazyLock<Set> = LazyLock::new(Set::default);
static NO_SESSION: LazyLock<SessionFacts> = LazyLock::new(SessionFacts::default);
static EXISTS: Datum = Datum::Bool(true);
static EXISTS_NOT: Datum = Datum::Bool(false);

type Evaluated<'a> = Result<Operand<'a>, Failure>;

impl Program {
    /// Whether a condition holds.
    ///
    /// # Errors
    /// With what stopped its evaluation.
    pub(crate) fn holds(&self, condition: &Condition, frame: &Frame<'_>) -> Result<bool, Failure> {
        let parts = match condition {
            Condition::Always => return Ok(true),
            Condition::Never => return Ok(false),
            Condition::When(parts) => parts,
        };
        for part in parts {
            let test = || self.test(*part, frame);
            let holds = if self.is_shared(*part) { frame.scratch.shared(*part, test) } else { test() };
            if !holds? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The value of an expression that must be a `Bool`.
    fn test(&self, id: NodeId, frame: &Frame<'_>) -> Result<bool, Failure> {
        Ok(match self.node(id) {
            Node::Unary(Unary::Not, operand) => !self.test(*operand, frame)?,
            Node::And(parts) => self.find_part(parts, false, frame)?.unwrap_or(true),
            Node::Or(parts) => self.find_part(parts, true, frame)?.unwrap_or(false),
            Node::HasAttribute(symbol) => frame.has_attribute(*symbol),
            Node::Declares(declared) => declares(frame, *declared),
            Node::Relation(Relation::Contains, set, member) if matches!(self.node(*set), Node::Set(_)) => {
                self.is_member(*set, *member, frame)?
            }
            Node::Relation(relation, left, right) => match (self.read(*left, frame), self.read(*right, frame)) {
                (Some(left), Some(right)) => relation.holds_between(left, right)?,
                _ => {
                    let (left, right) = (self.evaluate(*left, frame)?, self.evaluate(*right, frame)?);
                    relation.holds(left, right)?
                }
            },
            Node::SubjectIn(role, group) => {
                let subject = frame.subject(*role);
                *subject.uid == **group || subject.record.is_some_and(|record| record.is_in(group))
            }
            Node::SubjectHasField(role, symbol) => {
                let subject = frame.subject(*role);
                subject.record.is_some_and(|record| self.has_attribute(record, *symbol, frame))
            }
            Node::In(member, groups) => self.is_in(*member, *groups, frame)?,
            Node::HasField(of, symbol) => match self.evaluate(*of, frame)? {
                Operand::Record(record) => record.find(*symbol).is_some(),
                Operand::Entity(uid) => {
                    frame.record(uid).is_some_and(|record| self.has_attribute(record, *symbol, frame))
                }
                _ => return Err(Failure::WrongType),
            },
            Node::HasTag(of, name) => match (self.evaluate(*of, frame)?, self.evaluate(*name, frame)?) {
                (Operand::Entity(uid), Operand::String(name)) => {
                    frame.record(uid).is_some_and(|record| find_tag(record, name, frame).is_some())
                }
                _ => return Err(Failure::WrongType),
            },
            Node::Like(text, pattern) => match self.evaluate(*text, frame)? {
                Operand::String(text) => pattern.matches(text),
                _ => return Err(Failure::WrongType),
            },
            Node::Is(entity, kind) => match self.evaluate(*entity, frame)? {
                Operand::Entity(uid) => uid.kind() == kind,
                _ => return Err(Failure::WrongType),
            },
            _ => match self.evaluate(id, frame)? {
                Operand::Bool(value) => value,
                _ => return Err(Failure::WrongType),
            },
        })
    }

    /// The value `deciding`, when some part has it; what stands behind that part is not looked at.
    #[inline]
    fn find_part(&self, parts: &[NodeId], deciding: bool, frame: &Frame<'_>) -> Result<Option<bool>, Failure> {
        for part in parts {
            if self.test(*part, frame)? == deciding {
                return Ok(Some(deciding));
            }
        }
        Ok(None)
    }

    /// The value of an expression that is only read, which most are, where there is one.
    #[inline]
    fn read<'a>(&'a self, id: NodeId, frame: &Frame<'a>) -> Option<&'a Datum> {
        match self.node(id) {
            Node::Constant(value) => Some(value),
            Node::Attribute(symbol) => frame.attribute(*symbol),
            Node::SubjectField(role, symbol) => frame.subject(*role).record?.attribute(*symbol),
            Node::State(field) => state(frame, *field),
            _ => None,
        }
    }

    /// The value of any expression.
    #[inline]
    fn evaluate<'a>(&'a self, id: NodeId, frame: &Frame<'a>) -> Evaluated<'a> {
        match self.read(id, frame) {
            Some(value) => Ok(value.as_operand()),
            None => self.compute(id, frame),
        }
    }

    #[inline(never)]
    fn compute<'a>(&'a self, id: NodeId, frame: &Frame<'a>) -> Evaluated<'a> {
        match self.node(id) {
            Node::Constant(value) => Ok(value.as_operand()),
            Node::Principal => Ok(Operand::Entity(frame.principal.uid)),
            Node::Resource => Ok(Operand::Entity(frame.resource.uid)),
            // These are read where they are there.
            Node::SubjectField(role, symbol) => match frame.subject(*role).record {
                Some(record) => {
                    self.has_attribute(record, *symbol, frame);
                    Err(Failure::AttributeMissing)
                }
                None => Err(Failure::EntityUnknown),
            },
            Node::Attribute(_) | Node::State(_) => Err(Failure::AttributeMissing),
            Node::Field(of, symbol) => self.field(*of, *symbol, frame),
            Node::Tag(of, name) => match (self.evaluate(*of, frame)?, self.evaluate(*name, frame)?) {
                (Operand::Entity(uid), Operand::String(name)) => {
                    let record = frame.record(uid).ok_or(Failure::EntityUnknown)?;
                    find_tag(record, name, frame).map(Datum::as_operand).ok_or(Failure::AttributeMissing)
                }
                _ => Err(Failure::WrongType),
            },
            Node::If(test, then, otherwise) => {
                let chosen = if self.test(*test, frame)? { then } else { otherwise };
                self.evaluate(*chosen, frame)
            }
            Node::Unary(operator, operand) => operator.apply(self.evaluate(*operand, frame)?),
            Node::Arithmetic(operator, left, right) => {
                let (left, right) = (self.evaluate(*left, frame)?, self.evaluate(*right, frame)?);
                operator.apply(left, right).map(Operand::Long)
            }
            Node::Call(function, arguments) => self.call(*function, arguments, frame),
            Node::Counter(level, name, kind) => counter(frame, *level, name, *kind),
            Node::Remembered(level, name) => remembered(frame, *level, name),
            Node::Fail(failure) => Err(*failure),
            Node::Action => Ok(Operand::Entity(&frame.action.name)),
            Node::Context(part) => match part.declared() {
                Some(declared) if !declares(frame, declared) => Err(Failure::AttributeMissing),
                _ => Ok(frame.scratch.keep(Datum::Record(Arc::new(self.part(*part, frame))))),
            },
            Node::Set(_) => {
                let mut members = SmallVec::new();
                self.members(id, frame, &mut members)?;
                let set: Set = members.into_iter().map(Operand::to_datum).collect();
                Ok(frame.scratch.keep(Datum::Set(Arc::new(set))))
            }
            Node::Record(fields) => {
                let fields = fields.iter().map(|(name, value)| Ok((*name, self.evaluate(*value, frame)?.to_datum())));
                let record = fields.collect::<Result<Record, Failure>>()?;
                Ok(frame.scratch.keep(Datum::Record(Arc::new(record))))
            }
            Node::HasAttribute(_)
            | Node::Declares(_)
            | Node::And(_)
            | Node::Or(_)
            | Node::Relation(..)
            | Node::In(..)
            | Node::SubjectIn(..)
            | Node::SubjectHasField(..)
            | Node::HasField(..)
            | Node::HasTag(..)
            | Node::Like(..)
            | Node::Is(..) => self.test(id, frame).map(Operand::Bool),
        }
    }

    fn field<'a>(&'a self, of: NodeId, symbol: Symbol, frame: &Frame<'a>) -> Evaluated<'a> {
        let found = match self.evaluate(of, frame)? {
            Operand::Record(record) => record.find(symbol),
            Operand::Entity(uid) => {
                let record = frame.record(uid).ok_or(Failure::EntityUnknown)?;
                let found = record.attribute(symbol);
                if found.is_none() {
                    self.has_attribute(record, symbol, frame);
                }
                found
            }
            _ => return Err(Failure::WrongType),
        };
        found.map(Datum::as_operand).ok_or(Failure::AttributeMissing)
    }

    /// Whether an entity has an attribute; where it does not, that is noted.
    #[inline]
    fn has_attribute(&self, record: &EntityRecord, symbol: Symbol, frame: &Frame<'_>) -> bool {
        let is_there = record.attribute(symbol).is_some();
        if !is_there {
            let looked = || Looked::EntityAttribute(record.uid().name().clone(), self.symbols.name(symbol));
            frame.trace.look(looked);
        }
        is_there
    }

    /// Whether a set that is written out has this member.
    #[inline(never)]
    fn is_member(&self, set: NodeId, member: NodeId, frame: &Frame<'_>) -> Result<bool, Failure> {
        let mut members = SmallVec::new();
        self.members(set, frame, &mut members)?;
        let member = self.evaluate(member, frame)?;
        Ok(members.contains(&member))
    }

    /// The members of a set that is written out, as they are evaluated.
    fn members<'a>(
        &'a self,
        set: NodeId,
        frame: &Frame<'a>,
        members: &mut SmallVec<[Operand<'a>; OPERANDS]>,
    ) -> Result<(), Failure> {
        let Node::Set(nodes) = self.node(set) else { return Err(Failure::WrongType) };
        for node in nodes {
            members.push(self.evaluate(*node, frame)?);
        }
        Ok(())
    }

    fn call<'a>(&'a self, function: Function, arguments: &'a [NodeId], frame: &Frame<'a>) -> Evaluated<'a> {
        match arguments {
            [argument] => function.call(&[self.evaluate(*argument, frame)?]),
            [first, second] => function.call(&[self.evaluate(*first, frame)?, self.evaluate(*second, frame)?]),
            _ => {
                let mut operands: SmallVec<[Operand<'a>; OPERANDS]> = SmallVec::new();
                for argument in arguments {
                    operands.push(self.evaluate(*argument, frame)?);
                }
                function.call(&operands)
            }
        }
    }

    fn is_in(&self, member: NodeId, groups: NodeId, frame: &Frame<'_>) -> Result<bool, Failure> {
        let member = self.evaluate(member, frame)?;
        if matches!(self.node(groups), Node::Set(_)) {
            return self.is_in_any_of(member, groups, frame);
        }
        match (member, self.evaluate(groups, frame)?) {
            (Operand::Entity(member), Operand::Entity(group)) => Ok(is_in(member, group, frame)),
            (Operand::Entity(member), Operand::Set(groups)) if groups.is_of_entities() => {
                Ok(is_in_any(member, groups, frame))
            }
            _ => Err(Failure::WrongType),
        }
    }

    /// Whether the member is in any of a set that is written out.
    #[inline(never)]
    fn is_in_any_of<'a>(&'a self, member: Operand<'a>, groups: NodeId, frame: &Frame<'a>) -> Result<bool, Failure> {
        let mut members = SmallVec::new();
        self.members(groups, frame, &mut members)?;
        let Operand::Entity(member) = member else { return Err(Failure::WrongType) };
        any_group(member, members.into_iter(), frame)
    }

    /// A part of the context as a record.
    fn part(&self, part: Part, frame: &Frame<'_>) -> Record {
        if part == Part::Request {
            return frame.attributes().map(|(name, value)| (name, value.clone())).collect();
        }
        let parts = part.parts().iter().filter(|(.., needs)| needs.is_none_or(|needs| declares(frame, needs)));
        let parts = parts.map(|(name, part, _)| (*name, Datum::Record(Arc::new(self.part(*part, frame)))));
        let fields = part.state().iter().filter_map(|(name, field)| Some((*name, state(frame, *field)?.clone())));
        // Every name is one of the schema's, so that every symbol is known.
        let known = |(name, value): (&str, Datum)| Some((self.symbols.find(name)?, value));
        match part {
            Part::Counts(level) => {
                let value = |(name, kind)| Some((MemoryName::as_str(name), counter(frame, level, name, kind).ok()?));
                let counters = self.memory.counters(level).filter_map(value);
                counters.filter_map(|(name, value)| known((name, value.to_datum()))).collect()
            }
            Part::Sets(level) => {
                let value = |name| Some((MemoryName::as_str(name), remembered(frame, level, name).ok()?));
                let sets = self.memory.sets(level).filter_map(value);
                sets.filter_map(|(name, value)| known((name, value.to_datum()))).collect()
            }
            _ => parts.chain(fields).filter_map(known).collect(),
        }
    }

    #[expect(clippy::indexing_slicing, reason = "the compiler made the ids and the nodes, and nothing changes them")]
    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    fn is_shared(&self, id: NodeId) -> bool {
        self.shared.get(id.0 as usize).copied().unwrap_or(false)
    }
}

fn is_in<'a>(member: &'a Uid, group: &Uid, frame: &Frame<'a>) -> bool {
    member == group || frame.record(member).is_some_and(|record| record.is_in(group))
}

/// Whether the member is in any entity of a set.
fn is_in_any<'a>(member: &'a Uid, groups: &Set, frame: &Frame<'a>) -> bool {
    let contains = |uid: &Uid| groups.contains(Operand::Entity(uid));
    contains(member)
        || frame.record(member).is_some_and(|record| {
            let ancestors = record.ancestors();
            // Whichever are fewer are looked at one by one.
            if ancestors.len() <= groups.len() {
                return ancestors.iter().any(|ancestor| contains(ancestor));
            }
            groups.iter().any(|group| matches!(group, Datum::Entity(group) if ancestors.contains(group)))
        })
}

/// Whether the member is in any of these, all of which must be entities.
fn any_group<'a, 'g>(
    member: &'a Uid,
    groups: impl Iterator<Item = Operand<'g>>,
    frame: &Frame<'a>,
) -> Result<bool, Failure> {
    let mut found = false;
    for group in groups {
        let Operand::Entity(group) = group else { return Err(Failure::WrongType) };
        found = found || is_in(member, group, frame);
    }
    Ok(found)
}

/// A tag's value; where there is none, that is noted.
fn find_tag<'a>(record: &'a EntityRecord, name: &str, frame: &Frame<'_>) -> Option<&'a Datum> {
    let tag = record.tag(name);
    if tag.is_none() {
        frame.trace.look(|| Looked::EntityAttribute(record.uid().name().clone(), name.into()));
    }
    tag
}

fn declares(frame: &Frame<'_>, declared: Declared) -> bool {
    match declared {
        Declared::Session => frame.action.reads_session,
        Declared::Tree => frame.action.reads_tree,
        Declared::Principal => frame.action.reads_principal,
    }
}

/// A counter's number.
fn counter<'a>(frame: &Frame<'a>, level: Level, name: &MemoryName, kind: CounterKind) -> Evaluated<'a> {
    if !declares(frame, level.into()) {
        return Err(Failure::AttributeMissing);
    }
    let zero = match kind {
        CounterKind::Whole => Amount::Whole(0),
        CounterKind::Decimal => Amount::Decimal(0),
    };
    let amount = frame.chain.map_or(zero, |chain| chain.recall().count(level, name, kind, frame.now));
    Ok(match amount {
        Amount::Whole(number) => Operand::Long(number),
        Amount::Decimal(ten_thousandths) => Operand::Decimal(ten_thousandths),
    })
}

/// A remembered set.
fn remembered<'a>(frame: &Frame<'a>, level: Level, name: &MemoryName) -> Evaluated<'a> {
    if !declares(frame, level.into()) {
        return Err(Failure::AttributeMissing);
    }
    let Some(chain) = frame.chain else { return Ok(Operand::Set(&NOTHING)) };
    frame.trace.look(|| Looked::Set(level, name.clone()));
    Ok(match chain.recall().set(level, name, frame.now) {
        Recalled::Nothing => Operand::Set(&NOTHING),
        Recalled::All(set) => Operand::Set(set),
        Recalled::Some(set) => frame.scratch.keep(Datum::Set(Arc::new(set))),
    })
}

/// What the context says beside the request; `None` where the action does not declare it.
#[inline(never)]
fn state<'a>(frame: &Frame<'a>, field: State) -> Option<&'a Datum> {
    if !declares(frame, field.declared()) {
        return None;
    }
    let facts = frame.chain.map_or_else(|| &*NO_SESSION, |chain| chain.facts());
    Some(match field {
        State::SessionExists if frame.chain.is_some() => &EXISTS,
        State::SessionExists => &EXISTS_NOT,
        State::SessionId => &facts.id,
        State::SessionOwner => &facts.owner,
        State::TaskId => &facts.task_id,
        State::TaskPurpose => &facts.task_purpose,
        State::SessionLabels => &facts.labels,
        State::SessionRisk => &frame.scratch.risk,
        State::SessionAge => &frame.scratch.age,
        State::SessionIdle => &frame.scratch.idle,
        State::DelegationDepth => &facts.depth,
        State::DelegationChain => facts.chain(),
        State::TreeId => &facts.tree,
        State::TreeLabels => &facts.tree_labels,
        State::PrincipalLabels => &facts.principal_labels,
    })
}
