//! The actions of SQL.

/// Lists the actions: each with its id and with what it does to its object.
macro_rules! actions {
    ($($name:ident $id:literal $effect:ident)*) => {
        /// What a statement does to one object.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub(super) enum Action { $($name),* }

        impl Action {
            /// All of them.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its id.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $id),* }
            }

            /// What it does to its object.
            pub const fn effect(self) -> Effect {
                match self { $(Self::$name => Effect::$effect),* }
            }
        }
    };
}

/// What an action does to its object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Effect {
    /// Reads it, or looks at how it is made.
    Read,
    /// Changes what it holds.
    Write,
    /// Changes what there is, or how it is made.
    Schema,
    /// Changes who may do what.
    Privileges,
    /// Changes how the session or the server works.
    Settings,
    /// Takes data out.
    Export,
    /// Does something else.
    Other,
}

actions! {
    Select "select" Read
    SelectForUpdate "select for update" Other
    Insert "insert" Write
    Update "update" Write
    Delete "delete" Write
    Merge "merge" Write
    Truncate "truncate" Write
    CopyFrom "copy from" Read
    CopyFromProgram "copy from program" Other
    CopyTo "copy to" Export
    CopyToProgram "copy to program" Export
    IntoOutfile "into outfile" Export
    ExportData "export data" Export
    LoadData "load data" Read
    Put "put" Export
    ListStage "list" Read
    RemoveStage "remove" Write
    CreateTable "create table" Schema
    CreateExternalTable "create external table" Schema
    CreateVirtualTable "create virtual table" Schema
    AlterTable "alter table" Schema
    RenameTable "rename table" Schema
    DropTable "drop table" Schema
    CreateView "create view" Schema
    AlterView "alter view" Schema
    DropView "drop view" Schema
    RefreshView "refresh materialized view" Write
    CreateIndex "create index" Schema
    AlterIndex "alter index" Schema
    DropIndex "drop index" Schema
    CreateSchema "create schema" Schema
    AlterSchema "alter schema" Schema
    DropSchema "drop schema" Schema
    CreateDatabase "create database" Schema
    DropDatabase "drop database" Schema
    CreateFunction "create function" Schema
    AlterFunction "alter function" Schema
    DropFunction "drop function" Schema
    CreateTrigger "create trigger" Schema
    DropTrigger "drop trigger" Schema
    CreateExtension "create extension" Schema
    DropExtension "drop extension" Schema
    CreateServer "create server" Schema
    CreateStage "create stage" Schema
    CreateObject "create object" Schema
    AlterObject "alter object" Schema
    DropObject "drop object" Schema
    Comment "comment" Schema
    Grant "grant" Privileges
    Revoke "revoke" Privileges
    Deny "deny" Privileges
    CreateRole "create role" Privileges
    AlterRole "alter role" Privileges
    DropRole "drop role" Privileges
    CreatePolicy "create policy" Privileges
    AlterPolicy "alter policy" Privileges
    DropPolicy "drop policy" Privileges
    AlterOwner "alter owner" Privileges
    Set "set" Settings
    SetGlobal "set global" Settings
    SetRole "set role" Settings
    SetSearchPath "set search_path" Settings
    Reset "reset" Settings
    AlterSession "alter session" Settings
    Use "use" Settings
    UseRole "use role" Settings
    Pragma "pragma" Settings
    Discard "discard" Settings
    Flush "flush" Settings
    Attach "attach" Settings
    Load "load" Settings
    Show "show" Read
    Describe "describe" Read
    Explain "explain" Read
    Call "call" Other
    Do "do" Other
    Execute "execute" Other
    ExecuteImmediate "execute immediate" Other
    Prepare "prepare" Other
    Deallocate "deallocate" Other
    Declare "declare" Other
    Fetch "fetch" Read
    OpenCursor "open" Read
    CloseCursor "close" Other
    Begin "begin" Other
    Commit "commit" Other
    Rollback "rollback" Other
    Savepoint "savepoint" Other
    ReleaseSavepoint "release savepoint" Other
    Lock "lock table" Other
    Unlock "unlock tables" Other
    Analyze "analyze" Other
    Vacuum "vacuum" Other
    Kill "kill" Other
    Listen "listen" Other
    Notify "notify" Other
    Assert "assert" Read
    Print "print" Other
    RaiseError "raiserror" Other
    WaitFor "waitfor" Other
}

#[cfg(test)]
mod tests {
    use super::Action;
    use crate::{Classes, Decoder};

    #[test]
    fn every_action_has_classes_and_every_class_has_an_action() {
        let classes = Classes::built_in().unwrap();
        for action in Action::ALL {
            assert!(classes.get(Decoder::Sql, action.as_str()).is_some(), "{}", action.as_str());
        }
        for (key, _) in classes.actions(Decoder::Sql) {
            let known = key.ends_with("()") || Action::ALL.iter().any(|action| action.as_str() == key);
            assert!(known, "{key}");
        }
    }
}
