//! The statements of a command line, as the grammar tells them apart.
//!
//! The tree is walked without recursion, so that no nesting can use up the stack. What it says is taken as far as it can be checked: between
//! statements there is nothing but blanks, every kind of node is one that is known, and each piece is read again by the lexer.

use std::ops::Range;

use tree_sitter::Node;

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
            let frame = frames.last_mut().ok_or_else(|| unknown(&node))?;
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

fn unknown(node: &Node<'_>) -> Undecodable {
    Undecodable::new(format!("a construct that is not known, at byte {}", node.start_byte()))
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
    /// Takes a node in; the role of its children, unless they do not matter.
    fn visit(&mut self, text: &str, node: &Node<'_>, frame: &mut Frame) -> Result<Option<Role>, Undecodable> {
        let range = node.byte_range();
        frame.check_gap(text, range.start)?;
        frame.last = range.end;
        match frame.role {
            Role::Part => Ok(self.visit_part(text, node)),
            Role::Redirected | Role::RedirectedCompound | Role::Heredoc => self.visit_redirected(text, node, frame),
            Role::Counting if !matches!(node.kind(), "do_group" | "compound_statement") => {
                Ok(self.visit_part(text, node))
            }
            Role::Counting | Role::Statements | Role::Cases | Role::Loop | Role::Function => {
                self.visit_statement(text, node, frame)
            }
        }
    }

    /// In a part of a piece, only substitutions matter.
    fn visit_part(&mut self, text: &str, node: &Node<'_>) -> Option<Role> {
        let kind = match node.kind() {
            "command_substitution" => NestedKind::Substitution,
            "process_substitution" => NestedKind::Process,
            "arithmetic_expansion" => NestedKind::Arithmetic,
            _ => return Some(Role::Part),
        };
        let range = node.byte_range();
        // What is in backquotes is unescaped first, and so it is parsed on its own.
        if kind == NestedKind::Substitution && !starts_with(text, &range, "$(") {
            return None;
        }
        self.nested.push(Nested { kind, start: range.start, end: range.end });
        Some(if kind == NestedKind::Arithmetic { Role::Part } else { Role::Statements })
    }

    fn visit_statement(&mut self, text: &str, node: &Node<'_>, frame: &mut Frame) -> Result<Option<Role>, Undecodable> {
        let range = node.byte_range();
        if !node.is_named() {
            if node.kind() == "&" {
                self.background.push(frame.statement.clone());
            }
            return Ok(None);
        }
        frame.statement = range.clone();
        let role = match node.kind() {
            "comment" => {
                let before = range.start.checked_sub(1).and_then(|before| text.as_bytes().get(before));
                let starts = before.is_none_or(|before| b" \t\n;&|()".contains(before));
                return if starts { Ok(None) } else { Err(unknown(node)) };
            }
            "compound_statement" if starts_with(text, &range, "((") => {
                self.push(PieceKind::Arithmetic, range);
                Role::Part
            }
            "program" | "list" | "pipeline" | "subshell" | "compound_statement" | "do_group" | "if_statement"
            | "elif_clause" | "else_clause" | "while_statement" | "negated_command" => Role::Statements,
            "case_statement" | "case_item" => Role::Cases,
            "for_statement" => Role::Loop,
            "function_definition" => Role::Function,
            "c_style_for_statement" => {
                let header = text.get(range.clone()).unwrap_or_default();
                let (Some(open), Some(close)) = (header.find("(("), header.find("))")) else {
                    return Err(unknown(node));
                };
                self.push(PieceKind::Counting, range.start + open..range.start + close + 2);
                Role::Counting
            }
            "test_command" if starts_with(text, &range, "[[") => {
                self.push(PieceKind::Test, range);
                Role::Part
            }
            "command"
            | "declaration_command"
            | "unset_command"
            | "variable_assignment"
            | "variable_assignments"
            | "test_command" => {
                self.push(PieceKind::Simple, range);
                Role::Part
            }
            "redirected_statement" => return self.visit_redirected_statement(text, node).map(Some),
            "file_redirect" | "herestring_redirect" => {
                self.push(PieceKind::Redirections, range);
                Role::Part
            }
            "variable_name" if frame.role == Role::Loop => {
                self.push(PieceKind::Variable, range);
                Role::Part
            }
            "word" if frame.role == Role::Function => {
                self.push(PieceKind::Function, range);
                Role::Part
            }
            _ => {
                let kind = match frame.role {
                    Role::Cases => PieceKind::Pattern,
                    Role::Loop => PieceKind::Word,
                    _ => return Err(unknown(node)),
                };
                self.push(kind, range);
                return Ok(match node.kind() {
                    "command_substitution" | "process_substitution" | "arithmetic_expansion" => {
                        self.visit_part(text, node)
                    }
                    "word" | "string" | "raw_string" | "ansi_c_string" | "translated_string" | "number"
                    | "expansion" | "simple_expansion" | "brace_expression" | "concatenation" | "extglob_pattern" => {
                        Some(Role::Part)
                    }
                    _ => return Err(unknown(node)),
                });
            }
        };
        Ok(Some(role))
    }

    /// A statement with redirections is read as one piece, if it is a simple command.
    fn visit_redirected_statement(&mut self, text: &str, node: &Node<'_>) -> Result<Role, Undecodable> {
        let range = node.byte_range();
        let mut cursor = node.walk();
        let mut until = range.end;
        let mut heredocs = 0;
        for redirection in node.children(&mut cursor).filter(|child| child.kind() == "heredoc_redirect") {
            heredocs += 1;
            until = until.min(line_of(text, &redirection));
        }
        if heredocs > 1 {
            return Err(unknown(node));
        }
        let compound = node.child_by_field_name("body").filter(|body| match body.kind() {
            "command" | "declaration_command" | "unset_command" | "variable_assignment" | "variable_assignments" => {
                false
            }
            "test_command" => starts_with(text, &body.byte_range(), "[["),
            _ => true,
        });
        if let Some(body) = compound {
            self.push(PieceKind::Redirections, body.end_byte()..until);
            return Ok(Role::RedirectedCompound);
        }
        self.push(PieceKind::Simple, range.start..until);
        Ok(Role::Redirected)
    }

    /// A child of a statement with redirections, or of a here-document.
    fn visit_redirected(
        &mut self,
        text: &str,
        node: &Node<'_>,
        frame: &mut Frame,
    ) -> Result<Option<Role>, Undecodable> {
        match node.kind() {
            "heredoc_redirect" => {
                let mut cursor = node.walk();
                let mut heredoc = Heredoc { operator: node.end_byte(), terminator: 0 };
                for child in node.children(&mut cursor) {
                    match child.kind() {
                        "<<" | "<<-" => heredoc.operator = child.start_byte(),
                        "heredoc_end" => heredoc.terminator = child.start_byte(),
                        _ => {}
                    }
                }
                self.heredocs.push(heredoc);
                Ok(Some(Role::Heredoc))
            }
            "file_redirect" | "herestring_redirect" => Ok(Some(Role::Part)),
            "comment" => Err(unknown(node)),
            _ if !node.is_named() => Ok(None),
            "heredoc_body" if frame.role == Role::Heredoc => Ok(Some(Role::Part)),
            "heredoc_start" | "heredoc_end" | "file_descriptor" => Ok(None),
            "pipeline" if frame.role == Role::Heredoc => Ok(Some(Role::Statements)),
            _ if frame.role == Role::Heredoc && is_word(node) => Ok(self.visit_part(text, node)),
            _ if frame.role == Role::Redirected => Ok(Some(Role::Part)),
            _ => self.visit_statement(text, node, frame),
        }
    }

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

/// Where the part of a here-document's line that belongs to its command ends.
fn line_of(text: &str, redirection: &Node<'_>) -> usize {
    let mut cursor = redirection.walk();
    let start = redirection.start_byte();
    let line = text.get(start..).and_then(|text| text.find('\n'));
    let mut until = line.map_or(redirection.end_byte(), |line| start + line);
    for child in redirection.children(&mut cursor) {
        if matches!(child.kind(), "pipeline" | "&&" | "||") {
            until = until.min(child.start_byte());
        }
    }
    until
}

fn is_word(node: &Node<'_>) -> bool {
    matches!(
        node.kind(),
        "word"
            | "string"
            | "raw_string"
            | "ansi_c_string"
            | "translated_string"
            | "number"
            | "expansion"
            | "simple_expansion"
            | "command_substitution"
            | "process_substitution"
            | "arithmetic_expansion"
            | "brace_expression"
            | "concatenation"
    )
}

fn starts_with(text: &str, range: &Range<usize>, start: &str) -> bool {
    text.get(range.clone()).is_some_and(|text| text.starts_with(start))
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
