//! Problems in a bundle, each with its place.

use std::fmt;

/// One thing that is wrong with a bundle.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Problem {
    /// The file inside the bundle.
    pub file: String,
    /// The line, from 1; 0 when the problem has no single place.
    pub line: u32,
    /// The column in characters, from 1; 0 when the problem has no single place.
    pub column: u32,
    /// A stable code, such as `policy_syntax`.
    pub code: &'static str,
    /// What is wrong, one sentence.
    pub message: String,
    /// The line in question with carets under the place; empty when there is none.
    pub excerpt: String,
    /// What to do about it; may be empty.
    pub help: String,
}

impl Problem {
    /// A problem at a byte range of `text`, the content of `file`.
    pub fn at(
        file: &str,
        text: &str,
        offset: usize,
        length: usize,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let place = Place::of(text, offset, length);
        Self {
            file: file.to_owned(),
            line: place.line,
            column: place.column,
            code,
            message: message.into(),
            excerpt: place.excerpt,
            help: String::new(),
        }
    }

    /// A problem of a whole file, or of a file that is not there.
    pub fn of_file(file: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            code,
            message: message.into(),
            excerpt: String::new(),
            help: String::new(),
        }
    }

    /// The same, with advice.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: help.into(), ..self }
    }
}

impl fmt::Display for Problem {
    /// `file:line:column: message [code]`, the excerpt and the advice below.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(f, "{}: ", self.file)?,
            (line, column) => write!(f, "{}:{line}:{column}: ", self.file)?,
        }
        write!(f, "{} [{}]", self.message, self.code)?;
        if !self.excerpt.is_empty() {
            write!(f, "\n{}", self.excerpt)?;
        }
        if !self.help.is_empty() {
            write!(f, "\n  help: {}", self.help)?;
        }
        Ok(())
    }
}

struct Place {
    line: u32,
    column: u32,
    excerpt: String,
}

impl Place {
    /// How much of a long line an excerpt shows, in characters.
    const EXCERPT_CHARS_MAX: usize = 160;

    fn of(text: &str, offset: usize, length: usize) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let (before, after) = text.split_at(offset);
        let line = before.matches('\n').count() + 1;
        let line_before = before.rsplit('\n').next().unwrap_or_default();
        let line_after = after.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let column = line_before.chars().count() + 1;
        // A long line is cut to a window in which the place is.
        let skipped = column.saturating_sub(Self::EXCERPT_CHARS_MAX / 2);
        let shown: String =
            line_before.chars().chain(line_after.chars()).skip(skipped).take(Self::EXCERPT_CHARS_MAX).collect();
        let indent: String = line_before.chars().skip(skipped).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let room = shown.chars().count().saturating_sub(indent.chars().count());
        let marked = after.bytes().take(length).take_while(|byte| *byte != b'\n').count().clamp(1, room.max(1));
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        Self {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            excerpt: format!(" {number} | {shown}\n {gutter} | {indent}{}", "^".repeat(marked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_counts_lines_and_characters() {
        let problem = Problem::at("a.cedar", "one\ntwö three\n", 9, 5, "code", "message");
        assert_eq!((problem.line, problem.column), (2, 5));
        assert_eq!(problem.excerpt, " 2 | twö three\n   |     ^^^^^");
    }

    #[test]
    fn place_past_the_end_or_inside_a_character_is_moved_back() {
        assert_eq!(Problem::at("a", "ä", 1, 1, "code", "").column, 1);
        assert_eq!(Problem::at("a", "x", 99, 1, "code", "").column, 2);
    }
}
