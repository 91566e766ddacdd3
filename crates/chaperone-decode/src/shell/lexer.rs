//! Words, quotes and expansions, read the way that bash reads them.
//!
//! The grammar tells statements apart, but it is lenient where a shell is not, so its word on a word does not count. This reads each piece
//! of a line again, byte for byte. From the grammar it takes only where a substitution ends, and every substitution that either of the two
//! sees must be seen by the other.

use smol_str::SmolStr;

use super::reader::Reader;
use super::syntax::{Nested, NestedKind};
use super::word::Word;
use super::{ansi, environment};
use crate::Undecodable;

/// How deeply quotes and expansions may be nested in a word.
const DEPTH_MAX: usize = 24;

/// What was found in all of a line's words.
#[derive(Default)]
pub(super) struct Findings {
    /// Substitutions of the grammar that were read, by their number.
    pub(super) visited: Vec<bool>,
    /// The commands in backquotes, unescaped.
    pub(super) backquoted: Vec<String>,
    /// Names of variables whose value is evaluated as arithmetic, which runs substitutions that stand in it.
    pub(super) evaluated: Vec<SmolStr>,
}

/// Reads a piece of a line.
pub(super) struct Lexer<'a> {
    source: &'a str,
    nested: &'a [Nested],
    pub(super) findings: &'a mut Findings,
    /// Where it is.
    pub(super) at: usize,
    end: usize,
    depth: usize,
}

/// What a text is quoted by.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Quoting {
    /// Nothing.
    None,
    /// Double quotes, or a here-document.
    Double,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(
        source: &'a str,
        nested: &'a [Nested],
        findings: &'a mut Findings,
        range: std::ops::Range<usize>,
    ) -> Self {
        Self { source, nested, findings, at: range.start, end: range.end.min(source.len()), depth: 0 }
    }

    /// The byte `offset` after here.
    pub(super) fn peek(&self, offset: usize) -> Option<u8> {
        let at = self.at + offset;
        (at < self.end).then(|| self.source.as_bytes().get(at).copied()).flatten()
    }

    /// The text from here on.
    pub(super) fn rest(&self) -> &'a str {
        self.source.get(self.at..self.end).unwrap_or_default()
    }

    pub(super) fn since(&self, start: usize) -> &'a str {
        self.source.get(start..self.at).unwrap_or_default()
    }

    pub(super) fn error(&self, what: &str) -> Undecodable {
        Undecodable::new(format!("{what}, at byte {}", self.at))
    }

    /// Goes over blanks.
    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.peek(0), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Goes over this text if it is what comes next.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// The word that starts here; without a byte where none does.
    ///
    /// With `pattern`, brackets, bars and angles are a part of it, as they are in `[[ … ]]` and before the `)` of a case.
    pub(super) fn word(&mut self, pattern: bool) -> Result<Word, Undecodable> {
        if let Some(word) = self.plain_word(pattern) {
            return Ok(word);
        }
        let start = self.at;
        let mut reader = Reader::default();
        // An opening bracket or brace makes a pattern only when it is closed.
        let (mut bracket, mut brace, mut alternatives) = (false, false, false);
        let mut before = 0;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'<' | b'>' if self.peek(1) == Some(b'(') && self.is_nested(NestedKind::Process) => {
                    let here = self.at;
                    self.jump(NestedKind::Process)?;
                    // It becomes a path, which is no option.
                    reader.text.push_str(self.since(here));
                    reader.compute("", false);
                }
                b'(' | b')' | b'|' | b'<' | b'>' if pattern => reader.push_next(self),
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' => break,
                b'\'' => self.single_quoted(&mut reader)?,
                b'"' => self.double_quoted(&mut reader)?,
                b'\\' => {
                    self.at += 1;
                    reader.word.quoted = true;
                    if !reader.push_next_or_end(self) {
                        return Err(self.error("a backslash before nothing"));
                    }
                }
                b'$' => self.dollar(&mut reader, Quoting::None)?,
                b'`' => self.backquoted(&mut reader, Quoting::None)?,
                b'*' | b'?' => {
                    reader.pattern_from_here();
                    reader.push_next(self);
                }
                b'[' | b'{' | b']' | b'}' | b',' | b'.' => {
                    match byte {
                        b'[' => bracket = true,
                        b'{' => brace = true,
                        b']' if bracket => reader.pattern_from_here(),
                        b'}' if brace && alternatives => reader.pattern_from_here(),
                        b',' if brace => alternatives = true,
                        b'.' if brace && self.peek(1) == Some(b'.') => alternatives = true,
                        _ => {}
                    }
                    if matches!(byte, b'[' | b'{') {
                        reader.opened.get_or_insert(reader.text.len());
                    }
                    reader.push_next(self);
                }
                b'!' => {
                    let harmless =
                        matches!(self.peek(1), None | Some(b' ' | b'\t' | b'\n' | b'=' | b'(' | b'"' | b';' | b')'));
                    reader.word.obscure |= !harmless && before != b'[';
                    reader.push_next(self);
                }
                _ => reader.push_next(self),
            }
            before = byte;
        }
        Ok(reader.finish(self.since(start)))
    }

    /// The word that starts here, if nothing in it has a meaning of its own: most words are such.
    fn plain_word(&mut self, pattern: bool) -> Option<Word> {
        let rest = self.rest();
        let length = rest.bytes().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
        let ends = match rest.as_bytes().get(length..) {
            Some([] | [b' ' | b'\t' | b'\n' | b';' | b'&', ..]) => true,
            // With a parenthesis behind it, an angle goes on with the word.
            Some([b'<' | b'>', next @ ..]) => !pattern && next.first() != Some(&b'('),
            Some([b'|' | b'(' | b')', ..]) => !pattern,
            _ => false,
        };
        let text = SmolStr::from(rest.get(..length).filter(|_| ends)?);
        self.at += length;
        Some(Word { text: text.clone(), raw: text, literal: length, ..Word::default() })
    }

    fn single_quoted(&mut self, reader: &mut Reader) -> Result<(), Undecodable> {
        self.at += 1;
        let length = self.rest().find('\'').ok_or_else(|| self.error("a quote that is not closed"))?;
        reader.text.push_str(self.rest().get(..length).unwrap_or_default());
        reader.word.quoted = true;
        self.at += length + 1;
        Ok(())
    }

    fn double_quoted(&mut self, reader: &mut Reader) -> Result<(), Undecodable> {
        self.at += 1;
        reader.word.quoted = true;
        loop {
            match self.peek(0).ok_or_else(|| self.error("a quote that is not closed"))? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'!' => {
                    let harmless = matches!(self.peek(1), None | Some(b' ' | b'\t' | b'\n' | b'=' | b'"' | b'('));
                    reader.word.obscure |= !harmless;
                    reader.push_next(self);
                }
                _ => self.quoted_byte(reader)?,
            }
        }
    }

    /// One character of a text in double quotes or of a here-document.
    fn quoted_byte(&mut self, reader: &mut Reader) -> Result<(), Undecodable> {
        match self.peek(0) {
            Some(b'\\') => {
                if !matches!(self.peek(1), Some(b'$' | b'`' | b'"' | b'\\')) {
                    reader.text.push('\\');
                }
                self.at += 1;
                if !reader.push_next_or_end(self) {
                    return Err(self.error("a backslash before nothing"));
                }
                Ok(())
            }
            Some(b'$') => self.dollar(reader, Quoting::Double),
            Some(b'`') => self.backquoted(reader, Quoting::Double),
            _ => {
                reader.push_next(self);
                Ok(())
            }
        }
    }

    /// Reads what a here-document says, as far as the shell reads it.
    pub(super) fn here_document(&mut self) -> Result<Word, Undecodable> {
        let start = self.at;
        let mut reader = Reader::default();
        while self.peek(0).is_some() {
            self.quoted_byte(&mut reader)?;
        }
        Ok(reader.finish(self.since(start)))
    }

    pub(super) fn dollar(&mut self, reader: &mut Reader, quoting: Quoting) -> Result<(), Undecodable> {
        let start = self.at;
        let unquoted = quoting == Quoting::None;
        match self.peek(1) {
            Some(b'(') if self.is_nested(NestedKind::Arithmetic) => {
                let end = self.jump(NestedKind::Arithmetic)?;
                self.arithmetic_expansion(start, end)?;
                reader.compute(self.since(start), false);
            }
            Some(b'(') => {
                self.jump(NestedKind::Substitution)?;
                reader.compute(self.since(start), unquoted);
            }
            Some(b'{') => {
                let obscure = self.braced(quoting)?;
                let text = self.since(start);
                reader.word.obscure |= obscure;
                reader.compute(text, unquoted || text.contains('@'));
            }
            Some(b'[') => return Err(self.error("an arithmetic expansion of old")),
            Some(b'\'') if unquoted => {
                let (end, text) = ansi::decode(self.source, start + 2)
                    .filter(|(end, _)| *end <= self.end)
                    .ok_or_else(|| self.error("a text in `$'…'` that cannot be read"))?;
                reader.text.push_str(&text);
                reader.word.quoted = true;
                self.at = end;
            }
            Some(b'"') if unquoted => {
                // A catalogue of messages may say something else.
                reader.compute("", false);
                self.at += 1;
                self.double_quoted(reader)?;
            }
            Some(b'A'..=b'Z' | b'a'..=b'z' | b'_') => {
                self.at += 1;
                while matches!(self.peek(0), Some(b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'0'..=b'9')) {
                    self.at += 1;
                }
                reader.compute(self.since(start), unquoted);
            }
            Some(b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!') => {
                let several = self.peek(1) == Some(b'@');
                self.at += 2;
                reader.compute(self.since(start), unquoted || several);
            }
            _ => reader.push_next(self),
        }
        Ok(())
    }

    /// `${…}`; whether what it is worth hangs on more than the value of the variable.
    fn braced(&mut self, quoting: Quoting) -> Result<bool, Undecodable> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error("too deeply nested"));
        }
        let start = self.at;
        self.at += 2;
        let mut ignored = Reader::default();
        loop {
            match self.peek(0).ok_or_else(|| self.error("an expansion that is not closed"))? {
                b'}' => break,
                // Whether a single quote quotes here is different from operator to operator.
                b'\'' if quoting == Quoting::Double => return Err(self.error("a quote in a quoted expansion")),
                b'\'' => self.single_quoted(&mut ignored)?,
                b'"' => self.double_quoted(&mut ignored)?,
                b'\\' => {
                    self.at += 1;
                    if !ignored.push_next_or_end(self) {
                        return Err(self.error("a backslash before nothing"));
                    }
                }
                b'$' => self.dollar(&mut ignored, quoting)?,
                b'`' => self.backquoted(&mut ignored, quoting)?,
                b'<' | b'>' if self.peek(1) == Some(b'(') => {
                    return Err(self.error("a process substitution in an expansion"));
                }
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.depth -= 1;
        let text = self.since(start);
        let inside = text.get(2..text.len() - 1).unwrap_or_default();
        if let Some(index) = inside.find(['[', ':']) {
            let evaluated = inside.get(index..).unwrap_or_default();
            if evaluated.starts_with('[') || !evaluated.get(1..2).is_some_and(|operator| "-+=?".contains(operator)) {
                self.note_names(evaluated);
            }
        }
        let name = inside.split(|one: char| !one.is_ascii_alphanumeric() && one != '_').next().unwrap_or_default();
        let after = inside.get(name.len()..).unwrap_or_default();
        let assigns = (after.starts_with('=') || after.starts_with(":=")) && environment::is_decisive(name);
        Ok(assigns || ignored.word.obscure || inside.starts_with('!') || inside.contains("@P") || inside.contains("@E"))
    }

    /// A command in backquotes, which ends at the first one that is not escaped.
    fn backquoted(&mut self, reader: &mut Reader, quoting: Quoting) -> Result<(), Undecodable> {
        let start = self.at;
        self.at += 1;
        let mut script = String::new();
        loop {
            let character = self.rest().chars().next().ok_or_else(|| self.error("a backquote that is not closed"))?;
            self.at += character.len_utf8();
            match (character, self.peek(0)) {
                ('`', _) => break,
                ('\\', Some(escaped @ (b'`' | b'\\' | b'$'))) => {
                    self.at += 1;
                    script.push(char::from(escaped));
                }
                ('\\', Some(b'"')) if quoting == Quoting::Double => {
                    return Err(self.error("an escaped quote in quoted backquotes"));
                }
                _ => script.push(character),
            }
        }
        self.findings.backquoted.push(script);
        reader.compute(self.since(start), quoting == Quoting::None);
        Ok(())
    }

    fn nested_here(&self, kind: NestedKind) -> Option<(usize, Nested)> {
        let index = self.nested.binary_search_by_key(&self.at, |nested| nested.start).ok()?;
        self.nested.get(index).filter(|nested| nested.kind == kind).map(|nested| (index, *nested))
    }

    fn is_nested(&self, kind: NestedKind) -> bool {
        self.nested_here(kind).is_some()
    }

    /// Goes to the end of a substitution, which the grammar must have seen.
    fn jump(&mut self, kind: NestedKind) -> Result<usize, Undecodable> {
        let Some((index, nested)) = self.nested_here(kind).filter(|(_, nested)| nested.end <= self.end) else {
            return Err(self.error("a substitution that is none"));
        };
        if let Some(visited) = self.findings.visited.get_mut(index) {
            *visited = true;
        }
        self.at = nested.end;
        Ok(nested.end)
    }

    /// `$((…))` from `start` to `end`.
    fn arithmetic_expansion(&mut self, start: usize, end: usize) -> Result<(), Undecodable> {
        let text = self.source.get(start..end).unwrap_or_default();
        if !text.starts_with("$((") || !text.ends_with("))") {
            return Err(self.error("an arithmetic expansion of old"));
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error("too deeply nested"));
        }
        let inner = Lexer {
            source: self.source,
            nested: self.nested,
            findings: &mut *self.findings,
            at: start + 3,
            end: end - 2,
            depth: self.depth,
        };
        inner.arithmetic(false)?;
        self.depth -= 1;
        Ok(())
    }

    /// Keeps the names of variables in an expression that is evaluated.
    pub(super) fn note_names(&mut self, expression: &str) {
        let names = expression.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        let names = names.filter(|name| name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_'));
        self.findings.evaluated.extend(names.map(SmolStr::from));
    }
}

/// Whether a byte stands for itself in every word.
const fn is_plain(byte: u8) -> bool {
    !matches!(
        byte,
        b' ' | b'\t'
            | b'\n'
            | b';'
            | b'&'
            | b'|'
            | b'('
            | b')'
            | b'<'
            | b'>'
            | b'\''
            | b'"'
            | b'\\'
            | b'$'
            | b'`'
            | b'*'
            | b'?'
            | b'['
            | b']'
            | b'{'
            | b'}'
            | b'!'
    )
}
