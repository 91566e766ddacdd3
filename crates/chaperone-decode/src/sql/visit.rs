//! The parts of a statement, as the visitor comes by them.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, Select, SelectItem, SetExpr, Statement, TableFactor,
    Visitor,
};

use super::action::Action;
use super::walk::Walk;
use super::{Dialect, reserved};
use crate::Undecodable;

impl Walk<'_> {
    fn query(&mut self, query: &Query) -> Result<(), Undecodable> {
        self.scopes.enter_query(query, self.options)?;
        let mut pending = vec![&*query.body];
        while let Some(part) = pending.pop() {
            match part {
                SetExpr::SetOperation { left, right, .. } => pending.extend([&**right, &**left]),
                SetExpr::Table(table) => self.read_bare(table.schema_name.as_deref(), table.table_name.as_deref())?,
                SetExpr::Select(_)
                | SetExpr::Query(_)
                | SetExpr::Values(_)
                | SetExpr::Insert(_)
                | SetExpr::Update(_)
                | SetExpr::Delete(_)
                | SetExpr::Merge(_) => {}
            }
        }
        Ok(())
    }

    /// Adds what `TABLE name` reads. The parser keeps the name but not its quotes, so it has to be one that needs none.
    fn read_bare(&mut self, schema: Option<&str>, table: Option<&str>) -> Result<(), Undecodable> {
        let mut name = Vec::new();
        for part in [schema, table].into_iter().flatten() {
            if part
                .chars()
                .any(|character| character != '_' && !character.is_ascii_lowercase() && !character.is_ascii_digit())
            {
                return Err(Undecodable::new("a name behind TABLE that may need quotes"));
            }
            name.push(Ident::new(part));
        }
        let table = self.options.table(&ObjectName::from(name))?;
        self.scopes.read(&table)?;
        self.facts.columns.insert("*".into());
        self.table_named(Action::Select, &table)
    }

    fn select(&mut self, select: &Select) -> Result<(), Undecodable> {
        for item in &select.projection {
            if matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)) {
                self.facts.columns.insert("*".into());
            }
        }
        match &select.into {
            Some(into) => self.select_into(into),
            None => Ok(()),
        }
    }

    fn table_factor(&mut self, factor: &TableFactor) -> Result<(), Undecodable> {
        if self.targets.contains(&std::ptr::from_ref(factor).addr()) {
            return Ok(());
        }
        match factor {
            TableFactor::Table { name, args: None, .. } => self.read_or_stage(name),
            TableFactor::Table { name, args: Some(args), .. } => {
                // SQL Server has hints in such parentheses: `secrets (NOLOCK)`.
                if self.options.dialect == Dialect::Mssql && args.args.iter().any(may_be_hint) {
                    self.read(name)?;
                }
                self.call(name)
            }
            TableFactor::Function { name, .. } => self.call(name),
            TableFactor::TableFunction { expr, .. } => match expr {
                Expr::Function(_) => Ok(()),
                // `TABLE('name')` of Snowflake.
                _ => Err(Undecodable::new("the name of a table is computed")),
            },
            TableFactor::SemanticView { name, .. } => self.read(name),
            TableFactor::Derived { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::NestedJoin { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::UnpivotExpr { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::XmlTable { .. } => Ok(()),
        }
    }

    fn expr(&mut self, expr: &Expr) -> Result<(), Undecodable> {
        let column = match expr {
            Expr::Function(function) => return self.function(function),
            Expr::Identifier(ident) => ident,
            Expr::CompoundIdentifier(parts) => match parts.last() {
                Some(ident) => ident,
                None => return Ok(()),
            },
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => {
                self.facts.columns.insert("*".into());
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.column(column);
        Ok(())
    }

    /// Notes that a column is named.
    pub fn column(&mut self, column: &Ident) {
        // What is no name of a column, such as a string in its place, is none that a policy could ask for.
        if let Ok(column) = self.options.fold(column) {
            self.facts.columns.insert(column);
        }
    }
}

/// Whether the argument of a function could be the hint of a table: `NOLOCK`, `INDEX(1)`.
fn may_be_hint(argument: &FunctionArg) -> bool {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(word))) => !word.value.starts_with('@'),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(_)))
        | FunctionArg::Named { .. }
        | FunctionArg::ExprNamed { .. } => true,
        FunctionArg::Unnamed(_) => false,
    }
}

fn flow(result: Result<(), Undecodable>) -> ControlFlow<Undecodable> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(undecodable) => ControlFlow::Break(undecodable),
    }
}

impl Visitor for Walk<'_> {
    type Break = Undecodable;

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Undecodable> {
        flow(self.enter_statement(statement))
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Undecodable> {
        flow(self.query(query))
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Undecodable> {
        let locked = if query.locks.is_empty() { Ok(()) } else { self.lock_rows() };
        self.scopes.leave_query(query);
        flow(locked)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Undecodable> {
        self.scopes.enter_select(select);
        flow(self.select(select))
    }

    fn post_visit_select(&mut self, select: &Select) -> ControlFlow<Undecodable> {
        self.scopes.leave_select(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Undecodable> {
        flow(self.table_factor(factor))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Undecodable> {
        flow(self.expr(expr))
    }

    fn pre_visit_ident(&mut self, ident: &Ident) -> ControlFlow<Undecodable> {
        if ident.quote_style.is_none() && reserved::is_reserved(&ident.value, self.options.dialect) {
            return ControlFlow::Break(Undecodable::new("a reserved word stands where a name should"));
        }
        ControlFlow::Continue(())
    }
}
