//! The databases whose SQL is read.

use sqlparser::dialect as grammar;

/// The database that a script is meant for.
///
/// It is what the operator says of the resource, never a guess from the text: the same bytes are different statements to different
/// databases.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Dialect {
    /// PostgreSQL, and what speaks as it does.
    Postgres,
    /// MySQL and MariaDB, with neither `ANSI_QUOTES` nor `NO_BACKSLASH_ESCAPES` in the server's `sql_mode`.
    Mysql,
    /// SQLite.
    Sqlite,
    /// Microsoft SQL Server.
    Mssql,
    /// Snowflake.
    Snowflake,
    /// BigQuery (GoogleSQL).
    Bigquery,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Postgres, Self::Mysql, Self::Sqlite, Self::Mssql, Self::Snowflake, Self::Bigquery];

    /// The dialect of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == name)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Sqlite => "sqlite",
            Self::Mssql => "mssql",
            Self::Snowflake => "snowflake",
            Self::Bigquery => "bigquery",
        }
    }

    /// The parser's rules for it.
    pub(super) fn grammar(self) -> &'static dyn grammar::Dialect {
        match self {
            Self::Postgres => &grammar::PostgreSqlDialect {},
            Self::Mysql => &grammar::MySqlDialect {},
            Self::Sqlite => &grammar::SQLiteDialect {},
            Self::Mssql => &grammar::MsSqlDialect {},
            Self::Snowflake => &grammar::SnowflakeDialect,
            Self::Bigquery => &grammar::BigQueryDialect,
        }
    }
}
