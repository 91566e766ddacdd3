//! Where the strings, quoted names and comments of a script are, as the database itself sees them.
//!
//! The parser has a lexer of its own, and a text that the two split differently is the oldest way to hide a statement. So the script is
//! split twice, here by the rules of each database's manual and there by the parser, and goes on only if both agree on every border. What
//! is ambiguous by the database's settings, or is read differently by another database, is refused rather than chosen.

use sqlparser::tokenizer::Location;

use super::Dialect;
use crate::Undecodable;

/// A string, a quoted name or a comment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Region {
    /// Where its opening mark is (behind a prefix such as `E`).
    pub start: Location,
    /// Where the text goes on behind it.
    pub end: Location,
}

/// What is left of the text, and where that is.
struct Cursor<'a> {
    rest: &'a str,
    at: Location,
    dialect: Dialect,
    regions: Vec<Region>,
}

/// How the end of a quoted text is found.
#[derive(Clone, Copy)]
struct Quoting {
    close: char,
    /// Whether the closing mark, doubled, stands for itself.
    doubles: bool,
    /// Whether a backslash takes the next character's meaning.
    escapes: bool,
    /// Whether a backslash right before the mark is refused, since a setting decides what it means.
    ambiguous: bool,
}

/// Finds all regions of a script.
pub(super) fn regions(script: &str, dialect: Dialect) -> Result<Vec<Region>, Undecodable> {
    let mut cursor = Cursor { rest: script, at: Location { line: 1, column: 1 }, dialect, regions: Vec::new() };
    while let Some(first) = cursor.peek() {
        cursor.next_region(first)?;
    }
    Ok(cursor.regions)
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn second(&self) -> Option<char> {
        self.rest.chars().nth(1)
    }

    fn bump(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        if next == '\n' {
            self.at = Location { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        Some(next)
    }

    fn bump_while(&mut self, mut wanted: impl FnMut(char) -> bool) {
        while self.peek().is_some_and(&mut wanted) {
            self.bump();
        }
    }

    fn bump_bytes(&mut self, count: usize) {
        let left = self.rest.len().saturating_sub(count);
        while self.rest.len() > left {
            self.bump();
        }
    }

    fn refuse(&self, what: &str) -> Undecodable {
        Undecodable::new(format!("line {}, column {}: {what}", self.at.line, self.at.column))
    }

    fn close(&mut self, start: Location) {
        self.regions.push(Region { start, end: self.at });
    }

    fn next_region(&mut self, first: char) -> Result<(), Undecodable> {
        use Dialect::{Bigquery, Mssql, Mysql, Postgres, Snowflake, Sqlite};
        match (first, self.dialect) {
            (' ' | '\t' | '\n' | '\r', _) => {
                self.bump();
            }
            ('-', dialect) if self.second() == Some('-') && (dialect != Mysql || self.dashes_begin_a_comment()) => {
                self.line_comment()?;
            }
            ('#', Mysql | Bigquery) => self.line_comment()?,
            ('/', Snowflake) if self.second() == Some('/') => self.line_comment()?,
            ('/', _) if self.second() == Some('*') => self.block_comment()?,
            ('\'', _) | ('"', Mysql | Bigquery) => self.string(first, false)?,
            ('"', _) | ('`', Mysql | Sqlite) => self.quoted(Quoting::name(first, true))?,
            ('`', Bigquery) => self.quoted(Quoting { ambiguous: true, ..Quoting::name('`', false) })?,
            ('[', Mssql) => self.quoted(Quoting::name(']', true))?,
            ('[', Sqlite) => self.quoted(Quoting::name(']', false))?,
            ('`', Postgres | Mssql | Snowflake) => return Err(self.refuse("a backtick quotes nothing in this dialect")),
            ('\\', _) => return Err(self.refuse("a backslash outside of a string")),
            ('$', Postgres | Snowflake) => self.dollar()?,
            ('$', Mysql) => return Err(self.refuse("a `$` outside of a name")),
            ('$' | '@' | ':' | '#', Sqlite) => self.variable()?,
            ('0'..='9', _) => self.number()?,
            _ if self.is_part_of_name(first) => self.word()?,
            _ if first.is_ascii_graphic() => {
                self.bump();
            }
            _ => return Err(self.refuse("a character that databases do not agree on")),
        }
        Ok(())
    }

    /// MySQL takes two dashes for a comment only if something blank or a control character follows, or nothing.
    fn dashes_begin_a_comment(&self) -> bool {
        self.rest.chars().nth(2).is_none_or(|next| next.is_ascii_whitespace() || next.is_ascii_control())
    }

    fn is_part_of_name(&self, character: char) -> bool {
        match character {
            '_' => true,
            '#' | '@' => self.dialect == Dialect::Mssql,
            _ => character.is_alphanumeric(),
        }
    }

    /// A comment up to the end of the line, which is not part of it.
    fn line_comment(&mut self) -> Result<(), Undecodable> {
        let start = self.at;
        while let Some(next) = self.peek() {
            match next {
                '\n' => break,
                // Postgres, and the parser for it, end the comment before the first half of this separator.
                '\r' if self.rest.starts_with("\r\n") && self.dialect == Dialect::Postgres => break,
                '\r' if self.rest.starts_with("\r\n") || self.rest.len() == 1 => {}
                // Some databases end the comment at a lone carriage return or at another separator of lines, and some do not.
                '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                    return Err(self.refuse("an odd separator of lines within a comment"));
                }
                _ => {}
            }
            self.bump();
        }
        self.close(start);
        Ok(())
    }

    fn block_comment(&mut self) -> Result<(), Undecodable> {
        let start = self.at;
        let inside = self.rest.get(2..).unwrap_or_default();
        let Some(length) = inside.find("*/") else {
            return Err(self.refuse("a comment without an end"));
        };
        if inside.starts_with('!') || inside.starts_with("M!") {
            return Err(self.refuse("a comment that MySQL or MariaDB would run"));
        }
        // With the first half of the closing mark, so that `/*/*/` counts.
        if inside.get(..=length).is_some_and(|text| text.contains("/*")) {
            return Err(self.refuse("a comment within a comment"));
        }
        if self.dialect == Dialect::Mysql && inside.starts_with('+') {
            let hint = inside.get(..length).unwrap_or_default().to_ascii_lowercase();
            if hint.contains("set_var") || hint.contains("resource_group") {
                return Err(self.refuse("a hint that changes settings"));
            }
        }
        self.bump_bytes(length + 4);
        self.close(start);
        Ok(())
    }

    /// A string; `escaped` if its prefix says that backslashes count.
    fn string(&mut self, quote: char, escaped: bool) -> Result<(), Undecodable> {
        let dialect = self.dialect;
        if dialect == Dialect::Bigquery {
            let triple: String = [quote; 3].iter().collect();
            if self.rest.starts_with(&triple) {
                return self.triple(&triple);
            }
        }
        self.quoted(Quoting {
            close: quote,
            doubles: dialect != Dialect::Bigquery,
            escapes: escaped || matches!(dialect, Dialect::Mysql | Dialect::Snowflake | Dialect::Bigquery),
            ambiguous: dialect == Dialect::Postgres && !escaped,
        })
    }

    fn triple(&mut self, mark: &str) -> Result<(), Undecodable> {
        let start = self.at;
        self.bump_bytes(3);
        while !self.rest.starts_with(mark) {
            if self.bump() == Some('\\') {
                self.bump();
            }
            if self.rest.is_empty() {
                return Err(self.refuse("a string without an end"));
            }
        }
        self.bump_bytes(3);
        self.close(start);
        Ok(())
    }

    fn quoted(&mut self, quoting: Quoting) -> Result<(), Undecodable> {
        let start = self.at;
        self.bump();
        // With an even number of backslashes before it a mark is the same either way.
        let mut odd = false;
        loop {
            let next = self.bump();
            match next {
                None => return Err(self.refuse("a quotation without an end")),
                Some('\\') if quoting.escapes => {
                    self.bump();
                }
                Some(mark) if mark == quoting.close && quoting.ambiguous && odd => {
                    return Err(self.refuse("a backslash before a quotation mark, which settings give a meaning"));
                }
                Some(mark) if mark == quoting.close => {
                    if quoting.doubles && self.peek() == Some(quoting.close) {
                        self.bump();
                    } else {
                        break;
                    }
                }
                Some(_) => {}
            }
            odd = next == Some('\\') && !odd;
        }
        self.close(start);
        Ok(())
    }

    /// Postgres: `$tag$ … $tag$`, or a parameter. Snowflake: `$$ … $$`, or a variable.
    fn dollar(&mut self) -> Result<(), Undecodable> {
        let start = self.at;
        let tag = self.rest.get(1..).unwrap_or_default().split_once('$').map_or("-", |(tag, _)| tag);
        let is_tag = match self.dialect {
            Dialect::Postgres => {
                !tag.starts_with(|first: char| first.is_ascii_digit())
                    && tag.chars().all(|character| character == '_' || character.is_alphanumeric())
            }
            _ => tag.is_empty(),
        };
        if !is_tag {
            self.bump();
            self.bump_while(|character| character == '_' || character.is_ascii_alphanumeric());
            return Ok(());
        }
        let mark = format!("${tag}$");
        let inside = self.rest.get(mark.len()..).unwrap_or_default();
        let Some(length) = inside.find(&mark) else {
            return Err(self.refuse("a quotation without an end"));
        };
        self.bump_bytes(length + 2 * mark.len());
        self.close(start);
        Ok(())
    }

    /// SQLite lets the name of a variable go on with `::` and with anything in parentheses, even quotation marks.
    fn variable(&mut self) -> Result<(), Undecodable> {
        self.bump();
        self.bump_while(|character| character == '_' || character == '$' || character.is_alphanumeric());
        if self.peek() == Some('(') || self.rest.starts_with("::") {
            return Err(self.refuse("a variable with a suffix"));
        }
        Ok(())
    }

    /// MySQL skips over an exponent without digits, so that `1.e` glues names together for it alone.
    fn number(&mut self) -> Result<(), Undecodable> {
        let mut dots = false;
        self.bump_while(|character| {
            dots |= character == '.';
            character == '.' || character.is_ascii_digit()
        });
        let mut behind = self.rest.chars();
        if dots && matches!(behind.next(), Some('e' | 'E')) {
            let digits = match behind.next() {
                Some('+' | '-') => behind.next(),
                other => other,
            };
            if !digits.is_some_and(|digit| digit.is_ascii_digit()) {
                return Err(self.refuse("a number with half of an exponent"));
            }
        }
        Ok(())
    }

    fn word(&mut self) -> Result<(), Undecodable> {
        let text = self.rest;
        let dialect = self.dialect;
        let before = self.rest.len();
        while self
            .peek()
            .is_some_and(|next| self.is_part_of_name(next) || (next == '$' && dialect != Dialect::Bigquery))
        {
            self.bump();
        }
        let word = text.get(..before - self.rest.len()).unwrap_or_default();
        if word.eq_ignore_ascii_case("u") && (self.rest.starts_with("&'") || self.rest.starts_with("&\"")) {
            return Err(self.refuse("a quotation with escapes of Unicode"));
        }
        if self.peek() == Some('\'') && word.eq_ignore_ascii_case("e") && dialect == Dialect::Postgres {
            return self.string('\'', true);
        }
        Ok(())
    }
}

impl Quoting {
    const fn name(close: char, doubles: bool) -> Self {
        Self { close, doubles, escapes: false, ambiguous: false }
    }
}
