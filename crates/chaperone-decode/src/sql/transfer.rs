//! Statements that take data out, or in from elsewhere.

use sqlparser::ast::{CopyIntoSnowflakeKind, CopySource, CopyTarget, ExportData, Expr, ObjectName, SqlOption, Value};

use super::Dialect;
use super::action::Action;
use super::facts::{FILE, STAGE};
use super::walk::Walk;
use crate::Undecodable;

impl Walk<'_> {
    /// `COPY` of Postgres. The query of `COPY (query) TO` is walked behind this.
    pub(super) fn copy(&mut self, source: &CopySource, to: bool, target: &CopyTarget) -> Result<(), Undecodable> {
        let (action, place) = match (target, to) {
            (CopyTarget::Program { command }, true) => (Action::CopyToProgram, command.as_str()),
            (CopyTarget::Program { command }, false) => (Action::CopyFromProgram, command.as_str()),
            (CopyTarget::File { filename }, true) => (Action::CopyTo, filename.as_str()),
            (CopyTarget::File { filename }, false) => (Action::CopyFrom, filename.as_str()),
            (CopyTarget::Stdout, true) => (Action::CopyTo, "stdout"),
            (CopyTarget::Stdin, false) => (Action::CopyFrom, "stdin"),
            (CopyTarget::Stdin, true) | (CopyTarget::Stdout, false) => {
                return Err(Undecodable::new("a kind of COPY that is not decoded"));
            }
        };
        self.effect(action, FILE, place)?;
        match source {
            CopySource::Table { table_name, columns } => {
                if columns.is_empty() {
                    self.facts.columns.insert("*".into());
                }
                for column in columns {
                    self.column(column);
                }
                self.table(if to { Action::Select } else { Action::Insert }, table_name)
            }
            CopySource::Query(_) if to => Ok(()),
            CopySource::Query(_) => Err(Undecodable::new("a kind of COPY that is not decoded")),
        }
    }

    /// `COPY INTO` of Snowflake. The query that it may copy from is walked behind this.
    pub(super) fn copy_into(
        &mut self,
        kind: CopyIntoSnowflakeKind,
        into: &ObjectName,
        from: Option<&ObjectName>,
    ) -> Result<(), Undecodable> {
        match kind {
            CopyIntoSnowflakeKind::Table => {
                if let Some(from) = from {
                    self.place(Action::CopyFrom, from)?;
                }
                self.table(Action::Insert, into)
            }
            CopyIntoSnowflakeKind::Location => {
                self.place(Action::CopyTo, into)?;
                match from {
                    Some(from) => self.table(Action::Select, from),
                    None => Ok(()),
                }
            }
        }
    }

    /// Adds what is done with a stage, or with a place outside of the database.
    fn place(&mut self, action: Action, name: &ObjectName) -> Result<(), Undecodable> {
        match stage(name) {
            Some(_) => self.stage(action, name),
            None => match name.0.as_slice() {
                [part] => match part.as_ident() {
                    Some(url) if url.quote_style == Some('\'') => self.effect(action, FILE, url.value.as_str()),
                    _ => Err(Undecodable::new("a place that is neither a stage nor an address")),
                },
                _ => Err(Undecodable::new("a place that is neither a stage nor an address")),
            },
        }
    }

    /// Adds what is done with a stage. The path within it is not part of the name.
    pub(super) fn stage(&mut self, action: Action, name: &ObjectName) -> Result<(), Undecodable> {
        let text = stage(name).ok_or_else(|| Undecodable::new("a stage without a name"))?;
        let text = text.split_once('/').map_or(text.as_str(), |(stage, _)| stage);
        let plain =
            |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '$' | '.' | '~' | '%');
        if text.is_empty() || !text.chars().all(plain) {
            return Err(Undecodable::new("a stage whose name may be spelled in several ways"));
        }
        let id = self.options.resource(&format!("@{}", text.to_ascii_uppercase()));
        self.effect(action, STAGE, id)
    }

    /// Adds what is read in `FROM`, which Snowflake lets be a stage.
    pub(super) fn read_or_stage(&mut self, name: &ObjectName) -> Result<(), Undecodable> {
        if self.options.dialect == Dialect::Snowflake && stage(name).is_some() {
            self.stage(Action::CopyFrom, name)
        } else {
            self.read(name)
        }
    }

    /// `EXPORT DATA` of BigQuery.
    pub(super) fn export_data(&mut self, export: &ExportData) -> Result<(), Undecodable> {
        for option in &export.options {
            if let SqlOption::KeyValue { key, value: Expr::Value(value) } = option
                && key.value.eq_ignore_ascii_case("uri")
                && let Value::SingleQuotedString(uri) | Value::DoubleQuotedString(uri) = &value.value
            {
                return self.effect(Action::ExportData, FILE, uri.as_str());
            }
        }
        Err(Undecodable::new("an export without a plain address"))
    }
}

/// The name of a stage behind its `@`.
fn stage(name: &ObjectName) -> Option<String> {
    let first = name.0.first()?.as_ident()?;
    if first.quote_style.is_some() || !first.value.starts_with('@') {
        return None;
    }
    // The parts keep their quotes, which no stage's name may have here.
    let text = name.to_string();
    text.strip_prefix('@').map(str::to_owned)
}
