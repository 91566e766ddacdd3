//! A statement, walked.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use smol_str::SmolStr;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Statement,
    Value, Visit,
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
            let tables = if self.options.dialect == Dialect::Mssql { tables.to_vec() } else { Vec::new() };
            return tables.iter().try_for_each(|table| self.scopes.read(table));
        }
        // MySQL's name for no table at all.
        if self.options.dialect == Dialect::Mysql
            && matches!(name.0.as_slice(), [part] if part.to_string().eq_ignore_ascii_case("dual"))
        {
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
    pub fn function(&mut self, function: &Function) -> Result<(), Undecodable> {
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
}
