//! Statements that change what there is, and who may do what.

use sqlparser::ast::helpers::stmt_data_loading::StageParamsObject;
use sqlparser::ast::{
    Action as Privilege, AlterSchema, AlterSchemaOperation, AlterTable, AlterTableOperation, CommentObject,
    CreateTable, CreateTableLikeKind, CreateTableOptions, FunctionDesc, GrantObjects, Grantee, GranteeName, ObjectName,
    ObjectType, Privileges, RenameTableNameKind, SchemaName,
};

use super::action::Action;
use super::facts::{DATABASE, FILE, FUNCTION, OBJECT, ROLE, SCHEMA};
use super::walk::Walk;
use crate::Undecodable;

impl Walk<'_> {
    pub(super) fn create_table(&mut self, table: &CreateTable) -> Result<(), Undecodable> {
        let outside = table.external
            || table.location.is_some()
            || table.with_connection.is_some()
            || reaches_out(&table.table_options);
        self.table(if outside { Action::CreateExternalTable } else { Action::CreateTable }, &table.name)?;
        if table.or_replace {
            self.table(Action::DropTable, &table.name)?;
        }
        match &table.like {
            Some(CreateTableLikeKind::Parenthesized(like) | CreateTableLikeKind::Plain(like)) => {
                self.table(Action::Describe, &like.name)?;
            }
            None => {}
        }
        if let Some(source) = &table.clone {
            self.table(Action::Select, source)?;
        }
        for parent in table.inherits.iter().flatten().chain(&table.partition_of) {
            self.table(Action::AlterTable, parent)?;
        }
        for column in &table.columns {
            self.column(&column.name);
        }
        Ok(())
    }

    pub(super) fn alter_table(&mut self, table: &AlterTable) -> Result<(), Undecodable> {
        if table.location.is_some() || table.on_cluster.is_some() {
            return Err(Undecodable::new("a kind of ALTER TABLE that is not decoded"));
        }
        self.table(Action::AlterTable, &table.name)?;
        for operation in &table.operations {
            match operation {
                AlterTableOperation::RenameTable {
                    table_name: RenameTableNameKind::As(name) | RenameTableNameKind::To(name),
                } => {
                    self.table(Action::RenameTable, &table.name)?;
                    self.table(Action::RenameTable, name)?;
                }
                AlterTableOperation::SwapWith { table_name } => self.table(Action::AlterTable, table_name)?,
                AlterTableOperation::OwnerTo { .. } => self.table(Action::AlterOwner, &table.name)?,
                AlterTableOperation::DisableRowLevelSecurity
                | AlterTableOperation::NoForceRowLevelSecurity
                | AlterTableOperation::EnableRowLevelSecurity
                | AlterTableOperation::ForceRowLevelSecurity => self.table(Action::AlterPolicy, &table.name)?,
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn drop(
        &mut self,
        ty: ObjectType,
        names: &[ObjectName],
        table: Option<&ObjectName>,
    ) -> Result<(), Undecodable> {
        for name in names {
            match ty {
                ObjectType::Table => self.table(Action::DropTable, name)?,
                ObjectType::View | ObjectType::MaterializedView => self.table(Action::DropView, name)?,
                ObjectType::Index => match table {
                    Some(table) => self.table(Action::DropIndex, table)?,
                    None => self.object(Action::DropIndex, OBJECT, name)?,
                },
                ObjectType::Schema => self.object(Action::DropSchema, SCHEMA, name)?,
                ObjectType::Database => self.object(Action::DropDatabase, DATABASE, name)?,
                ObjectType::Role | ObjectType::User => self.role(Action::DropRole, name)?,
                ObjectType::Collation
                | ObjectType::Sequence
                | ObjectType::Stage
                | ObjectType::Type
                | ObjectType::Stream
                | ObjectType::Warehouse => self.object(Action::DropObject, OBJECT, name)?,
            }
        }
        Ok(())
    }

    pub(super) fn drop_functions(&mut self, functions: &[FunctionDesc]) -> Result<(), Undecodable> {
        functions.iter().try_for_each(|function| self.object(Action::DropFunction, FUNCTION, &function.name))
    }

    pub(super) fn create_schema(&mut self, name: &SchemaName, clone: Option<&ObjectName>) -> Result<(), Undecodable> {
        if let Some(source) = clone {
            self.object(Action::Select, SCHEMA, source)?;
        }
        match name {
            SchemaName::Simple(name) => self.object(Action::CreateSchema, SCHEMA, name),
            SchemaName::UnnamedAuthorization(owner) => {
                self.named(Action::CreateSchema, SCHEMA, owner)?;
                self.named(Action::AlterOwner, ROLE, owner)
            }
            SchemaName::NamedAuthorization(name, owner) => {
                self.object(Action::CreateSchema, SCHEMA, name)?;
                self.named(Action::AlterOwner, ROLE, owner)
            }
        }
    }

    pub(super) fn alter_schema(&mut self, schema: &AlterSchema) -> Result<(), Undecodable> {
        self.object(Action::AlterSchema, SCHEMA, &schema.name)?;
        for operation in &schema.operations {
            match operation {
                AlterSchemaOperation::Rename { name } => self.object(Action::AlterSchema, SCHEMA, name)?,
                AlterSchemaOperation::OwnerTo { .. } => self.object(Action::AlterOwner, SCHEMA, &schema.name)?,
                AlterSchemaOperation::SetDefaultCollate { .. }
                | AlterSchemaOperation::AddReplica { .. }
                | AlterSchemaOperation::DropReplica { .. }
                | AlterSchemaOperation::SetOptionsParens { .. } => {}
            }
        }
        Ok(())
    }

    pub(super) fn create_database(&mut self, name: &ObjectName, clone: Option<&ObjectName>) -> Result<(), Undecodable> {
        if let Some(source) = clone {
            self.object(Action::Select, DATABASE, source)?;
        }
        self.object(Action::CreateDatabase, DATABASE, name)
    }

    pub(super) fn create_stage(&mut self, name: &ObjectName, params: &StageParamsObject) -> Result<(), Undecodable> {
        self.object(Action::CreateStage, OBJECT, name)?;
        match &params.url {
            Some(url) => self.effect(Action::CreateStage, FILE, url.as_str()),
            None => Ok(()),
        }
    }

    pub(super) fn comment(&mut self, ty: CommentObject, name: &ObjectName) -> Result<(), Undecodable> {
        match ty {
            CommentObject::Table | CommentObject::View | CommentObject::MaterializedView => {
                self.table(Action::Comment, name)
            }
            CommentObject::Column => {
                // The last part is the column's name.
                let mut parts = name.0.clone();
                parts.pop();
                self.table(Action::Comment, &ObjectName(parts))
            }
            CommentObject::Database => self.object(Action::Comment, DATABASE, name),
            CommentObject::Schema => self.object(Action::Comment, SCHEMA, name),
            CommentObject::Role | CommentObject::User => self.role(Action::Comment, name),
            CommentObject::Function | CommentObject::Procedure => self.object(Action::Comment, FUNCTION, name),
            CommentObject::Collation
            | CommentObject::Domain
            | CommentObject::Extension
            | CommentObject::Index
            | CommentObject::Sequence
            | CommentObject::Type => self.object(Action::Comment, OBJECT, name),
        }
    }

    /// `GRANT`, `REVOKE` and `DENY`: on each object and each role that is given, and for each role that it is given to.
    pub(super) fn privileges(
        &mut self,
        action: Action,
        privileges: &Privileges,
        objects: Option<&GrantObjects>,
        grantees: &[Grantee],
    ) -> Result<(), Undecodable> {
        let mut roles = false;
        if let Privileges::Actions(privileges) = privileges {
            for privilege in privileges {
                if let Privilege::Role { role } | Privilege::DatabaseRole { role } = privilege {
                    self.role(action, role)?;
                    roles = true;
                }
            }
        }
        match objects {
            Some(objects) => self.granted(action, objects)?,
            None if roles => {}
            None => self.database(action)?,
        }
        for grantee in grantees {
            match &grantee.name {
                Some(GranteeName::ObjectName(name)) => self.role(action, name)?,
                Some(GranteeName::UserHost { user, .. }) => self.role(action, &ObjectName::from(vec![user.clone()]))?,
                // PUBLIC: everybody.
                None => self.effect(action, ROLE, self.options.resource("public"))?,
            }
        }
        Ok(())
    }

    fn granted(&mut self, action: Action, objects: &GrantObjects) -> Result<(), Undecodable> {
        let (kind, names) = match objects {
            GrantObjects::Tables(tables) | GrantObjects::Views(tables) => {
                return tables.iter().try_for_each(|table| self.table(action, table));
            }
            GrantObjects::AllSequencesInSchema { schemas }
            | GrantObjects::AllTablesInSchema { schemas }
            | GrantObjects::AllViewsInSchema { schemas }
            | GrantObjects::AllMaterializedViewsInSchema { schemas }
            | GrantObjects::AllExternalTablesInSchema { schemas }
            | GrantObjects::AllFunctionsInSchema { schemas }
            | GrantObjects::FutureTablesInSchema { schemas }
            | GrantObjects::FutureViewsInSchema { schemas }
            | GrantObjects::FutureExternalTablesInSchema { schemas }
            | GrantObjects::FutureMaterializedViewsInSchema { schemas }
            | GrantObjects::FutureSequencesInSchema { schemas }
            | GrantObjects::Schemas(schemas) => (SCHEMA, schemas.as_slice()),
            GrantObjects::FutureSchemasInDatabase { databases } | GrantObjects::Databases(databases) => {
                (DATABASE, databases.as_slice())
            }
            GrantObjects::Users(users) => (ROLE, users.as_slice()),
            GrantObjects::Procedure { name, .. } | GrantObjects::Function { name, .. } => {
                (FUNCTION, std::slice::from_ref(name))
            }
            GrantObjects::Sequences(names)
            | GrantObjects::Warehouses(names)
            | GrantObjects::Integrations(names)
            | GrantObjects::ResourceMonitors(names)
            | GrantObjects::ComputePools(names)
            | GrantObjects::Connections(names)
            | GrantObjects::FailoverGroup(names)
            | GrantObjects::ReplicationGroup(names)
            | GrantObjects::ExternalVolumes(names) => (OBJECT, names.as_slice()),
        };
        names.iter().try_for_each(|name| self.object(action, kind, name))
    }
}

/// Whether the options of a table let it read or write files or other servers.
fn reaches_out(options: &CreateTableOptions) -> bool {
    if *options == CreateTableOptions::None {
        return false;
    }
    let text = options.to_string().to_ascii_lowercase();
    [
        "connection",
        "directory",
        "federated",
        "connect",
        "csv",
        "uris",
        "location",
        "storage",
        "remote",
        "spider",
        "union",
    ]
    .iter()
    .any(|word| text.contains(word))
}
