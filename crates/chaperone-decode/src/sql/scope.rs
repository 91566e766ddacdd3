//! Which names are those of common table expressions, and where.
//!
//! A name hides a table only where it is certain to: `WITH t AS (SELECT * FROM t) SELECT * FROM t` reads the table `t` once. Where
//! databases differ, or where it would take their whole rule book to know, the name counts as a table's, which asks for more rights rather
//! than for less.

use std::collections::BTreeMap;

use smol_str::SmolStr;
use sqlparser::ast::{Ident, ObjectName, Query, Select, SetExpr};

use super::{Dialect, Options};
use crate::Undecodable;

/// How often a statement may read a table.
const READS_MAX: usize = 10_000;

/// The queries that enclose a place in a statement.
#[derive(Default)]
pub(super) struct Scopes {
    stack: Vec<Scope>,
    /// The names that can be seen, each as often as it is bound.
    visible: BTreeMap<SmolStr, Vec<Binding>>,
    /// All tables that the statement has read so far, in order, with repetitions.
    reads: Vec<SmolStr>,
}

/// A name that stands for a query.
struct Binding {
    /// The name as it is written.
    spelling: SmolStr,
    /// Where in `reads` the tables of its query are.
    reads: (usize, usize),
}

struct Scope {
    /// Where `reads` was when the query began.
    reads_before: usize,
    /// Its common table expressions, in order.
    bodies: Vec<Cte>,
    /// How many of the bodies have been left.
    left: usize,
    /// Whether a body can read its own name.
    recursive: bool,
    /// For the body that is being read: where `reads` was before it, and the part of it that cannot read its own name.
    body: Option<Body>,
}

struct Cte {
    /// The address of its query.
    query: usize,
    /// Its name as it is compared, and as it is written.
    name: SmolStr,
    spelling: SmolStr,
}

struct Body {
    reads_before: usize,
    anchor: Option<usize>,
}

fn address<T>(of: &T) -> usize {
    std::ptr::from_ref(of).addr()
}

/// The first member of a union, which gives a recursive query its first rows.
fn anchor(query: &Query) -> Option<usize> {
    if query.with.is_some() || !matches!(*query.body, SetExpr::SetOperation { .. }) {
        return None;
    }
    let mut first = &*query.body;
    loop {
        match first {
            SetExpr::SetOperation { left, .. } => first = left,
            SetExpr::Select(select) => return Some(address(&**select)),
            SetExpr::Values(values) => return Some(address(values)),
            SetExpr::Query(inner) if inner.with.is_none() => first = &inner.body,
            _ => return None,
        }
    }
}

impl Scopes {
    pub fn enter_query(&mut self, query: &Query, options: &Options) -> Result<(), Undecodable> {
        let reads_before = self.reads.len();
        if let Some(outer) = self.stack.last_mut()
            && let Some(cte) = outer.bodies.get(outer.left)
            && cte.query == address(query)
        {
            let anchor = if outer.recursive { anchor(query) } else { None };
            if anchor.is_some() {
                bind(&mut self.visible, cte, (reads_before, reads_before));
            }
            outer.body = Some(Body { reads_before, anchor });
        }
        let mut scope = Scope { reads_before, bodies: Vec::new(), left: 0, recursive: false, body: None };
        if let Some(with) = &query.with {
            scope.recursive = with.recursive || matches!(options.dialect, Dialect::Mssql | Dialect::Sqlite);
            for cte in &with.cte_tables {
                let written = &cte.alias.name;
                scope.bodies.push(Cte {
                    query: address(&*cte.query),
                    name: name(written, options)?,
                    spelling: written.value.as_str().into(),
                });
            }
        }
        self.stack.push(scope);
        Ok(())
    }

    pub fn leave_query(&mut self, query: &Query) {
        if let Some(scope) = self.stack.pop() {
            for cte in scope.bodies.iter().take(scope.left) {
                unbind(&mut self.visible, &cte.name);
            }
        }
        let reads_after = self.reads.len();
        let Some(outer) = self.stack.last_mut() else {
            return;
        };
        if let Some(cte) = outer.bodies.get(outer.left)
            && cte.query == address(query)
        {
            let body = outer.body.take();
            outer.left += 1;
            if body.as_ref().is_some_and(|body| body.anchor.is_some()) {
                unbind(&mut self.visible, &cte.name);
            }
            let reads = (body.map_or(reads_after, |body| body.reads_before), reads_after);
            bind(&mut self.visible, cte, reads);
        }
    }

    /// Hides the name of a recursive query within its first member.
    pub fn enter_select(&mut self, select: &Select) {
        if let Some(cte) = anchored(&self.stack, select) {
            unbind(&mut self.visible, &cte.name);
        }
    }

    pub fn leave_select(&mut self, select: &Select) {
        if let Some(cte) = anchored(&self.stack, select) {
            bind(&mut self.visible, cte, (self.reads.len(), self.reads.len()));
        }
    }

    /// Notes that a table is read.
    pub fn read(&mut self, table: &SmolStr) -> Result<(), Undecodable> {
        if self.reads.len() >= READS_MAX {
            return Err(Undecodable::new("a statement that reads too many tables"));
        }
        self.reads.push(table.clone());
        Ok(())
    }

    /// The tables that were read within the innermost query so far.
    pub fn read_within(&self) -> &[SmolStr] {
        let from = self.stack.last().map_or(0, |scope| scope.reads_before);
        self.reads.get(from..).unwrap_or_default()
    }

    /// The tables that a common table expression reads, if the name is one's.
    pub fn resolve(&self, table: &ObjectName, options: &Options) -> Result<Option<&[SmolStr]>, Undecodable> {
        let [part] = table.0.as_slice() else {
            return Ok(None);
        };
        let Some(ident) = part.as_ident() else {
            return Ok(None);
        };
        let Some(binding) = self.visible.get(&name(ident, options)?).and_then(|bindings| bindings.last()) else {
            return Ok(None);
        };
        if options.dialect == Dialect::Mssql && binding.spelling != ident.value {
            return Err(Undecodable::new("a name that is an expression's or a table's, as the server is set up"));
        }
        Ok(Some(self.reads.get(binding.reads.0..binding.reads.1).unwrap_or_default()))
    }
}

/// The recursive query whose first member this is.
fn anchored<'s>(stack: &'s [Scope], select: &Select) -> Option<&'s Cte> {
    // Parentheses may put queries between the body and its first member.
    let scope = stack.iter().rev().find(|scope| scope.body.is_some())?;
    if scope.body.as_ref()?.anchor? != address(select) {
        return None;
    }
    scope.bodies.get(scope.left)
}

fn bind(visible: &mut BTreeMap<SmolStr, Vec<Binding>>, cte: &Cte, reads: (usize, usize)) {
    let binding = Binding { spelling: cte.spelling.clone(), reads };
    visible.entry(cte.name.clone()).or_default().push(binding);
}

fn unbind(visible: &mut BTreeMap<SmolStr, Vec<Binding>>, name: &SmolStr) {
    if let Some(bindings) = visible.get_mut(name) {
        bindings.pop();
        if bindings.is_empty() {
            visible.remove(name);
        }
    }
}

/// The name of a common table expression as it is compared.
fn name(ident: &Ident, options: &Options) -> Result<SmolStr, Undecodable> {
    match options.dialect {
        // Whether capitals count depends on the server; if they differ, it may be a table.
        Dialect::Mysql | Dialect::Bigquery => Ok(ident.value.as_str().into()),
        Dialect::Postgres | Dialect::Sqlite | Dialect::Snowflake | Dialect::Mssql => options.fold(ident),
    }
}
