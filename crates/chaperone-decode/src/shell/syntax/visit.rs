//! What the nodes of the tree mean, by where they stand.

use std::ops::Range;

use tree_sitter::Node;

use super::{Frame, Heredoc, Nested, NestedKind, PieceKind, Role, Syntax};
use crate::Undecodable;

impl Syntax {
    /// Takes a node in; the role of its children, unless they do not matter.
    pub(super) fn visit(
        &mut self,
        text: &str,
        node: &Node<'_>,
        frame: &mut Frame,
    ) -> Result<Option<Role>, Undecodable> {
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

pub(super) fn unknown(node: &Node<'_>) -> Undecodable {
    Undecodable::new(format!("a construct that is not known, at byte {}", node.start_byte()))
}
