//! Evaluating a program on one request.
//!
//! The meaning is Cedar's own, in every value, failure and order of evaluation; differential tests hold it to that.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use smallvec::SmallVec;

use super::compile::Condition;
use super::data::{Datum, Operand};
use super::frame::Frame;
use super::function::Function;
use super::operator::{Binary, Unary};
use super::program::{Declared, Node, NodeId, Part, Program, State};
use super::record::Record;
use super::set::Set;
use super::uid::Uid;
use crate::decision::Failure;

/// How many operands are held without allocating.
const OPERANDS: usize = 8;

static NO_LABELS: LazyLock<Set> = LazyLock::new(Set::default);

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

    fn test(&self, id: NodeId, frame: &Frame<'_>) -> Result<bool, Failure> {
        match self.node(id) {
            Node::And(parts) => {
                for part in parts {
                    if !self.test(*part, frame)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Node::Or(parts) => {
                for part in parts {
                    if self.test(*part, frame)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Node::Unary(Unary::Not, operand) => Ok(!self.test(*operand, frame)?),
            _ => match self.evaluate(id, frame)? {
                Operand::Bool(value) => Ok(value),
                _ => Err(Failure::WrongType),
            },
        }
    }

    fn evaluate<'a>(&'a self, id: NodeId, frame: &Frame<'a>) -> Evaluated<'a> {
        match self.node(id) {
            Node::Constant(value) => Ok(value.as_operand()),
            Node::Fail(failure) => Err(*failure),
            Node::Principal => Ok(Operand::Entity(frame.principal.uid)),
            Node::Action => Ok(Operand::Entity(&frame.action.name)),
            Node::Resource => Ok(Operand::Entity(frame.resource.uid)),
            Node::Attribute(symbol) => frame.attribute(*symbol).map(Datum::as_operand).ok_or(Failure::AttributeMissing),
            Node::HasAttribute(symbol) => Ok(Operand::Bool(frame.attribute(*symbol).is_some())),
            Node::State(field) if declares(frame, field.declared()) => Ok(state(frame, *field)),
            Node::State(_) => Err(Failure::AttributeMissing),
            Node::Declares(declared) => Ok(Operand::Bool(declares(frame, *declared))),
            Node::Context(part) => match part.declared() {
                Some(declared) if !declares(frame, declared) => Err(Failure::AttributeMissing),
                _ => Ok(frame.scratch.keep(Datum::Record(Arc::new(self.part(*part, frame))))),
            },
            Node::If(test, then, otherwise) => {
                let chosen = if self.test(*test, frame)? { then } else { otherwise };
                self.evaluate(*chosen, frame)
            }
            Node::And(_) | Node::Or(_) => self.test(id, frame).map(Operand::Bool),
            Node::Unary(operator, operand) => operator.apply(self.evaluate(*operand, frame)?),
            Node::Binary(Binary::Contains, set, member) if matches!(self.node(*set), Node::Set(_)) => {
                let members = self.members(*set, frame)?;
                let member = self.evaluate(*member, frame)?;
                Ok(Operand::Bool(members.contains(&member)))
            }
            Node::Binary(operator, left, right) => {
                let (left, right) = (self.evaluate(*left, frame)?, self.evaluate(*right, frame)?);
                operator.apply(left, right)
            }
            Node::In(member, groups) => self.is_in(*member, *groups, frame),
            Node::Field(of, symbol) => match self.evaluate(*of, frame)? {
                Operand::Record(record) => record.find(*symbol).map(Datum::as_operand).ok_or(Failure::AttributeMissing),
                Operand::Entity(uid) => {
                    let record = frame.record(uid).ok_or(Failure::EntityUnknown)?;
                    record.attribute(*symbol).map(Datum::as_operand).ok_or(Failure::AttributeMissing)
                }
                _ => Err(Failure::WrongType),
            },
            Node::HasField(of, symbol) => match self.evaluate(*of, frame)? {
                Operand::Record(record) => Ok(Operand::Bool(record.find(*symbol).is_some())),
                Operand::Entity(uid) => {
                    let has = frame.record(uid).is_some_and(|record| record.attribute(*symbol).is_some());
                    Ok(Operand::Bool(has))
                }
                _ => Err(Failure::WrongType),
            },
            Node::Tag(of, name) => match (self.evaluate(*of, frame)?, self.evaluate(*name, frame)?) {
                (Operand::Entity(uid), Operand::String(name)) => {
                    let record = frame.record(uid).ok_or(Failure::EntityUnknown)?;
                    record.tag(name).map(Datum::as_operand).ok_or(Failure::AttributeMissing)
                }
                _ => Err(Failure::WrongType),
            },
            Node::HasTag(of, name) => match (self.evaluate(*of, frame)?, self.evaluate(*name, frame)?) {
                (Operand::Entity(uid), Operand::String(name)) => {
                    Ok(Operand::Bool(frame.record(uid).is_some_and(|record| record.tag(name).is_some())))
                }
                _ => Err(Failure::WrongType),
            },
            Node::Like(text, pattern) => match self.evaluate(*text, frame)? {
                Operand::String(text) => Ok(Operand::Bool(pattern.matches(text))),
                _ => Err(Failure::WrongType),
            },
            Node::Is(entity, kind) => match self.evaluate(*entity, frame)? {
                Operand::Entity(uid) => Ok(Operand::Bool(uid.kind() == kind)),
                _ => Err(Failure::WrongType),
            },
            Node::Set(_) => {
                let members = self.members(id, frame)?;
                let set: Set = members.into_iter().map(Operand::to_datum).collect();
                Ok(frame.scratch.keep(Datum::Set(Arc::new(set))))
            }
            Node::Record(fields) => {
                let fields = fields.iter().map(|(name, value)| Ok((*name, self.evaluate(*value, frame)?.to_datum())));
                let record = fields.collect::<Result<Record, Failure>>()?;
                Ok(frame.scratch.keep(Datum::Record(Arc::new(record))))
            }
            Node::Call(function, arguments) => self.call(*function, arguments, frame),
        }
    }

    /// The members of a set that is written out, as they are evaluated.
    fn members<'a>(&'a self, set: NodeId, frame: &Frame<'a>) -> Result<SmallVec<[Operand<'a>; OPERANDS]>, Failure> {
        let Node::Set(members) = self.node(set) else { return Err(Failure::WrongType) };
        members.iter().map(|member| self.evaluate(*member, frame)).collect()
    }

    fn call<'a>(&'a self, function: Function, arguments: &'a [NodeId], frame: &Frame<'a>) -> Evaluated<'a> {
        let operands = arguments.iter().map(|argument| self.evaluate(*argument, frame));
        let operands = operands.collect::<Result<SmallVec<[Operand<'a>; OPERANDS]>, _>>()?;
        function.call(&operands)
    }

    fn is_in<'a>(&'a self, member: NodeId, groups: NodeId, frame: &Frame<'a>) -> Evaluated<'a> {
        let member = self.evaluate(member, frame)?;
        let found = if matches!(self.node(groups), Node::Set(_)) {
            let groups = self.members(groups, frame)?;
            let Operand::Entity(member) = member else { return Err(Failure::WrongType) };
            any_group(member, groups.into_iter(), frame)?
        } else {
            let groups = self.evaluate(groups, frame)?;
            let Operand::Entity(member) = member else { return Err(Failure::WrongType) };
            match groups {
                Operand::Entity(group) => is_in(member, group, frame),
                Operand::Set(groups) if groups.is_of_entities() => is_in_any(member, groups, frame),
                _ => return Err(Failure::WrongType),
            }
        };
        Ok(Operand::Bool(found))
    }

    /// A part of the context as a record.
    fn part(&self, part: Part, frame: &Frame<'_>) -> Record {
        if part == Part::Request {
            return frame.attributes().map(|(name, value)| (name, value.clone())).collect();
        }
        let parts = part.parts().iter().filter(|(.., needs)| needs.is_none_or(|needs| declares(frame, needs)));
        let parts = parts.map(|(name, part, _)| (*name, Datum::Record(Arc::new(self.part(*part, frame)))));
        let fields = part.state().iter().map(|(name, field)| (*name, state(frame, *field).to_datum()));
        // Every name is one of the supplied schema's, so that every symbol is known.
        parts.chain(fields).filter_map(|(name, value)| Some((self.symbols.find(name)?, value))).collect()
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

fn declares(frame: &Frame<'_>, declared: Declared) -> bool {
    match declared {
        Declared::Session => frame.action.reads_session,
        Declared::Tree => frame.action.reads_tree,
    }
}

fn state<'a>(frame: &Frame<'a>, field: State) -> Operand<'a> {
    let chain = frame.chain;
    let session = chain.map(|chain| &**chain.session());
    let text = |text: Option<&'a str>| Operand::String(text.unwrap_or_default());
    let labels = |labels: Option<&'a Set>| Operand::Set(labels.unwrap_or(&NO_LABELS));
    let seconds = |duration: Option<Duration>| {
        Operand::Long(duration.map_or(0, |duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)))
    };
    match field {
        State::SessionExists => Operand::Bool(chain.is_some()),
        State::SessionId => text(chain.map(|chain| &*chain.facts().id)),
        State::SessionOwner => text(session.map(|session| &*session.owner)),
        State::TaskId => text(session.map(|session| &*session.task.id)),
        State::TaskPurpose => text(session.map(|session| &*session.task.purpose)),
        State::SessionLabels => labels(chain.map(|chain| &chain.facts().labels)),
        State::SessionRisk => Operand::Long(0),
        State::SessionAge => seconds(session.map(|session| frame.now.since(session.opened_at))),
        State::SessionIdle => seconds(session.map(|session| frame.now.since(session.last_used_at))),
        State::DelegationDepth => Operand::Long(session.map_or(0, |session| i64::from(session.depth))),
        State::TreeId => text(chain.map(|chain| &*chain.facts().tree)),
        State::TreeLabels => labels(chain.map(|chain| &chain.facts().tree_labels)),
    }
}
