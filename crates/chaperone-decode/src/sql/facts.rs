//! What is told of each operation.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::Options;
use crate::{Fact, FactMap, FactSpec, FactType};

/// The types of the resources of SQL.
pub const RESOURCES: &[&str] = &[DATABASE, SCHEMA, TABLE, FUNCTION, ROLE, FILE, STAGE, OBJECT];

/// A database: the one that a script is for, or another that it names.
pub(super) const DATABASE: &str = "Database";
/// A schema, or a dataset.
pub(super) const SCHEMA: &str = "Schema";
/// A table or a view.
pub(super) const TABLE: &str = "Table";
/// A function or a procedure.
pub(super) const FUNCTION: &str = "Function";
/// A role or a user.
pub(super) const ROLE: &str = "Role";
/// A file of the server, a program that it runs, or a place on the network that data comes from or goes to.
pub(super) const FILE: &str = "File";
/// A stage of Snowflake.
pub(super) const STAGE: &str = "Stage";
/// An index, a sequence, a type, a trigger, or whatever else has a name.
pub(super) const OBJECT: &str = "Object";

/// The facts that operations have, all of them the same for every operation of a statement.
pub const FACTS: &[FactSpec] = &[
    FactSpec::required(
        "statement",
        FactType::Text,
        "The kind of the statement that does it, such as `select` or `alter table`.",
    ),
    FactSpec::required("tables_read", FactType::Texts, "The tables that the statement reads."),
    FactSpec::required("tables_written", FactType::Texts, "The tables that the statement changes."),
    FactSpec::required(
        "columns",
        FactType::Texts,
        "The columns that the statement names, and `*` if it takes all of a table's.",
    ),
    FactSpec::required("functions", FactType::Texts, "The functions that the statement calls, in small letters."),
    FactSpec::required(
        "changes_schema",
        FactType::Bool,
        "Whether the statement changes which objects there are, or how they are made.",
    ),
    FactSpec::required("changes_privileges", FactType::Bool, "Whether the statement changes who may do what."),
    FactSpec::required(
        "changes_settings",
        FactType::Bool,
        "Whether the statement changes how the session or the server works.",
    ),
    FactSpec::required(
        "exports",
        FactType::Bool,
        "Whether the statement takes data out into a file, a program, a stage or another place.",
    ),
    FactSpec::required(
        "unbounded",
        FactType::Bool,
        "Whether the statement updates or deletes without a condition that could spare a row.",
    ),
    FactSpec::required("dialect", FactType::Text, "The dialect that the script was read in."),
    FactSpec::required("database", FactType::Text, "The database that the mapping says the script is for."),
    FactSpec::required("statements", FactType::Long, "How many statements the script has."),
];

/// What is known of one statement.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Facts {
    pub statement: &'static str,
    pub tables_read: BTreeSet<SmolStr>,
    pub tables_written: BTreeSet<SmolStr>,
    pub columns: BTreeSet<SmolStr>,
    pub functions: BTreeSet<SmolStr>,
    pub changes_schema: bool,
    pub changes_privileges: bool,
    pub changes_settings: bool,
    pub exports: bool,
    pub unbounded: bool,
}

impl Facts {
    /// How many texts they hold.
    pub fn texts(&self) -> usize {
        self.tables_read.len() + self.tables_written.len() + self.columns.len() + self.functions.len()
    }

    pub fn into_map(self, options: &Options, statements: usize) -> FactMap {
        FactMap::from([
            ("statement", Fact::Text(self.statement.into())),
            ("tables_read", Fact::Texts(self.tables_read)),
            ("tables_written", Fact::Texts(self.tables_written)),
            ("columns", Fact::Texts(self.columns)),
            ("functions", Fact::Texts(self.functions)),
            ("changes_schema", Fact::Bool(self.changes_schema)),
            ("changes_privileges", Fact::Bool(self.changes_privileges)),
            ("changes_settings", Fact::Bool(self.changes_settings)),
            ("exports", Fact::Bool(self.exports)),
            ("unbounded", Fact::Bool(self.unbounded)),
            ("dialect", Fact::Text(options.dialect.as_str().into())),
            ("database", Fact::Text(options.database.clone())),
            ("statements", Fact::Long(i64::try_from(statements).unwrap_or(i64::MAX))),
        ])
    }
}
