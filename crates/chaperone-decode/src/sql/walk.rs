//! A statement, walked.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use smol_str::SmolStr;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, SetExpr,
    Statement, TableFactor, Value, Visit, Visitor,
};

use super::action::{Action, Effect};
use super::facts::{DATABASE, FUNCTION, Facts, ROLE, TABLE};
use super::scope::Scopes;
use super::{Dialect, Options, reserved};
use crate::{Classes, Decoder, Resource, Undecodable};

/// What one statement does, as far as it has been walked.
pub(super) struct Walk<'a> {
    pub options: &'a Options,
    pub classes: &'a Classes,
    pub facts: Facts,
    pub scopes: Scopes,
    /// What it does, each effect once, in order.
    pub effects: Vec<(SmolStr, Resource)>,
    seen: BTreeSet<(SmolStr, &'static str, SmolStr)>,
    /// The addresses of the tables in `FROM` and the like that are not read, since they are only written.
    pub targets: BTreeSet<usize>,
    /// Within an `EXPLAIN` that runs nothing: what would be written is looked at.
    pub only_explained: bool,
    /// From here on a name without a schema or a database may mean another object than before.
    pub names_unclear: bool,
}

impl<'a> Walk<'a> {
    pub fn new(options: &'a Options, classes: &'a Classes) -> Self {
        Self {
            options,
            classes,
            facts: Facts::default(),
            scopes: Scopes::default(),
            effects: Vec::new(),
            seen: BTreeSet::new(),
            targets: BTreeSet::new(),
            only_explained: false,
            names_unclear: false,
        }
    }

    /// Walks a whole statement.
    pub fn statement(&mut self, statement: &Statement) -> Result<(), Undecodable> {
        if let ControlFlow::Break(undecodable) = statement.visit(self) {
            return Err(undecodable);
        }
        self.only_explained = false;
        if self.effects.is_empty() { self.database(Action::Select) } else { Ok(()) }
    }

    /// Adds what is done to an object that is no table.
    pub fn effect(&mut self, action: Action, kind: &'static str, id: impl Into<SmolStr>) -> Result<(), Undecodable> {
        if self.only_explained && action != Action::Explain {
            return Ok(());
        }
        if self.facts.statement.is_empty() {
            self.facts.statement = action.as_str();
        }
        match action.effect() {
            Effect::Schema => self.facts.changes_schema = true,
            Effect::Privileges => self.facts.changes_privileges = true,
            Effect::Settings => self.facts.changes_settings = true,
            Effect::Export => self.facts.exports = true,
            Effect::Read | Effect::Write | Effect::Other => {}
        }
        self.push(action.as_str().into(), kind, id.into())
    }

    fn push(&mut self, action: SmolStr, kind: &'static str, id: SmolStr) -> Result<(), Undecodable> {
        if self.classes.get(Decoder::Sql, &action).is_none() {
            return Err(Undecodable::new("the table of classes lacks an action"));
        }
        let id = if id.is_empty() { SmolStr::new_static("-") } else { id };
        if self.seen.insert((action.clone(), kind, id.clone())) {
            if self.effects.len() >= super::OPERATIONS_MAX {
                return Err(Undecodable::new("too many operations"));
            }
            self.effects.push((action, Resource { kind, id }));
        }
        Ok(())
    }

    /// Adds what is done to the database itself.
    pub fn database(&mut self, action: Action) -> Result<(), Undecodable> {
        self.effect(action, DATABASE, self.options.database.clone())
    }

    /// Adds what is done to some object of the database.
    pub fn object(&mut self, action: Action, kind: &'static str, name: &ObjectName) -> Result<(), Undecodable> {
        let name = self.options.object(name)?;
        // A database is not within another, and functions go by their names alone.
        let id = if kind == DATABASE || kind == FUNCTION { name } else { self.options.resource(&name) };
        self.effect(action, kind, id)
    }

    /// Adds what is done to a role, whose name MySQL lets be a string.
    pub fn role(&mut self, action: Action, name: &ObjectName) -> Result<(), Undecodable> {
        let mut name = name.clone();
        if self.options.dialect == Dialect::Mysql {
            for part in &mut name.0 {
                if let ObjectNamePart::Identifier(ident) = part {
                    ident.quote_style = Some('`');
                }
            }
        }
        self.object(action, ROLE, &name)
    }

    /// Adds what is done to an object with a name of one part.
    pub fn named(&mut self, action: Action, kind: &'static str, name: &Ident) -> Result<(), Undecodable> {
        let id = self.options.resource(&self.options.identifier(name)?);
        self.effect(action, kind, id)
    }

    /// Adds what is done to a table, which no common table expression can stand for.
    pub fn table(&mut self, action: Action, name: &ObjectName) -> Result<(), Undecodable> {
        let table = self.options.table(name)?;
        self.table_named(action, &table)
    }

    /// Adds what is done to a table of this name, and to those that it is a view of.
    pub fn table_named(&mut self, action: Action, table: &SmolStr) -> Result<(), Undecodable> {
        let mut pending = vec![table];
        let mut seen = BTreeSet::new();
        while let Some(table) = pending.pop() {
            if !seen.insert(table) {
                continue;
            }
            let action = if self.only_explained { Action::Select } else { action };
            let id = self.options.resource(table);
            match action.effect() {
                Effect::Read => self.facts.tables_read.insert(table.clone()),
                Effect::Other => true,
                _ => self.facts.tables_written.insert(table.clone()),
            };
            self.effect_on_table(action, id)?;
            // A new object is made beside what it is named after, not within it.
            if !matches!(action.effect(), Effect::Schema | Effect::Privileges) {
                pending.extend(self.options.views.get(table).into_iter().flatten());
            }
        }
        Ok(())
    }

    fn effect_on_table(&mut self, action: Action, id: SmolStr) -> Result<(), Undecodable> {
        let explained = std::mem::take(&mut self.only_explained);
        let pushed = self.effect(action, TABLE, id);
        self.only_explained = explained;
        pushed
    }

    /// Adds that a table is read, unless the name is that of a common table expression.
    pub fn read(&mut self, name: &ObjectName) -> Result<(), Undecodable> {
        if let Some(tables) = self.scopes.resolve(name, self.options)? {
            // SQL Server can change what such a query reads, through any number of them.
            if self.options.dialect == Dialect::Mssql {
                for table in tables.to_vec() {
                    self.scopes.read(&table)?;
                }
            }
            return Ok(());
        }
        // MySQL's name for no table at all.
        if self.options.dialect == Dialect::Mysql && matches!(name.0.as_slice(), [part] if part.to_string().eq_ignore_ascii_case("dual")) {
            return Ok(());
        }
        let table = self.options.table(name)?;
        self.scopes.read(&table)?;
        self.table_named(Action::Select, &table)
    }

    /// Adds the call of a function, as an operation of its own if the classes have it.
    pub fn call(&mut self, name: &ObjectName) -> Result<(), Undecodable> {
        let (full, last) = self.options.function(name)?;
        for name in [&full, &last] {
            let action = smol_str::format_smolstr!("{name}()");
            if self.classes.get(Decoder::Sql, &action).is_some() {
                self.push(action, FUNCTION, name.clone())?;
                break;
            }
        }
        self.facts.functions.insert(full);
        Ok(())
    }

    /// Adds the call of a function, and looks into what it is given.
    fn function(&mut self, function: &Function) -> Result<(), Undecodable> {
        self.call(&function.name)?;
        let first = match &function.args {
            FunctionArguments::List(list) => list.args.first(),
            FunctionArguments::None | FunctionArguments::Subquery(_) => None,
        };
        let Some(part) = function.name.0.last().and_then(|part| part.as_ident()) else {
            return Ok(());
        };
        if part.value.eq_ignore_ascii_case("set_config") {
            let setting = match first {
                Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))) => match &value.value {
                    Value::SingleQuotedString(setting) => setting,
                    _ => return Err(Undecodable::new("a setting is not named by a plain string")),
                },
                _ => return Err(Undecodable::new("a setting is not named by a plain string")),
            };
            reserved::refuse_setting(setting)?;
            self.names_unclear |= reserved::changes_names(setting);
        }
        // Snowflake takes a text for the name of an object.
        if part.value.eq_ignore_ascii_case("identifier") && self.options.dialect == Dialect::Snowflake {
            return Err(Undecodable::new("a name is computed"));
        }
        Ok(())
    }

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
            if part.chars().any(|character| character != '_' && !character.is_ascii_lowercase() && !character.is_ascii_digit()) {
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
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(_))) => true,
        FunctionArg::Unnamed(_) => false,
        FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => true,
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
