//! Names of objects in the one spelling that stands for all that mean the same.

use std::fmt::Write as _;

use smol_str::SmolStr;
use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use super::{Dialect, Options};
use crate::Undecodable;

/// How many bytes of a name Postgres heeds; it cuts off the rest, so that a longer name is another spelling of a shorter one.
const POSTGRES_NAME_BYTES_MAX: usize = 63;

impl Options {
    /// The name of a table or view, without the database's own prefix: `orders`, `audit.log`, `"Odd name"`.
    ///
    /// The schema that a name without one means by default (`public`, `dbo`, `PUBLIC`, `main`) is left out, as is the database that these
    /// options name, so that both spellings are one. A part stands in double quotes if it is more than letters, digits and `_$#@`.
    pub(super) fn table(&self, name: &ObjectName) -> Result<SmolStr, Undecodable> {
        let mut parts = self.parts(name)?;
        let deepest = match self.dialect {
            Dialect::Mysql | Dialect::Sqlite => 2,
            Dialect::Postgres | Dialect::Mssql | Dialect::Snowflake | Dialect::Bigquery => 3,
        };
        if parts.len() > deepest && !is_information_schema(&parts) {
            return Err(Undecodable::new("a name has more parts than this dialect gives it"));
        }
        if self.dialect != Dialect::Sqlite && parts.len() == deepest && self.is_database(parts.first()) {
            parts.remove(0);
        }
        if let [schema, table] = parts.as_slice()
            && self.is_default_schema(schema, table)
        {
            parts.remove(0);
        }
        Ok(spelled(&parts))
    }

    /// The name of any other object, as it is written.
    pub(super) fn object(&self, name: &ObjectName) -> Result<SmolStr, Undecodable> {
        Ok(spelled(&self.parts(name)?))
    }

    /// One identifier of an object.
    pub(super) fn identifier(&self, ident: &Ident) -> Result<SmolStr, Undecodable> {
        Ok(spelled(&[self.fold(ident)?]))
    }

    /// The id of a resource with this name.
    pub(super) fn resource(&self, name: &str) -> SmolStr {
        if self.database.is_empty() {
            SmolStr::new(name)
        } else {
            smol_str::format_smolstr!("{}/{name}", self.database)
        }
    }

    /// The names of a function in small letters: with its schema and without.
    pub(super) fn function(&self, name: &ObjectName) -> Result<(SmolStr, SmolStr), Undecodable> {
        let mut parts = self.parts(name)?;
        for part in &mut parts {
            // A database that compares names by a collation takes `ó` for `o`, and so would find the function that no table here finds.
            if !part.is_ascii() {
                return Err(Undecodable::new("the name of a function is not ASCII"));
            }
            *part = part.to_ascii_lowercase().into();
        }
        let Some(last) = parts.last() else {
            return Err(Undecodable::new("a function has no name"));
        };
        Ok((parts.join(".").into(), last.clone()))
    }

    /// The parts of a name, folded.
    pub(super) fn parts(&self, name: &ObjectName) -> Result<Vec<SmolStr>, Undecodable> {
        let mut parts = Vec::with_capacity(name.0.len());
        for part in &name.0 {
            let ObjectNamePart::Identifier(ident) = part else {
                return Err(Undecodable::new("a name is computed"));
            };
            // `database..table` is the table in the default schema.
            if ident.value.is_empty() && ident.quote_style.is_none() && parts.len() == 1 {
                match self.dialect {
                    Dialect::Mssql => parts.push("dbo".into()),
                    Dialect::Snowflake => parts.push("PUBLIC".into()),
                    _ => return Err(Undecodable::new("a part of a name is empty")),
                }
            } else if self.dialect == Dialect::Bigquery {
                // Backticks around all of `project.dataset.table` are the same as around each part.
                for part in ident.value.split('.') {
                    parts.push(self.fold(&Ident { value: part.to_owned(), ..ident.clone() })?);
                }
            } else {
                parts.push(self.fold(ident)?);
            }
        }
        if parts.is_empty() {
            return Err(Undecodable::new("a name is empty"));
        }
        Ok(parts)
    }

    /// An identifier as the database compares it.
    pub(super) fn fold(&self, ident: &Ident) -> Result<SmolStr, Undecodable> {
        let text = ident.value.as_str();
        match (ident.quote_style, self.dialect) {
            (None, _)
            | (Some('"'), Dialect::Postgres | Dialect::Sqlite | Dialect::Mssql | Dialect::Snowflake)
            | (Some('`'), Dialect::Mysql | Dialect::Sqlite | Dialect::Bigquery)
            | (Some('['), Dialect::Mssql | Dialect::Sqlite)
            // SQLite takes a string for a name where only a name can be.
            | (Some('\''), Dialect::Sqlite) => {}
            (Some(_), _) => return Err(Undecodable::new("a string stands where a name should")),
        }
        let quoted = ident.quote_style.is_some();
        // BigQuery has escapes within backticks, and `*` for all tables whose names begin so.
        if self.dialect == Dialect::Bigquery && text.contains(['\\', '*']) {
            return Err(Undecodable::new("a name is a pattern, or has escapes in it"));
        }
        if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
            return Err(Undecodable::new("a name is empty, or has blanks around it or control characters in it"));
        }
        if !text.is_ascii() {
            let cased =
                text.chars().any(|character| !character.is_ascii() && !character.to_lowercase().eq([character]));
            match self.dialect {
                // By its collation the server may take other letters, widths or accents for the same name.
                Dialect::Mssql => return Err(Undecodable::new("a name is not ASCII")),
                Dialect::Postgres | Dialect::Snowflake if quoted => {}
                Dialect::Postgres | Dialect::Snowflake | Dialect::Mysql if cased => {
                    return Err(Undecodable::new("a name has capital letters beyond ASCII"));
                }
                Dialect::Snowflake => return Err(Undecodable::new("a name without quotes is not ASCII")),
                Dialect::Postgres | Dialect::Mysql | Dialect::Sqlite | Dialect::Bigquery => {}
            }
        }
        Ok(match self.dialect {
            Dialect::Postgres if text.len() > POSTGRES_NAME_BYTES_MAX => {
                return Err(Undecodable::new("a name is longer than the database tells apart"));
            }
            Dialect::Postgres | Dialect::Snowflake if quoted => text.into(),
            Dialect::Snowflake => fold_ascii(text, char::to_ascii_uppercase),
            Dialect::Bigquery => text.into(),
            Dialect::Postgres | Dialect::Mysql | Dialect::Mssql | Dialect::Sqlite => {
                fold_ascii(text, char::to_ascii_lowercase)
            }
        })
    }

    fn is_database(&self, part: Option<&SmolStr>) -> bool {
        part.is_some_and(|part| match self.dialect {
            Dialect::Postgres | Dialect::Bigquery => *part == self.database,
            _ => part.eq_ignore_ascii_case(&self.database),
        })
    }

    fn is_default_schema(&self, schema: &str, table: &str) -> bool {
        match self.dialect {
            // What is in pg_catalog comes before all else; so `public.pg_class` is a table that nobody means by `pg_class`.
            Dialect::Postgres => schema == "pg_catalog" || (schema == "public" && !table.starts_with("pg_")),
            Dialect::Mssql => schema == "dbo",
            Dialect::Snowflake => schema == "PUBLIC",
            Dialect::Sqlite => schema == "main",
            Dialect::Mysql | Dialect::Bigquery => false,
        }
    }
}

/// BigQuery's own views have one part more: `project.dataset.INFORMATION_SCHEMA.TABLES`.
fn is_information_schema(parts: &[SmolStr]) -> bool {
    matches!(parts, [_, _, schema, _] if schema.eq_ignore_ascii_case("information_schema"))
}

fn fold_ascii(text: &str, fold: impl Fn(&char) -> char) -> SmolStr {
    text.chars().map(|character| fold(&character)).collect()
}

/// The parts with dots between them, in quotes where they could be taken for something else.
fn spelled(parts: &[SmolStr]) -> SmolStr {
    let mut text = String::new();
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            text.push('.');
        }
        let plain = part
            .chars()
            .all(|character| character.is_alphanumeric() || matches!(character, '_' | '$' | '#' | '@' | '-'));
        if plain {
            text.push_str(part);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "\"{}\"", part.replace('"', "\"\""));
        }
    }
    text.into()
}
