//! Statements that change how the session or the server works, and statements that run code.

use sqlparser::ast::{
    ContextModifier, Expr, ObjectName, Reset, Set, SetSessionAuthorizationParamKind, SetSessionParamKind, Use, Value,
};

use super::action::Action;
use super::facts::{DATABASE, FILE, FUNCTION, ROLE, SCHEMA};
use super::walk::Walk;
use super::{Dialect, reserved};
use crate::{Decoder, Undecodable};

/// The pragmas of SQLite that only tell something, whatever they are given.
const TELLING: &[&str] = &[
    "collation_list",
    "compile_options",
    "database_list",
    "foreign_key_check",
    "foreign_key_list",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "module_list",
    "pragma_list",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Those that tell something unless they are given a value.
const TELLING_BARE: &[&str] = &[
    "application_id",
    "auto_vacuum",
    "busy_timeout",
    "cache_size",
    "encoding",
    "foreign_keys",
    "freelist_count",
    "journal_mode",
    "page_count",
    "page_size",
    "query_only",
    "schema_version",
    "synchronous",
    "user_version",
];

impl Walk<'_> {
    pub(super) fn set(&mut self, set: &Set) -> Result<(), Undecodable> {
        match set {
            Set::SingleAssignment { scope, hivevar: false, variable, values } => {
                self.variable(*scope, variable, values.iter())
            }
            Set::ParenthesizedAssignments { variables, .. } => {
                variables.iter().try_for_each(|variable| self.variable(None, variable, std::iter::empty()))
            }
            Set::MultipleAssignments { assignments } => assignments.iter().try_for_each(|assignment| {
                self.variable(assignment.scope, &assignment.name, std::iter::once(&assignment.value))
            }),
            Set::SetSessionAuthorization(authorization) => match &authorization.kind {
                SetSessionAuthorizationParamKind::Default => self.database(Action::SetRole),
                SetSessionAuthorizationParamKind::User(user) => self.named(Action::SetRole, ROLE, user),
            },
            Set::SetRole { role_name, .. } => match role_name {
                Some(role) => self.named(Action::SetRole, ROLE, role),
                None => self.database(Action::SetRole),
            },
            Set::SetSessionParam(param) => {
                if let SetSessionParamKind::Generic(param) = param {
                    param.names.iter().try_for_each(|name| reserved::refuse_setting(name))?;
                }
                self.database(Action::Set)
            }
            Set::SetTimeZone { .. } | Set::SetTransaction { .. } | Set::SetNamesDefault {} => {
                self.database(Action::Set)
            }
            Set::SetNames { charset_name, .. } => {
                // In another character set a backslash can be half of a character, and what looks like the end of a string is not.
                let safe = ["utf8", "utf8mb3", "utf8mb4", "ascii", "latin1", "binary"];
                if !safe.iter().any(|name| charset_name.value.eq_ignore_ascii_case(name)) {
                    return Err(Undecodable::new("a setting that changes how statements are read"));
                }
                self.database(Action::Set)
            }
            Set::SingleAssignment { hivevar: true, .. } => Err(Undecodable::new("a setting of another database")),
        }
    }

    fn variable<'e>(
        &mut self,
        scope: Option<ContextModifier>,
        variable: &ObjectName,
        mut values: impl Iterator<Item = &'e Expr>,
    ) -> Result<(), Undecodable> {
        let name = variable.to_string().replace(['`', '"', '[', ']', '\''], "").to_ascii_lowercase();
        reserved::refuse_setting(&name)?;
        let last = name.trim_start_matches('@').rsplit('.').next().unwrap_or_default();
        if reserved::changes_names(last) {
            return match values.next() {
                Some(value) if values.next().is_none() && is_public(value) => self.database(Action::Set),
                _ => {
                    self.names_unclear = true;
                    self.database(Action::SetSearchPath)
                }
            };
        }
        match last {
            "password" => return self.database(Action::AlterRole),
            "role" | "session_authorization" => return self.database(Action::SetRole),
            _ => {}
        }
        let global = name.starts_with("@@global") || name.starts_with("@@persist");
        self.database(if global || scope == Some(ContextModifier::Global) { Action::SetGlobal } else { Action::Set })
    }

    pub(super) fn reset(&mut self, reset: &sqlparser::ast::ResetStatement) -> Result<(), Undecodable> {
        match &reset.reset {
            Reset::ALL | Reset::SessionAuthorization => self.names_unclear = true,
            Reset::ConfigurationParameter(name) => {
                let name = name.to_string();
                reserved::refuse_setting(&name)?;
                self.names_unclear |= reserved::changes_names(&name.to_ascii_lowercase());
            }
        }
        self.database(Action::Reset)
    }

    /// `USE`: names without a database mean others from then on.
    pub(super) fn use_object(&mut self, target: &Use) -> Result<(), Undecodable> {
        match target {
            Use::Catalog(name) | Use::Database(name) | Use::Object(name) => {
                let parts = self.options.parts(name)?;
                let same =
                    matches!(parts.as_slice(), [database] if database.eq_ignore_ascii_case(&self.options.database));
                self.names_unclear |= !same;
                self.object(Action::Use, DATABASE, name)
            }
            Use::Schema(name) => {
                self.names_unclear = true;
                self.object(Action::Use, SCHEMA, name)
            }
            Use::Role(name) => self.role(Action::UseRole, name),
            Use::SecondaryRoles(_) => self.database(Action::UseRole),
            Use::Warehouse(_) | Use::Default => self.database(Action::Use),
        }
    }

    pub(super) fn pragma(&mut self, name: &str, has_value: bool) -> Result<(), Undecodable> {
        let name = name.to_ascii_lowercase();
        if TELLING.contains(&name.as_str()) || (!has_value && TELLING_BARE.contains(&name.as_str())) {
            self.database(Action::Show)
        } else {
            self.database(Action::Pragma)
        }
    }

    pub(super) fn attach(&mut self, file: &Expr) -> Result<(), Undecodable> {
        match file {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(file) => self.effect(Action::Attach, FILE, file.as_str()),
                _ => Err(Undecodable::new("the name of a file is computed")),
            },
            // SQLite takes a name in double quotes for a string here.
            Expr::Identifier(file) if file.quote_style == Some('"') => {
                self.effect(Action::Attach, FILE, file.value.as_str())
            }
            _ => Err(Undecodable::new("the name of a file is computed")),
        }
    }

    /// `EXECUTE`: a procedure of SQL Server, a statement that was prepared, or a text.
    pub(super) fn execute(&mut self, name: Option<&ObjectName>, immediate: bool) -> Result<(), Undecodable> {
        match name {
            Some(name) if self.options.dialect == Dialect::Mssql => {
                // The text that such a procedure runs may be given as a parameter, and names in variables too.
                let (_, last) = self.options.function(name)?;
                if last == "as" {
                    return Err(Undecodable::new("EXECUTE AS"));
                }
                if last.starts_with('@') {
                    return self.database(Action::ExecuteImmediate);
                }
                self.call(name)?;
                let listed = smol_str::format_smolstr!("{last}()");
                if self.classes.get(Decoder::Sql, &listed).is_some() && !self.only_explained {
                    self.facts.statement = Action::Execute.as_str();
                    return Ok(());
                }
                self.object(Action::Execute, FUNCTION, name)
            }
            Some(_) if !immediate && self.options.dialect == Dialect::Postgres => self.database(Action::Execute),
            Some(_) | None => self.database(Action::ExecuteImmediate),
        }
    }
}

/// Whether the search path is set to what it is by default.
fn is_public(value: &Expr) -> bool {
    matches!(value, Expr::Identifier(ident) if ident.value.eq_ignore_ascii_case("public") && ident.quote_style.is_none())
}
