//! Statements that change data: what they change, and what they read for it.

use sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, Expr, FromTable, Insert, Merge, MergeAction, MergeInsertKind,
    MergeUpdateKind, ObjectName, OnConflictAction, OnInsert, OutputClause, SelectInto, SqliteOnConflict, TableFactor,
    TableObject, TableWithJoins, Truncate, Update, UpdateTableFromKind,
};

use super::action::Action;
use super::walk::Walk;
use super::{Dialect, condition};
use crate::Undecodable;

fn no_table() -> Undecodable {
    Undecodable::new("what is changed is not a table with a name")
}

impl Walk<'_> {
    pub(super) fn insert(&mut self, insert: &Insert) -> Result<(), Undecodable> {
        let mut actions = vec![Action::Insert];
        let replaces = matches!(insert.or, Some(SqliteOnConflict::Replace)) || insert.replace_into;
        if replaces {
            actions.push(Action::Delete);
        }
        if insert.overwrite {
            actions.push(Action::Truncate);
        }
        match &insert.on {
            Some(OnInsert::DuplicateKeyUpdate(assignments)) => {
                actions.push(Action::Update);
                self.assigned(assignments);
            }
            Some(OnInsert::OnConflict(conflict)) => {
                if let OnConflictAction::DoUpdate(update) = &conflict.action {
                    actions.push(Action::Update);
                    self.assigned(&update.assignments);
                }
            }
            None => {}
            Some(_) => return Err(Undecodable::new("a kind of INSERT that is not decoded")),
        }
        if insert.returning.is_some() || insert.output.is_some() {
            actions.push(Action::Select);
        }
        if insert.multi_table_insert_type.is_some() {
            self.insert_into_several(insert, &actions)?;
        } else if let TableObject::TableName(name) = &insert.table {
            self.change(&actions, name)?;
        } else {
            return Err(no_table());
        }
        for column in &insert.columns {
            self.column_named(column);
        }
        self.assigned(&insert.assignments);
        self.output(insert.output.as_ref())
    }

    /// `INSERT ALL INTO a … INTO b … SELECT …` of Snowflake.
    fn insert_into_several(&mut self, insert: &Insert, actions: &[Action]) -> Result<(), Undecodable> {
        let conditional = insert.multi_table_when_clauses.iter().flat_map(|when| &when.into_clauses);
        let otherwise = insert.multi_table_else_clause.iter().flatten();
        for clause in insert.multi_table_into_clauses.iter().chain(conditional).chain(otherwise) {
            self.change(actions, &clause.table_name)?;
            for column in &clause.columns {
                self.column(column);
            }
        }
        Ok(())
    }

    pub(super) fn update(&mut self, update: &Update) -> Result<(), Undecodable> {
        let mut actions = vec![Action::Update];
        if matches!(update.or, Some(SqliteOnConflict::Replace)) {
            actions.push(Action::Delete);
        }
        if update.returning.is_some() || update.output.is_some() {
            actions.push(Action::Select);
        }
        let from: &[TableWithJoins] = match &update.from {
            Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) => from,
            None => &[],
        };
        let target = &update.table;
        if self.options.dialect == Dialect::Mysql && !target.joins.is_empty() {
            // Any of the joined tables may be the one that a column is of; each counts as updated, and as read for the join.
            let mut tables = Vec::new();
            tables_of(target, &mut tables);
            for (_, name) in tables {
                self.change(&actions, name.ok_or_else(no_table)?)?;
            }
        } else {
            let TableFactor::Table { name, args: None, .. } = &target.relation else {
                return Err(no_table());
            };
            self.targets.insert(std::ptr::from_ref(&target.relation).addr());
            let name = self.aliased(name, from)?;
            self.change(&actions, name)?;
        }
        self.assigned(&update.assignments);
        self.bounded_by(update.selection.as_ref());
        self.output(update.output.as_ref())
    }

    pub(super) fn delete(&mut self, delete: &Delete) -> Result<(), Undecodable> {
        let mut actions = vec![Action::Delete];
        if delete.returning.is_some() || delete.output.is_some() {
            actions.push(Action::Select);
        }
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        let using = delete.using.as_deref().unwrap_or_default();
        if delete.tables.is_empty() {
            for table in from {
                let TableFactor::Table { name, args: None, .. } = &table.relation else {
                    return Err(no_table());
                };
                if !table.joins.is_empty() {
                    return Err(no_table());
                }
                self.targets.insert(std::ptr::from_ref(&table.relation).addr());
                let name = self.aliased(name, using)?;
                self.change(&actions, name)?;
            }
            if from.is_empty() {
                return Err(no_table());
            }
        } else {
            for name in &delete.tables {
                let name = self.aliased(name, if using.is_empty() { from } else { using })?;
                self.change(&actions, name)?;
            }
        }
        self.bounded_by(delete.selection.as_ref());
        self.output(delete.output.as_ref())
    }

    pub(super) fn merge(&mut self, merge: &Merge) -> Result<(), Undecodable> {
        let mut actions = vec![Action::Merge];
        for clause in &merge.clauses {
            match &clause.action {
                MergeAction::Insert(insert) => {
                    actions.push(Action::Insert);
                    for column in &insert.columns {
                        self.column_named(column);
                    }
                    match &insert.kind {
                        MergeInsertKind::Values(_) | MergeInsertKind::Row => {}
                        MergeInsertKind::Wildcard => {
                            self.facts.columns.insert("*".into());
                        }
                    }
                }
                MergeAction::Update(update) => {
                    actions.push(Action::Update);
                    if update.delete_predicate.is_some() {
                        actions.push(Action::Delete);
                    }
                    match &update.kind {
                        MergeUpdateKind::Set(assignments) => self.assigned(assignments),
                        MergeUpdateKind::Wildcard => {
                            self.facts.columns.insert("*".into());
                        }
                    }
                }
                MergeAction::Delete { .. } => actions.push(Action::Delete),
                MergeAction::DoNothing { .. } => {}
            }
        }
        if merge.output.is_some() {
            actions.push(Action::Select);
        }
        let TableFactor::Table { name, args: None, .. } = &merge.table else {
            return Err(no_table());
        };
        self.targets.insert(std::ptr::from_ref(&merge.table).addr());
        self.change(&actions, name)?;
        self.output(merge.output.as_ref())
    }

    pub(super) fn truncate(&mut self, truncate: &Truncate) -> Result<(), Undecodable> {
        self.facts.unbounded = truncate.partitions.is_none();
        truncate.table_names.iter().try_for_each(|table| self.table(Action::Truncate, &table.name))
    }

    /// `SELECT … INTO`: a new table, or variables of MySQL.
    pub(super) fn select_into(&mut self, into: &SelectInto) -> Result<(), Undecodable> {
        for target in &into.targets {
            let name = match target {
                Expr::Identifier(ident) => ObjectName::from(vec![ident.clone()]),
                Expr::CompoundIdentifier(idents) => ObjectName::from(idents.clone()),
                _ => return Err(no_table()),
            };
            if self.options.dialect == Dialect::Mysql {
                // What has no `@` is a variable of a stored program, which a script cannot be in.
                if !target.to_string().starts_with('@') {
                    return Err(no_table());
                }
                continue;
            }
            self.table(Action::CreateTable, &name)?;
            self.table(Action::Insert, &name)?;
        }
        Ok(())
    }

    /// `SELECT … FOR UPDATE`, or `FOR SHARE`: every table of the query may have its rows locked.
    pub(super) fn lock_rows(&mut self) -> Result<(), Undecodable> {
        for table in self.scopes.read_within().to_vec() {
            self.table_named(Action::SelectForUpdate, &table)?;
        }
        Ok(())
    }

    /// Adds what is done to a table that a statement changes.
    fn change(&mut self, actions: &[Action], name: &ObjectName) -> Result<(), Undecodable> {
        // SQL Server changes a table through a common table expression of it.
        let through = match self.options.dialect {
            Dialect::Mssql => self.scopes.resolve(name, self.options)?.map(<[_]>::to_vec),
            _ => None,
        };
        let tables = match through {
            Some(tables) if tables.is_empty() => return Err(no_table()),
            Some(tables) => tables,
            None => vec![self.options.table(name)?],
        };
        for action in actions {
            for table in &tables {
                self.table_named(*action, table)?;
            }
        }
        Ok(())
    }

    /// The table that a name stands for which may be an alias from these.
    fn aliased<'n>(&self, name: &'n ObjectName, from: &'n [TableWithJoins]) -> Result<&'n ObjectName, Undecodable> {
        if !matches!(self.options.dialect, Dialect::Mysql | Dialect::Mssql) {
            return Ok(name);
        }
        let [part] = name.0.as_slice() else {
            return Ok(name);
        };
        let Some(wanted) = part.as_ident() else {
            return Err(no_table());
        };
        let mut tables = Vec::new();
        for table in from {
            tables_of(table, &mut tables);
        }
        // A server may take other letters for the same, by its collation.
        if tables.iter().any(|(alias, _)| alias.is_none_or(|alias| !alias.is_ascii() || alias.trim() != alias)) {
            return Err(no_table());
        }
        let mut found =
            tables.into_iter().filter(|(alias, _)| alias.is_some_and(|a| a.eq_ignore_ascii_case(&wanted.value)));
        match (found.next(), found.next()) {
            (None, _) => Ok(name),
            // It may tell capitals apart, too, and then this is another table's name.
            (Some((Some(alias), Some(table))), None) if alias == wanted.value => Ok(table),
            _ => Err(no_table()),
        }
    }

    fn assigned(&mut self, assignments: &[Assignment]) {
        for assignment in assignments {
            match &assignment.target {
                AssignmentTarget::ColumnName(column) => self.column_named(column),
                AssignmentTarget::Tuple(columns) => columns.iter().for_each(|column| self.column_named(column)),
            }
        }
    }

    fn column_named(&mut self, name: &ObjectName) {
        if let Some(column) = name.0.last().and_then(|part| part.as_ident()) {
            self.column(column);
        }
    }

    fn bounded_by(&mut self, condition: Option<&Expr>) {
        if !self.only_explained && condition.is_none_or(condition::spares_nothing) {
            self.facts.unbounded = true;
        }
    }

    /// `OUTPUT … INTO table` of SQL Server.
    fn output(&mut self, output: Option<&OutputClause>) -> Result<(), Undecodable> {
        match output {
            Some(OutputClause::Output { into_table: Some(into), .. }) => {
                for target in &into.targets {
                    let name = match target {
                        Expr::Identifier(ident) => ObjectName::from(vec![ident.clone()]),
                        Expr::CompoundIdentifier(idents) => ObjectName::from(idents.clone()),
                        _ => return Err(no_table()),
                    };
                    self.table(Action::Insert, &name)?;
                }
                Ok(())
            }
            Some(OutputClause::Output { into_table: None, .. } | OutputClause::Returning { .. }) | None => Ok(()),
        }
    }
}

/// The tables of a `FROM` clause, each by the name that the statement has for it; nothing for what is not a table.
fn tables_of<'n>(table: &'n TableWithJoins, found: &mut Vec<(Option<&'n str>, Option<&'n ObjectName>)>) {
    let mut pending = vec![table];
    while let Some(table) = pending.pop() {
        for factor in std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)) {
            match factor {
                TableFactor::Table { name, alias, args, .. } => {
                    let own = name.0.last().and_then(|part| part.as_ident());
                    let called = alias.as_ref().map(|alias| &alias.name).or(own);
                    found.push((called.map(|ident| ident.value.as_str()), args.is_none().then_some(name)));
                }
                TableFactor::NestedJoin { table_with_joins, .. } => pending.push(table_with_joins),
                TableFactor::Derived { alias: Some(alias), .. } => found.push((Some(&alias.name.value), None)),
                _ => found.push((None, None)),
            }
        }
    }
}
