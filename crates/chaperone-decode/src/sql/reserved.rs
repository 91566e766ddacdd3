//! Words that change how a script is read.

use super::Dialect;
use crate::Undecodable;

/// Words that no database takes for a name without quotes; the parser takes some of them for an alias.
const RESERVED: &[&str] = &[
    "CREATE",
    "EXCEPT",
    "FROM",
    "GRANT",
    "GROUP",
    "HAVING",
    "INTERSECT",
    "INTO",
    "JOIN",
    "ORDER",
    "SELECT",
    "TABLE",
    "UNION",
    "WHERE",
    "WITH",
];

/// Words of MySQL that are no names, or would hide one: `DELETE QUICK FROM t` deletes from `t`.
const RESERVED_BY_MYSQL: &[&str] = &[
    "ALTER",
    "DELAYED",
    "DELETE",
    "DISTINCTROW",
    "DROP",
    "FOR",
    "FORCE",
    "HIGH_PRIORITY",
    "IGNORE",
    "LATERAL",
    "LOCK",
    "LOW_PRIORITY",
    "ON",
    "OUTFILE",
    "PARTITION",
    "PROCEDURE",
    "QUICK",
    "STRAIGHT_JOIN",
    "UPDATE",
    "USING",
    "WINDOW",
];

/// Words that begin a statement of SQL Server, which needs no semicolon before it: `SELECT 1 DELETE FROM t` deletes.
const RESERVED_BY_MSSQL: &[&str] = &[
    "ADD",
    "ALTER",
    "AUTHORIZATION",
    "BACKUP",
    "BEGIN",
    "BREAK",
    "BULK",
    "CHECKPOINT",
    "CLOSE",
    "COMMIT",
    "CONTINUE",
    "DBCC",
    "DEALLOCATE",
    "DECLARE",
    "DELETE",
    "DENY",
    "DROP",
    "DUMP",
    "ELSE",
    "END",
    "EXEC",
    "EXECUTE",
    "FETCH",
    "FOR",
    "GOTO",
    "IF",
    "INSERT",
    "KILL",
    "LOAD",
    "MERGE",
    "OPEN",
    "OPTION",
    "PRINT",
    "RAISERROR",
    "READTEXT",
    "RECONFIGURE",
    "RESTORE",
    "RETURN",
    "REVERT",
    "REVOKE",
    "ROLLBACK",
    "SAVE",
    "SET",
    "SETUSER",
    "SHUTDOWN",
    "THROW",
    "TRUNCATE",
    "UPDATE",
    "UPDATETEXT",
    "USE",
    "VALUES",
    "WAITFOR",
    "WHILE",
    "WRITETEXT",
];

/// Words of Postgres that are no names either; `FROM ONLY (t)` is no call of a function.
const RESERVED_BY_POSTGRES: &[&str] = &[
    "CASE",
    "CHECK",
    "COLLATE",
    "CONSTRAINT",
    "DO",
    "ELSE",
    "END",
    "FETCH",
    "FOR",
    "LATERAL",
    "LIMIT",
    "OFFSET",
    "ON",
    "ONLY",
    "REFERENCES",
    "RETURNING",
    "THEN",
    "USING",
    "VARIADIC",
    "WHEN",
    "WINDOW",
];

/// Settings that change how the text of later statements is read: which characters it has, or what ends a string.
const SETTINGS: &[&str] = &[
    "ansi_defaults",
    "backslash_quote",
    "character_set_client",
    "character_set_connection",
    "client_encoding",
    "escape_string_warning",
    "names",
    "noexec",
    "parseonly",
    "quoted_identifier",
    "quoted_identifiers_ignore_case",
    "sql_mode",
    "sql_select_limit",
    "standard_conforming_strings",
    "transform_null_equals",
];

/// Whether a word without quotes cannot be a name in this dialect.
pub(super) fn is_reserved(word: &str, dialect: Dialect) -> bool {
    let holds = |list: &[&str]| list.iter().any(|reserved| reserved.eq_ignore_ascii_case(word));
    holds(RESERVED)
        || match dialect {
            Dialect::Postgres => holds(RESERVED_BY_POSTGRES),
            Dialect::Mssql => holds(RESERVED_BY_MSSQL),
            Dialect::Mysql => holds(RESERVED_BY_MYSQL),
            Dialect::Sqlite | Dialect::Snowflake | Dialect::Bigquery => false,
        }
}

/// Whether a setting, by its last name, changes which objects names without a schema mean.
pub(super) fn changes_names(setting: &str) -> bool {
    ["search_path", "schema", "current_schema", "dataset_id", "dataset_project_id", "catalog_id"]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(setting))
}

/// Refuses a setting that changes how later statements are read, since nobody could tell any more what they do.
pub(super) fn refuse_setting(name: &str) -> Result<(), Undecodable> {
    let name = name.trim_start_matches('@');
    let name = name.rsplit('.').next().unwrap_or(name).trim();
    if SETTINGS.iter().any(|setting| setting.eq_ignore_ascii_case(name)) {
        return Err(Undecodable::new("a setting that changes how statements are read"));
    }
    Ok(())
}
