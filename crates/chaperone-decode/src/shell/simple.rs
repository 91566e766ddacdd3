//! A simple command: assignments, words and redirections.

use std::ops::Range;

use smol_str::SmolStr;

use super::lexer::{Findings, Lexer};
use super::syntax::{Heredoc, Nested};
use super::word::Word;
use crate::Undecodable;

/// A simple command, or the redirections of a compound one.
#[derive(Debug, Default)]
pub(super) struct Simple {
    pub(super) assignments: Vec<Assignment>,
    pub(super) words: Vec<Word>,
    pub(super) redirections: Vec<Redirection>,
    /// What variables are set to, and what here-strings say.
    pub(super) values: Vec<Word>,
}

/// A variable that is set.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) name: SmolStr,
    /// Whether the value is literal, and has no index in it.
    pub(super) literal: bool,
}

/// A redirection to or from a file.
#[derive(Debug)]
pub(super) struct Redirection {
    pub(super) target: Word,
    pub(super) writes: bool,
}

/// What pieces of a line are read with.
pub(super) struct Context<'a> {
    pub(super) source: &'a str,
    pub(super) nested: &'a [Nested],
    pub(super) heredocs: &'a [Heredoc],
    pub(super) findings: &'a mut Findings,
    /// Words in which something stands that the command does not see: here-documents and values.
    pub(super) obscure: bool,
}

impl Context<'_> {
    pub(super) fn lexer(&mut self, range: Range<usize>) -> Lexer<'_> {
        Lexer::new(self.source, self.nested, &mut *self.findings, range)
    }

    /// The simple command that is all of this piece.
    pub(super) fn simple(&mut self, range: Range<usize>) -> Result<Simple, Undecodable> {
        let mut simple = Simple::default();
        let mut heredocs = Vec::new();
        let mut obscure = false;
        let mut lexer = self.lexer(range);
        loop {
            lexer.skip_blanks();
            let Some(byte) = lexer.peek(0) else { break };
            let start = lexer.at;
            if let Some(assignment) = assignment(&mut lexer, &mut simple, &mut obscure)? {
                if !simple.words.is_empty() {
                    // An argument of a declaration.
                    let raw = lexer.since(start);
                    let literal =
                        if assignment.literal { raw.len() } else { raw.find('=').map_or(0, |equals| equals + 1) };
                    simple.words.push(Word {
                        text: raw.into(),
                        raw: raw.into(),
                        computed: !assignment.literal,
                        literal,
                        ..Word::default()
                    });
                }
                simple.assignments.push(assignment);
                continue;
            }
            let digits = lexer.rest().bytes().take_while(u8::is_ascii_digit).count();
            if matches!(lexer.peek(digits), Some(b'<' | b'>'))
                && !lexer.rest().get(digits + 1..).is_some_and(|rest| rest.starts_with('('))
                || lexer.rest().starts_with("&>")
            {
                lexer.at += digits;
                redirection(&mut lexer, &mut simple, &mut heredocs)?;
                continue;
            }
            if byte == b'#' {
                return Err(lexer.error("a comment within a command"));
            }
            let word = lexer.word(false)?;
            if lexer.at == start {
                return Err(lexer.error("an operator within a command"));
            }
            // `{name}>file` opens the file under a number that the shell chooses, but only in some shells.
            if matches!(lexer.peek(0), Some(b'<' | b'>')) && lexer.since(start).starts_with('{') {
                return Err(lexer.error("a redirection to a named descriptor"));
            }
            simple.words.push(word);
        }
        for (operator, delimiter) in heredocs {
            let document = self.here_document(operator, &delimiter)?;
            obscure |= document.obscure;
        }
        let targets = simple.redirections.iter().map(|redirection| &redirection.target);
        obscure |= simple.words.iter().chain(&simple.values).chain(targets).any(|word| word.obscure);
        self.obscure |= obscure;
        Ok(simple)
    }

    /// Checks that a here-document ends where the grammar says, and reads its substitutions.
    fn here_document(&mut self, operator: usize, delimiter: &Word) -> Result<Word, Undecodable> {
        let error = || Undecodable::new(format!("a here-document that cannot be read, at byte {operator}"));
        let heredoc = self.heredocs.iter().find(|heredoc| heredoc.operator == operator).ok_or_else(error)?;
        let rest = self.source.get(operator..).unwrap_or_default();
        let head = rest.find('\n').ok_or_else(error)?;
        let alone =
            self.heredocs.iter().filter(|other| (operator..operator + head).contains(&other.operator)).count() == 1;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let name =
            delimiter.as_literal().filter(|name| !name.is_empty() && name.bytes().all(plain)).ok_or_else(error)?;
        if !alone {
            return Err(error());
        }
        let indented = rest.starts_with("<<-");
        let start = operator + head + 1;
        let mut at = start;
        for line in self.source.get(start..).unwrap_or_default().split('\n') {
            let text = if indented { line.trim_start_matches('\t') } else { line };
            if text == name {
                if heredoc.terminator != at + line.len() - text.len() {
                    return Err(error());
                }
                return if delimiter.quoted { Ok(Word::default()) } else { self.lexer(start..at).here_document() };
            }
            at += line.len() + 1;
        }
        Err(error())
    }
}

/// `NAME=value`, `NAME+=value`, `NAME[index]=value` or `NAME=(…)`, before the command or as an argument of a declaration.
fn assignment(
    lexer: &mut Lexer<'_>,
    simple: &mut Simple,
    obscure: &mut bool,
) -> Result<Option<Assignment>, Undecodable> {
    let declares = simple.words.first().is_some_and(|word| {
        !word.quoted && matches!(word.text.as_str(), "declare" | "typeset" | "export" | "readonly" | "local")
    });
    if !simple.words.is_empty() && !declares {
        return Ok(None);
    }
    let rest = lexer.rest();
    let name = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    if name == 0 || rest.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(None);
    }
    let after = rest.get(name..).unwrap_or_default();
    let mut index = 0;
    if after.starts_with('[') {
        let Some(length) = after.find("]=").or_else(|| after.find("]+=")) else { return Ok(None) };
        let inside = after.get(1..length).unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'@' | b'*' | b'+' | b'-');
        if !inside.bytes().all(plain) {
            return Err(lexer.error("an index that cannot be read"));
        }
        lexer.note_names(inside);
        index = length + 1;
    }
    let operator = after.get(index..).unwrap_or_default();
    let length = if operator.starts_with('=') {
        1
    } else if operator.starts_with("+=") {
        2
    } else {
        return Ok(None);
    };
    let name = SmolStr::from(rest.get(..name).unwrap_or_default());
    lexer.at += rest.len() - operator.len() + length;
    if lexer.peek(0) != Some(b'(') {
        let value = lexer.word(false)?;
        *obscure |= value.obscure;
        let literal = !value.computed && !value.text.contains('[');
        simple.values.push(value);
        return Ok(Some(Assignment { name, literal }));
    }
    lexer.at += 1;
    let mut literal = true;
    loop {
        while matches!(lexer.peek(0), Some(b' ' | b'\t' | b'\n')) {
            lexer.at += 1;
        }
        if lexer.eat(")") {
            return Ok(Some(Assignment { name, literal }));
        }
        let start = lexer.at;
        if lexer.peek(0) == Some(b'#') {
            return Err(lexer.error("a comment within a list"));
        }
        let value = lexer.word(false)?;
        if lexer.at == start {
            return Err(lexer.error("a list that cannot be read"));
        }
        // `[index]=value` evaluates its index.
        if value.text.starts_with('[') {
            return Err(lexer.error("an index that cannot be read"));
        }
        *obscure |= value.obscure;
        literal &= !value.computed && !value.text.contains('[');
        simple.values.push(value);
    }
}

/// A redirection, from its operator on.
fn redirection(
    lexer: &mut Lexer<'_>,
    simple: &mut Simple,
    heredocs: &mut Vec<(usize, Word)>,
) -> Result<(), Undecodable> {
    const OPERATORS: [&str; 12] = ["<<<", "<<-", "&>>", "<<", "&>", ">>", ">|", ">&", "<&", "<>", "<", ">"];
    let start = lexer.at;
    let Some(operator) = OPERATORS.into_iter().find(|operator| lexer.eat(operator)) else {
        return Err(lexer.error("a redirection that cannot be read"));
    };
    lexer.skip_blanks();
    let from = lexer.at;
    let target = lexer.word(false)?;
    if lexer.at == from {
        return Err(lexer.error("a redirection to nothing"));
    }
    let is_number = |text: &str| {
        let text = text.strip_suffix('-').unwrap_or(text);
        text.bytes().all(|byte| byte.is_ascii_digit())
    };
    match operator {
        "<<" | "<<-" => heredocs.push((start, target)),
        "<<<" => simple.values.push(target),
        ">&" | "<&" if target.as_literal().is_some_and(is_number) => {}
        "<>" => simple
            .redirections
            .extend([Redirection { target: target.clone(), writes: false }, Redirection { target, writes: true }]),
        _ => simple.redirections.push(Redirection { target, writes: operator.contains('>') }),
    }
    Ok(())
}
