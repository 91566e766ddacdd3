//! The statements of a command line, as the grammar tells them apart.
//!
//! The tree is walked without recursion, so that no nesting can use up the stack. What it says is taken as far as it can be checked: between
//! statements there is nothing but blanks, every kind of node is one that is known, and each piece is read again by the lexer.

mod visit;

use std::ops::Range;

use super::{grammar, plain};
use crate::Undecodable;

/// A substitution within a word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nested {
    pub(super) kind: NestedKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What kind of substitution it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NestedKind {
    /// `$(…)`
    Substitution,
    /// `<(…)` and `>(…)`
    Process,
    /// `$((…))`
    Arithmetic,
}

/// A piece of a line that the lexer reads in one go.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) kind: PieceKind,
    pub(super) range: Range<usize>,
    /// Whether the shell does not wait for it.
    pub(super) background: bool,
}

/// What kind of piece it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PieceKind {
    /// A simple command: assignments, words and redirections.
    Simple,
    /// Redirections of a compound command.
    Redirections,
    /// `[[ … ]]`
    Test,
    /// The inside of `((…))`.
    Arithmetic,
    /// The header of a `for` with semicolons.
    Counting,
    /// A word that is no command, as in the list of a loop.
    Word,
    /// The variable of a loop.
    Variable,
    /// The pattern of a case.
    Pattern,
    /// The name of a function.
    Function,
}

/// Where a here-document is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heredoc {
    /// Where its operator is.
    pub(super) operator: usize,
    /// Where the line that ends it is.
    pub(super) terminator: usize,
}

/// What the grammar made of a line.
#[derive(Debug, Default)]
pub(super) struct Syntax {
    pub(super) pieces: Vec<Piece>,
    pub(super) nested: Vec<Nested>,
    pub(super) heredocs: Vec<Heredoc>,
    /// Statements that run in the background.
    background: Vec<Range<usize>>,
}

/// A node whose children are being visited.
struct Frame {
    role: Role,
    /// Where the last child ended.
    last: usize,
    /// The last statement.
    statement: Range<usize>,
    end: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    /// Its children are statements, keywords and operators.
    Statements,
    /// As above, and words are the patterns of a case.
    Cases,
    /// As above, and words are those of a loop.
    Loop,
    /// As above, and a word is the name of the function.
    Function,
    /// A command with redirections, read as one piece.
    Redirected,
    /// A compound command with redirections.
    RedirectedCompound,
    /// A here-document, with the rest of its line.
    Heredoc,
    /// A `for` with semicolons: its body has statements, the rest is read as one piece.
    Counting,
    /// A part of a piece, where only substitutions matter.
    Part,
}

/// Where there is a character that every substitution has at its start.
struct Openings(Vec<usize>);

impl Openings {
    fn of(text: &str) -> Self {
        Self(
            text.bytes().enumerate().filter(|(_, byte)| matches!(byte, b'(' | b'`' | b'[')).map(|(at, _)| at).collect(),
        )
    }

    fn are_in(&self, range: &Range<usize>) -> bool {
        let first = self.0.partition_point(|at| *at < range.start);
        self.0.get(first).is_some_and(|at| *at < range.end)
    }
}

/// How many bytes of a line and of all scripts in it the grammar may read.
pub(super) const GRAMMAR_BYTES_MAX: usize = 8 * 1024;

/// Parses a line, for which the grammar may read so many bytes.
///
/// # Errors
/// If it is not valid, too long for the grammar, or has what is not known to be read rightly.
pub(super) fn parse(text: &str, grammar_bytes_left: &mut usize) -> Result<Syntax, Undecodable> {
    if let Some(pieces) = plain::pieces(text) {
        return Ok(Syntax { pieces, ..Syntax::default() });
    }
    let left = grammar_bytes_left.checked_sub(text.len());
    *grammar_bytes_left = left.ok_or_else(|| Undecodable::new("the command line is too long for what is in it"))?;
    of_grammar(text)
}

/// Parses a line by the grammar.
pub(super) fn of_grammar(text: &str) -> Result<Syntax, Undecodable> {
    let tree = grammar::parse(text)
        .ok_or_else(|| Undecodable::new("the command line is not valid, or takes too long to read"))?;
    let mut syntax = Syntax::default();
    let mut frames = vec![Frame { role: Role::Statements, last: 0, statement: 0..0, end: text.len() }];
    let openings = Openings::of(text);
    let mut cursor = tree.walk();
    if cursor.goto_first_child() {
        'walk: loop {
            let node = cursor.node();
            let frame = frames.last_mut().ok_or_else(|| visit::unknown(&node))?;
            let descend = syntax.visit(text, &node, frame)?;
            // In most parts there is nothing to be found.
            let descend = descend.filter(|role| *role != Role::Part || openings.are_in(&node.byte_range()));
            if let Some(role) = descend
                && cursor.goto_first_child()
            {
                let range = node.byte_range();
                frames.push(Frame { role, last: range.start, statement: range.start..range.start, end: range.end });
                continue;
            }
            loop {
                if cursor.goto_next_sibling() {
                    break;
                }
                if let Some(frame) = frames.pop() {
                    frame.check_gap(text, frame.end)?;
                }
                if frames.is_empty() || !cursor.goto_parent() {
                    break 'walk;
                }
            }
        }
    } else {
        return Err(Undecodable::new("there is no command"));
    }
    syntax.finish();
    Ok(syntax)
}

impl Frame {
    /// Between statements, keywords and operators there may be only blanks.
    fn check_gap(&self, text: &str, until: usize) -> Result<(), Undecodable> {
        if matches!(self.role, Role::Part | Role::Redirected | Role::Counting | Role::Heredoc) {
            return Ok(());
        }
        let gap = text.get(self.last..until).unwrap_or("\\");
        if gap.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\n')) {
            Ok(())
        } else {
            Err(Undecodable::new(format!("a text that belongs to no command, at byte {}", self.last)))
        }
    }
}

impl Syntax {
    fn push(&mut self, kind: PieceKind, range: Range<usize>) {
        self.pieces.push(Piece { kind, range, background: false });
    }

    fn finish(&mut self) {
        // The walk comes by them in order, all but those of a here-document, whose body comes after the rest of its line.
        self.nested.sort_by_key(|nested| nested.start);
        self.background.sort_by_key(|statement| statement.start);
        let mut end = 0;
        for statement in &mut self.background {
            end = end.max(statement.end);
            statement.end = end;
        }
        for piece in &mut self.pieces {
            let before = self.background.partition_point(|statement| statement.start <= piece.range.start);
            let last = before.checked_sub(1).and_then(|last| self.background.get(last));
            piece.background = last.is_some_and(|statement| piece.range.start < statement.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar_reads_so_much_of_a_line_and_no_more() {
        let mut left = GRAMMAR_BYTES_MAX;
        let plain = "ls -l;".repeat(2_000);
        assert!(parse(&plain, &mut left).is_ok());
        assert_eq!(left, GRAMMAR_BYTES_MAX);
        let computed = "ls $x;".repeat(700);
        assert!(parse(&computed, &mut left).is_ok());
        assert!(parse(&computed, &mut left).is_err());
    }
}
