//! What each kind of statement does.
//!
//! Every kind of the parser is named here, so that a new one does not compile before somebody has thought about it.

use sqlparser::ast::{CloseCursor, DescribeAlias, ObjectName, Query, SetExpr, ShowStatementOptions, Statement};

use super::action::Action;
use super::facts::{FUNCTION, OBJECT, ROLE, SCHEMA};
use super::walk::Walk;
use super::{Dialect, reserved};
use crate::Undecodable;

/// A kind of statement that none of the dialects has, or whose effects cannot be named.
fn unknown() -> Result<(), Undecodable> {
    Err(Undecodable::new("a kind of statement that is not decoded"))
}

impl Walk<'_> {
    /// Adds what a statement itself does; the queries and statements within it are walked behind it.
    #[expect(clippy::too_many_lines, reason = "it is a table: one line for each kind")]
    pub(super) fn enter_statement(&mut self, statement: &Statement) -> Result<(), Undecodable> {
        match statement {
            // Data.
            Statement::Query(query) => self.enter_outer_query(query),
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => self.delete(delete),
            Statement::Merge(merge) => self.merge(merge),
            Statement::Truncate(truncate) => self.truncate(truncate),
            Statement::Copy { source, to, target, options: _, legacy_options, values } => {
                if !legacy_options.is_empty() || !values.is_empty() {
                    return unknown();
                }
                self.copy(source, *to, target)
            }
            Statement::CopyIntoSnowflake { kind, into, from_obj, .. } => self.copy_into(*kind, into, from_obj.as_ref()),
            Statement::ExportData(export) => self.export_data(export),
            Statement::Put { stage, .. } => self.stage(Action::Put, stage),
            Statement::List(command) => self.stage(Action::ListStage, &command.stage),
            Statement::Remove(command) => self.stage(Action::RemoveStage, &command.stage),

            // What there is.
            Statement::CreateTable(table) => self.create_table(table),
            Statement::AlterTable(table) => self.alter_table(table),
            Statement::RenameTable(renames) => renames.iter().try_for_each(|rename| {
                self.table(Action::RenameTable, &rename.old_name)?;
                self.table(Action::RenameTable, &rename.new_name)
            }),
            Statement::CreateView(view) => {
                if let Some(to) = &view.to {
                    self.table(Action::Insert, to)?;
                }
                self.table(Action::CreateView, &view.name)
            }
            Statement::AlterView { name, .. } => self.table(Action::AlterView, name),
            Statement::CreateVirtualTable { name, .. } => self.table(Action::CreateVirtualTable, name),
            Statement::CreateIndex(index) => self.table(Action::CreateIndex, &index.table_name),
            Statement::AlterIndex { name, .. } => self.object(Action::AlterIndex, OBJECT, name),
            Statement::Drop { object_type, names, table, .. } => self.drop(*object_type, names, table.as_ref()),
            Statement::CreateSchema { schema_name, clone, .. } => self.create_schema(schema_name, clone.as_ref()),
            Statement::AlterSchema(schema) => self.alter_schema(schema),
            Statement::CreateDatabase { db_name, clone, .. } => self.create_database(db_name, clone.as_ref()),
            Statement::CreateFunction(function) => self.object(Action::CreateFunction, FUNCTION, &function.name),
            Statement::AlterFunction(function) => self.object(Action::AlterFunction, FUNCTION, &function.function.name),
            Statement::DropFunction(function) => self.drop_functions(&function.func_desc),
            Statement::DropProcedure { proc_desc, .. } => self.drop_functions(proc_desc),
            Statement::CreateTrigger(trigger) => {
                if let Some(body) = &trigger.exec_body {
                    self.call(&body.func_desc.name)?;
                }
                self.table(Action::CreateTrigger, &trigger.table_name)
            }
            Statement::DropTrigger(trigger) => match &trigger.table_name {
                Some(table) => self.table(Action::DropTrigger, table),
                None => self.object(Action::DropTrigger, OBJECT, &trigger.trigger_name),
            },
            Statement::CreatePolicy(policy) => self.table(Action::CreatePolicy, &policy.table_name),
            Statement::AlterPolicy(policy) => self.table(Action::AlterPolicy, &policy.table_name),
            Statement::DropPolicy(policy) => self.table(Action::DropPolicy, &policy.table_name),
            Statement::CreateExtension(extension) => self.named(Action::CreateExtension, OBJECT, &extension.name),
            Statement::DropExtension(extension) => {
                extension.names.iter().try_for_each(|name| self.named(Action::DropExtension, OBJECT, name))
            }
            Statement::CreateServer(server) => self.object(Action::CreateServer, OBJECT, &server.name),
            Statement::CreateStage { name, stage_params, .. } => self.create_stage(name, stage_params),
            Statement::CreateFileFormat { name, .. }
            | Statement::CreateSequence { name, .. }
            | Statement::CreateType { name, .. } => self.object(Action::CreateObject, OBJECT, name),
            Statement::CreateDomain(domain) => self.object(Action::CreateObject, OBJECT, &domain.name),
            Statement::CreateWarehouse(warehouse) => self.object(Action::CreateObject, OBJECT, &warehouse.name),
            Statement::CreateCollation(collation) => self.object(Action::CreateObject, OBJECT, &collation.name),
            Statement::AlterType(ty) => self.object(Action::AlterObject, OBJECT, &ty.name),
            Statement::AlterCollation(collation) => self.object(Action::AlterObject, OBJECT, &collation.name),
            Statement::DropDomain(domain) => self.object(Action::DropObject, OBJECT, &domain.name),
            Statement::Comment { object_type, object_name, .. } => self.comment(*object_type, object_name),

            // Who may do what.
            Statement::Grant(grant) => {
                self.privileges(Action::Grant, &grant.privileges, grant.objects.as_ref(), &grant.grantees)
            }
            Statement::Revoke(revoke) => {
                self.privileges(Action::Revoke, &revoke.privileges, revoke.objects.as_ref(), &revoke.grantees)
            }
            Statement::Deny(deny) => {
                self.privileges(Action::Deny, &deny.privileges, Some(&deny.objects), &deny.grantees)
            }
            Statement::CreateRole(role) => role.names.iter().try_for_each(|name| self.role(Action::CreateRole, name)),
            Statement::CreateUser(user) => self.named(Action::CreateRole, ROLE, &user.name),
            Statement::AlterUser(user) => self.named(Action::AlterRole, ROLE, &user.name),
            Statement::AlterRole { name, .. } => self.named(Action::AlterRole, ROLE, name),

            // How the session and the server work.
            Statement::Set(set) => self.set(set),
            Statement::Reset(reset) if self.options.dialect == Dialect::Postgres => self.reset(reset),
            Statement::AlterSession { session_params, .. } => {
                for option in &session_params.options {
                    reserved::refuse_setting(&option.option_name)?;
                    self.names_unclear |= reserved::changes_names(&option.option_name);
                }
                self.database(Action::AlterSession)
            }
            Statement::Use(target) => self.use_object(target),
            Statement::Discard { .. } => self.database(Action::Discard),
            Statement::Flush { tables, .. } => {
                tables.iter().try_for_each(|table| self.table(Action::Flush, table))?;
                self.database(Action::Flush)
            }
            Statement::AttachDatabase { database_file_name, .. } => self.attach(database_file_name),
            Statement::Kill { .. } => self.database(Action::Kill),
            Statement::Lock(lock) => lock.tables.iter().try_for_each(|table| self.table(Action::Lock, &table.name)),
            Statement::LockTables { tables } => {
                tables.iter().try_for_each(|lock| self.table(Action::Lock, &ObjectName::from(vec![lock.table.clone()])))
            }
            Statement::UnlockTables => self.database(Action::Unlock),
            Statement::LISTEN { .. } | Statement::UNLISTEN { .. } => self.database(Action::Listen),
            Statement::NOTIFY { .. } => self.database(Action::Notify),

            // Looking around.
            Statement::ExplainTable { table_name, .. } => self.table(Action::Describe, table_name),
            Statement::Explain { describe_alias, analyze, options, .. } => {
                let runs = *analyze
                    || options.iter().flatten().any(|option| option.name.value.eq_ignore_ascii_case("analyze"));
                self.database(Action::Explain)?;
                // Nothing that is only explained is written, but how it would be done shows what is there.
                self.only_explained = !runs;
                if self.options.dialect == Dialect::Mssql || *describe_alias == DescribeAlias::Desc && runs {
                    return unknown();
                }
                Ok(())
            }
            Statement::ShowCreate { obj_name, .. } => self.table(Action::Show, obj_name),
            Statement::ShowColumns { show_options, .. } => match shown_in(show_options) {
                Some(table) => self.table(Action::Show, table),
                None => unknown(),
            },
            Statement::ShowObjects(show) => self.show_in(&show.show_options),
            Statement::ShowTables { show_options, .. }
            | Statement::ShowViews { show_options, .. }
            | Statement::ShowSchemas { show_options, .. }
            | Statement::ShowDatabases { show_options, .. }
            | Statement::ShowCatalogs { show_options, .. } => self.show_in(show_options),
            Statement::ShowFunctions { .. }
            | Statement::ShowVariable { .. }
            | Statement::ShowStatus { .. }
            | Statement::ShowVariables { .. }
            | Statement::ShowProcessList { .. }
            | Statement::ShowCharset(_)
            | Statement::ShowCollation { .. } => self.database(Action::Show),

            // Code, and statements that are prepared or read later.
            Statement::Call(function) => {
                self.call(&function.name)?;
                self.object(Action::Call, FUNCTION, &function.name)
            }
            Statement::Execute { name, immediate, into, .. } => {
                if !into.is_empty() {
                    return unknown();
                }
                self.execute(name.as_ref(), *immediate)
            }
            Statement::Prepare { .. } => self.database(Action::Prepare),
            Statement::Deallocate { .. } => self.database(Action::Deallocate),
            Statement::Declare { .. } => self.database(Action::Declare),
            Statement::Fetch { into: None, .. } => self.database(Action::Fetch),
            Statement::Open(_) => self.database(Action::OpenCursor),
            Statement::Close { cursor: CloseCursor::All | CloseCursor::Specific { .. } } => {
                self.database(Action::CloseCursor)
            }
            Statement::Assert { .. } => self.database(Action::Assert),
            Statement::Print(_) => self.database(Action::Print),
            Statement::RaisError { .. } | Statement::Throw(_) => self.database(Action::RaiseError),
            Statement::WaitFor(_) => self.database(Action::WaitFor),

            // Transactions and upkeep.
            Statement::StartTransaction { statements, exception: None, has_end_keyword: false, .. }
                if statements.is_empty() =>
            {
                self.database(Action::Begin)
            }
            Statement::Commit { .. } => self.database(Action::Commit),
            Statement::Rollback { .. } => self.database(Action::Rollback),
            Statement::Savepoint { .. } => self.database(Action::Savepoint),
            Statement::ReleaseSavepoint { .. } => self.database(Action::ReleaseSavepoint),
            Statement::Analyze(analyze) => self.upkeep(Action::Analyze, analyze.table_name.as_ref()),
            Statement::Vacuum(vacuum) => self.upkeep(Action::Vacuum, vacuum.table_name.as_ref()),

            // What other databases have, what holds statements, and what changes how later text is read.
            Statement::StartTransaction { .. }
            | Statement::Reset(_)
            | Statement::Fetch { .. }
            | Statement::Case(_)
            | Statement::If(_)
            | Statement::While(_)
            | Statement::Raise(_)
            | Statement::Return(_)
            | Statement::CreateProcedure { .. }
            | Statement::CreateMacro { .. }
            | Statement::Msck(_)
            | Statement::Install { .. }
            | Statement::Load { .. }
            | Statement::Directory { .. }
            | Statement::CreateSecret { .. }
            | Statement::DropSecret { .. }
            | Statement::CreateConnector(_)
            | Statement::AlterConnector { .. }
            | Statement::DropConnector { .. }
            | Statement::AttachDuckDBDatabase { .. }
            | Statement::DetachDuckDBDatabase { .. }
            | Statement::Cache { .. }
            | Statement::UNCache { .. }
            | Statement::Pragma { .. }
            | Statement::Unload { .. }
            | Statement::OptimizeTable { .. }
            | Statement::LoadData { .. }
            | Statement::CreateOperator(_)
            | Statement::CreateOperatorFamily(_)
            | Statement::CreateOperatorClass(_)
            | Statement::CreateTextSearch(_)
            | Statement::AlterOperator(_)
            | Statement::AlterOperatorFamily(_)
            | Statement::AlterOperatorClass(_)
            | Statement::AlterTextSearch(_)
            | Statement::DropOperator(_)
            | Statement::DropOperatorFamily(_)
            | Statement::DropOperatorClass(_) => unknown(),
        }
    }

    fn enter_outer_query(&mut self, query: &Query) -> Result<(), Undecodable> {
        if self.facts.statement.is_empty() {
            // A statement may stand in the place of a query, behind `WITH`.
            self.facts.statement = match &*query.body {
                SetExpr::Insert(_) => Action::Insert.as_str(),
                SetExpr::Update(_) => Action::Update.as_str(),
                SetExpr::Delete(_) => Action::Delete.as_str(),
                SetExpr::Merge(_) => Action::Merge.as_str(),
                _ => Action::Select.as_str(),
            };
        }
        if query.for_clause.is_some() && self.options.dialect != Dialect::Mssql {
            return unknown();
        }
        if query.settings.is_some() || query.format_clause.is_some() {
            return unknown();
        }
        Ok(())
    }

    fn show_in(&mut self, options: &ShowStatementOptions) -> Result<(), Undecodable> {
        match shown_in(options) {
            Some(schema) => self.object(Action::Show, SCHEMA, schema),
            None => self.database(Action::Show),
        }
    }

    fn upkeep(&mut self, action: Action, table: Option<&ObjectName>) -> Result<(), Undecodable> {
        match table {
            Some(table) => self.table(action, table),
            None => self.database(action),
        }
    }
}

fn shown_in(options: &ShowStatementOptions) -> Option<&ObjectName> {
    options.show_in.as_ref()?.parent_name.as_ref()
}
