//! Cedar's expressions to a program: names numbered, constants computed, equal expressions stored once.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Literal, UnaryOp, Var};
use smol_str::{SmolStr, ToSmolStr as _};

use super::data::{Datum, Operand};
use super::function::Function;
use super::operator::{Arithmetic, Relation, Unary};
use super::pattern::Pattern;
use super::program::{Declared, Node, NodeId, Part, Program, Reads, Role};
use super::symbol::{Symbol, Symbols};
use super::uid::Uid;
use crate::convert;
use crate::decision::Failure;
use crate::effects::MemoryLayout;

/// An expression that Cedar accepts and this compiler does not know.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum UnsupportedExpression {
    /// A function.
    #[error("the function `{0}` is not supported")]
    Function(SmolStr),
    /// Something else, which no text of a static policy gives.
    #[error("an expression of this kind is not supported")]
    Other,
}

/// A policy's condition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Condition {
    /// It holds, whatever is asked.
    Always,
    /// It never does.
    Never,
    /// It holds when all of these do; they are looked at in order.
    When(Box<[NodeId]>),
}

/// Builds a [`Program`] of several conditions.
///
/// It recurses as deeply as expressions nest, which the text's own limit bounds.
#[derive(Debug)]
pub(crate) struct Compiler {
    nodes: Vec<Node>,
    places: HashMap<Node, NodeId>,
    symbols: Arc<Symbols>,
    memory: Arc<MemoryLayout>,
    reads: Reads,
    /// In how many conditions each part of one stands.
    uses: HashMap<NodeId, usize>,
}

type Compiled = Result<NodeId, UnsupportedExpression>;

impl Compiler {
    /// For policies of one schema.
    pub(crate) fn new(symbols: &Arc<Symbols>, memory: &Arc<MemoryLayout>) -> Self {
        Self {
            nodes: Vec::new(),
            places: HashMap::new(),
            symbols: Arc::clone(symbols),
            memory: Arc::clone(memory),
            reads: Reads::default(),
            uses: HashMap::new(),
        }
    }

    /// Adds a condition.
    ///
    /// # Errors
    /// When something in it is not supported.
    pub(crate) fn condition(&mut self, condition: Option<&Expr>) -> Result<Condition, UnsupportedExpression> {
        let Some(condition) = condition else { return Ok(Condition::Always) };
        let node = self.expression(condition)?;
        let parts: Box<[NodeId]> = match self.node(node) {
            Node::Constant(Datum::Bool(true)) => return Ok(Condition::Always),
            Node::Constant(Datum::Bool(false)) => return Ok(Condition::Never),
            Node::And(parts) => parts.clone(),
            _ => [node].into(),
        };
        for part in &parts {
            *self.uses.entry(*part).or_default() += 1;
        }
        Ok(Condition::When(parts))
    }

    /// The program of everything that was added.
    pub(crate) fn finish(self) -> Program {
        // What is read at once costs no more than to remember it.
        let is_cheap = |node: &Node| {
            matches!(
                node,
                Node::HasAttribute(_)
                    | Node::SubjectHasField(..)
                    | Node::Declares(_)
                    | Node::State(_)
                    | Node::Constant(_)
                    | Node::Fail(_)
            )
        };
        let shared = (0..)
            .zip(&self.nodes)
            .map(|(place, node)| !is_cheap(node) && self.uses.get(&NodeId(place)).is_some_and(|uses| *uses > 1));
        let shared = shared.collect();
        let (symbols, memory) = (self.symbols, self.memory);
        Program { nodes: self.nodes.into_boxed_slice(), symbols, memory, reads: self.reads, shared }
    }

    fn expression(&mut self, expression: &Expr) -> Compiled {
        match expression.expr_kind() {
            ExprKind::Lit(literal) => Ok(self.constant(datum(literal))),
            ExprKind::Var(Var::Principal) => Ok(self.add(Node::Principal)),
            ExprKind::Var(Var::Action) => Ok(self.add(Node::Action)),
            ExprKind::Var(Var::Resource) => Ok(self.add(Node::Resource)),
            ExprKind::Var(Var::Context) => Ok(self.context(Part::Whole)),
            ExprKind::If { test_expr, then_expr, else_expr } => self.conditional(test_expr, then_expr, else_expr),
            ExprKind::And { left, right } => {
                let parts = [self.expression(left)?, self.expression(right)?];
                Ok(self.and(parts))
            }
            ExprKind::Or { left, right } => {
                let parts = [self.expression(left)?, self.expression(right)?];
                Ok(self.or(parts))
            }
            ExprKind::UnaryApp { op, arg } => self.unary(*op, arg),
            ExprKind::BinaryApp { op, arg1, arg2 } => self.binary(*op, arg1, arg2),
            ExprKind::ExtensionFunctionApp { fn_name, args } => self.call(&fn_name.to_smolstr(), args),
            ExprKind::GetAttr { expr, attr } => match context_part(expr) {
                Some(part) => Ok(self.context_field(part, attr)),
                None => self.field(expr, attr),
            },
            ExprKind::HasAttr { expr, attr } => match context_part(expr) {
                Some(part) => Ok(self.context_has(part, attr)),
                None => self.has_field(expr, attr),
            },
            ExprKind::ExtHasAttr { expr, attrs } => self.has_path(expr, attrs.iter()),
            ExprKind::Like { expr, pattern } => {
                let operand = self.expression(expr)?;
                let pattern = Pattern::new(pattern);
                Ok(match self.node(operand) {
                    Node::Constant(Datum::String(text)) => {
                        let matches = pattern.matches(text);
                        self.constant(Datum::Bool(matches))
                    }
                    _ => self.add(Node::Like(operand, Box::new(pattern))),
                })
            }
            ExprKind::Is { expr, entity_type } => {
                let operand = self.expression(expr)?;
                let kind = entity_type.to_smolstr();
                Ok(match self.node(operand) {
                    Node::Constant(Datum::Entity(uid)) => {
                        let is = *uid.kind() == kind;
                        self.constant(Datum::Bool(is))
                    }
                    _ => self.add(Node::Is(operand, kind)),
                })
            }
            ExprKind::Set(members) => {
                let members = members.iter().map(|member| self.expression(member)).collect::<Result<Box<_>, _>>()?;
                Ok(match self.constants(&members) {
                    Some(members) => self.constant(Datum::Set(Arc::new(members.into_iter().collect()))),
                    None => self.add(Node::Set(members)),
                })
            }
            ExprKind::Record(fields) => {
                let fields = fields.iter().map(|(name, value)| Ok((self.symbol(name), self.expression(value)?)));
                let fields = fields.collect::<Result<Box<[(Symbol, NodeId)]>, _>>()?;
                let values: Vec<_> = fields.iter().map(|(_, value)| *value).collect();
                Ok(match self.constants(&values) {
                    Some(values) => {
                        let names = fields.iter().map(|(name, _)| *name);
                        self.constant(Datum::Record(Arc::new(names.zip(values).collect())))
                    }
                    None => self.add(Node::Record(fields)),
                })
            }
            // Neither is in the text of a static policy. Cedar has more such kinds with features that others may turn on.
            #[allow(clippy::match_wildcard_for_single_variants, reason = "which kinds there are depends on features")]
            _ => Err(UnsupportedExpression::Other),
        }
    }

    fn conditional(&mut self, test: &Expr, then: &Expr, otherwise: &Expr) -> Compiled {
        let test = self.expression(test)?;
        match self.node(test) {
            Node::Constant(Datum::Bool(true)) => self.expression(then),
            Node::Constant(Datum::Bool(false)) => self.expression(otherwise),
            _ => {
                let (then, otherwise) = (self.expression(then)?, self.expression(otherwise)?);
                Ok(self.add(Node::If(test, then, otherwise)))
            }
        }
    }

    fn and(&mut self, parts: impl IntoIterator<Item = NodeId>) -> NodeId {
        self.connect(parts, false)
    }

    fn or(&mut self, parts: impl IntoIterator<Item = NodeId>) -> NodeId {
        self.connect(parts, true)
    }

    /// Parts that are looked at in order, up to the first whose value is the deciding one.
    fn connect(&mut self, parts: impl IntoIterator<Item = NodeId>, deciding: bool) -> NodeId {
        let mut flat = Vec::new();
        for part in parts {
            match (self.node(part), deciding) {
                (Node::Constant(Datum::Bool(value)), _) if *value != deciding => {}
                (Node::And(nested), false) | (Node::Or(nested), true) => flat.extend_from_slice(nested),
                _ => flat.push(part),
            }
            if self.ends(flat.last().copied(), deciding) {
                break;
            }
        }
        match flat.as_slice() {
            [] => self.constant(Datum::Bool(!deciding)),
            [part] if self.is_boolean(*part) => *part,
            // A first part that decides or fails does so alone.
            [first, ..] if self.ends(Some(*first), deciding) => *first,
            _ if deciding => self.add(Node::Or(flat.into())),
            _ => self.add(Node::And(flat.into())),
        }
    }

    /// Whether nothing behind this part is ever looked at: it is the value that decides, or it fails.
    fn ends(&self, part: Option<NodeId>, deciding: bool) -> bool {
        match part.map(|part| self.node(part)) {
            Some(Node::Constant(Datum::Bool(value))) => *value == deciding,
            Some(Node::Fail(_)) => true,
            _ => false,
        }
    }

    /// Whether a value of this can be nothing but a `Bool`.
    fn is_boolean(&self, node: NodeId) -> bool {
        matches!(
            self.node(node),
            Node::Constant(Datum::Bool(_))
                | Node::Fail(_)
                | Node::HasAttribute(_)
                | Node::Declares(_)
                | Node::And(_)
                | Node::Or(_)
                | Node::Unary(Unary::Not | Unary::IsEmpty, _)
                | Node::Relation(..)
                | Node::In(..)
                | Node::SubjectIn(..)
                | Node::SubjectHasField(..)
                | Node::HasField(..)
                | Node::HasTag(..)
                | Node::Like(..)
                | Node::Is(..)
        )
    }

    fn unary(&mut self, operator: UnaryOp, operand: &Expr) -> Compiled {
        let operand = self.expression(operand)?;
        let operator = match operator {
            UnaryOp::Not => Unary::Not,
            UnaryOp::Neg => Unary::Negate,
            UnaryOp::IsEmpty => Unary::IsEmpty,
        };
        Ok(match self.node(operand) {
            Node::Constant(value) => {
                let result = operator.apply(value.as_operand()).map(Operand::to_datum);
                self.result(result)
            }
            _ => self.add(Node::Unary(operator, operand)),
        })
    }

    fn binary(&mut self, operator: BinaryOp, left: &Expr, right: &Expr) -> Compiled {
        let (left, right) = (self.expression(left)?, self.expression(right)?);
        Ok(match operator {
            BinaryOp::Eq => self.relation(Relation::Equal, left, right),
            BinaryOp::Less => self.relation(Relation::Less, left, right),
            BinaryOp::LessEq => self.relation(Relation::LessOrEqual, left, right),
            BinaryOp::Contains => self.relation(Relation::Contains, left, right),
            BinaryOp::ContainsAll => self.relation(Relation::ContainsAll, left, right),
            BinaryOp::ContainsAny => self.relation(Relation::ContainsAny, left, right),
            BinaryOp::Add => self.arithmetic(Arithmetic::Add, left, right),
            BinaryOp::Sub => self.arithmetic(Arithmetic::Subtract, left, right),
            BinaryOp::Mul => self.arithmetic(Arithmetic::Multiply, left, right),
            BinaryOp::In => self.membership(left, right),
            BinaryOp::GetTag => self.add(Node::Tag(left, right)),
            BinaryOp::HasTag => self.add(Node::HasTag(left, right)),
        })
    }

    fn relation(&mut self, relation: Relation, left: NodeId, right: NodeId) -> NodeId {
        match (self.node(left), self.node(right)) {
            (Node::Constant(a), Node::Constant(b)) => {
                let result = relation.holds(a.as_operand(), b.as_operand()).map(Datum::Bool);
                self.result(result)
            }
            _ => self.add(Node::Relation(relation, left, right)),
        }
    }

    fn membership(&mut self, member: NodeId, groups: NodeId) -> NodeId {
        match (role(self.node(member)), self.node(groups)) {
            (Some(role), Node::Constant(Datum::Entity(group))) => {
                let group = Arc::clone(group);
                self.add(Node::SubjectIn(role, group))
            }
            _ => self.add(Node::In(member, groups)),
        }
    }

    fn arithmetic(&mut self, operator: Arithmetic, left: NodeId, right: NodeId) -> NodeId {
        match (self.node(left), self.node(right)) {
            (Node::Constant(a), Node::Constant(b)) => {
                let result = operator.apply(a.as_operand(), b.as_operand()).map(Datum::Long);
                self.result(result)
            }
            _ => self.add(Node::Arithmetic(operator, left, right)),
        }
    }

    fn call(&mut self, name: &SmolStr, arguments: &[Expr]) -> Compiled {
        let function = Function::of(name).ok_or_else(|| UnsupportedExpression::Function(name.clone()))?;
        let arguments = arguments.iter().map(|argument| self.expression(argument)).collect::<Result<Box<_>, _>>()?;
        Ok(match self.constants(&arguments) {
            Some(values) => {
                let operands: Vec<_> = values.iter().map(Datum::as_operand).collect();
                self.result(function.call(&operands).map(Operand::to_datum))
            }
            None => self.add(Node::Call(function, arguments)),
        })
    }

    fn field(&mut self, expression: &Expr, name: &SmolStr) -> Compiled {
        let of = self.expression(expression)?;
        let symbol = self.symbol(name);
        Ok(match self.node(of) {
            Node::Constant(Datum::Record(record)) => {
                let value = record.find(symbol).cloned().ok_or(Failure::AttributeMissing);
                self.result(value)
            }
            node => match role(node) {
                Some(role) => self.add(Node::SubjectField(role, symbol)),
                None => self.add(Node::Field(of, symbol)),
            },
        })
    }

    fn has_field(&mut self, expression: &Expr, name: &SmolStr) -> Compiled {
        let of = self.expression(expression)?;
        let symbol = self.symbol(name);
        Ok(match self.node(of) {
            Node::Constant(Datum::Record(record)) => {
                let has = record.find(symbol).is_some();
                self.constant(Datum::Bool(has))
            }
            node => match role(node) {
                Some(role) => self.add(Node::SubjectHasField(role, symbol)),
                None => self.add(Node::HasField(of, symbol)),
            },
        })
    }

    /// `e has a.b` is `e has a && e.a has b`.
    fn has_path<'n>(&mut self, expression: &Expr, names: impl Iterator<Item = &'n SmolStr>) -> Compiled {
        let mut of = expression.clone();
        let mut parts = Vec::new();
        for name in names {
            parts.push(self.expression(&Expr::has_attr(of.clone(), name.clone()))?);
            of = Expr::get_attr(of, name.clone());
        }
        Ok(self.and(parts))
    }

    fn context(&mut self, part: Part) -> NodeId {
        self.reads.all |= matches!(part, Part::Whole | Part::Request);
        self.add(Node::Context(part))
    }

    fn context_field(&mut self, part: Part, name: &SmolStr) -> NodeId {
        if part == Part::Request {
            return match self.symbols.find(name) {
                Some(symbol) => {
                    self.reads.attributes.insert(symbol);
                    self.add(Node::Attribute(symbol))
                }
                None => self.add(Node::Fail(Failure::AttributeMissing)),
            };
        }
        if let Some(part) = part_named(part, name) {
            return self.context(part);
        }
        if let Some(node) = self.remembered(part, name) {
            return self.add(node);
        }
        match part.state().iter().find(|(field, _)| field == name) {
            Some((_, state)) => self.add(Node::State(*state)),
            None => self.add(Node::Fail(Failure::AttributeMissing)),
        }
    }

    fn context_has(&mut self, part: Part, name: &SmolStr) -> NodeId {
        let declared = |declared: Declared| Node::Declares(declared);
        match part {
            Part::Whole => match part.parts().iter().find(|(field, ..)| field == name) {
                Some((.., Some(needs))) => self.add(declared(*needs)),
                found => self.constant(Datum::Bool(found.is_some())),
            },
            Part::Request => match self.symbols.find(name) {
                Some(symbol) => {
                    self.reads.attributes.insert(symbol);
                    self.add(Node::HasAttribute(symbol))
                }
                None => self.constant(Datum::Bool(false)),
            },
            Part::Session | Part::Task | Part::Tree | Part::Principal | Part::Counts(_) | Part::Sets(_) => {
                let has = part_named(part, name).is_some()
                    || self.remembered(part, name).is_some()
                    || part.state().iter().any(|(field, _)| field == name);
                let has = self.constant(Datum::Bool(has));
                let Some(needs) = part.declared() else { return has };
                // To ask a part that is not there for anything fails.
                let (test, fail) = (self.add(declared(needs)), self.add(Node::Fail(Failure::AttributeMissing)));
                self.add(Node::If(test, has, fail))
            }
        }
    }

    /// A counter or a set that the bundle's policies keep.
    fn remembered(&self, part: Part, name: &SmolStr) -> Option<Node> {
        match part {
            Part::Counts(level) => {
                self.memory.counter(level, name).map(|(name, kind)| Node::Counter(level, name.clone(), kind))
            }
            Part::Sets(level) => self.memory.set(level, name).map(|name| Node::Remembered(level, name.clone())),
            Part::Whole | Part::Request | Part::Session | Part::Task | Part::Tree | Part::Principal => None,
        }
    }

    fn symbol(&mut self, name: &SmolStr) -> Symbol {
        match self.symbols.find(name) {
            Some(symbol) => symbol,
            None => Arc::make_mut(&mut self.symbols).add(name.clone()),
        }
    }

    fn constant(&mut self, value: Datum) -> NodeId {
        self.add(Node::Constant(value))
    }

    fn result(&mut self, result: Result<Datum, Failure>) -> NodeId {
        self.add(result.map_or_else(Node::Fail, Node::Constant))
    }

    /// The values of all of these, if all are constants.
    fn constants(&self, nodes: &[NodeId]) -> Option<Vec<Datum>> {
        nodes
            .iter()
            .map(|node| match self.node(*node) {
                Node::Constant(value) => Some(value.clone()),
                _ => None,
            })
            .collect()
    }

    fn add(&mut self, node: Node) -> NodeId {
        if let Some(known) = self.places.get(&node) {
            return *known;
        }
        // A text of so many expressions would be far larger than any bundle may be.
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(node.clone());
        self.places.insert(node, id);
        id
    }

    #[expect(clippy::indexing_slicing, reason = "ids are given out for nodes that were added, which are never removed")]
    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }
}

/// The entity of the request that this is.
fn role(node: &Node) -> Option<Role> {
    match node {
        Node::Principal => Some(Role::Principal),
        Node::Resource => Some(Role::Resource),
        _ => None,
    }
}

fn datum(literal: &Literal) -> Datum {
    match literal {
        Literal::Bool(value) => Datum::Bool(*value),
        Literal::Long(value) => Datum::Long(*value),
        Literal::String(text) => Datum::String(text.clone()),
        Literal::EntityUID(uid) => Datum::Entity(Arc::new(Uid::new(convert::entity_ref(uid)))),
    }
}

/// The part of the context that an expression names, if it names one.
fn context_part(expression: &Expr) -> Option<Part> {
    match expression.expr_kind() {
        ExprKind::Var(Var::Context) => Some(Part::Whole),
        ExprKind::GetAttr { expr, attr } => part_named(context_part(expr)?, attr),
        _ => None,
    }
}

fn part_named(part: Part, name: &SmolStr) -> Option<Part> {
    part.parts().iter().find(|(field, ..)| field == name).map(|(_, part, _)| *part)
}
