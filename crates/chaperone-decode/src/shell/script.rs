//! A script: its statements are read, and each command in it is told.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::builtin::{self, ASSIGN};
use super::command::Command;
use super::lexer::Findings;
use super::report::{Circumstances, DYNAMIC, Report, Script};
use super::simple::{Context, Simple};
use super::syntax::{self, Piece, PieceKind};
use super::word::Word;
use super::{environment, line};
use crate::Undecodable;

/// Words that a shell takes for its own where a command may stand. Where the grammar takes one for a command, it has misread the line.
const RESERVED: &[&str] = &[
    "if", "then", "elif", "else", "fi", "do", "done", "case", "esac", "while", "until", "for", "select", "function",
    "{", "}", "!", "[[", "]]",
];

impl Report<'_> {
    /// Adds the operations of a script.
    pub(super) fn read(&mut self, script: &Script) -> Result<(), Undecodable> {
        let text = line::parse(&script.text)?;
        let syntax = syntax::parse(&text, &mut self.grammar_bytes_left)?;
        let mut findings = Findings { visited: vec![false; syntax.nested.len()], ..Findings::default() };
        let mut context = Context {
            source: &text,
            nested: &syntax.nested,
            heredocs: &syntax.heredocs,
            findings: &mut findings,
            obscure: false,
        };
        let mut variable = None;
        for piece in &syntax.pieces {
            let circumstances = Circumstances {
                background: script.circumstances.background || piece.background,
                ..script.circumstances.clone()
            };
            self.piece(&mut context, piece, circumstances, &mut variable)?;
        }
        if findings.visited.iter().any(|visited| !visited) {
            return Err(Undecodable::new("a substitution that is none"));
        }
        self.evaluated.append(&mut findings.evaluated.into_iter().collect());
        for backquoted in findings.backquoted {
            let mut within = script.circumstances.clone();
            within.depth += 1;
            self.script(backquoted, within)?;
        }
        Ok(())
    }

    fn piece(
        &mut self,
        context: &mut Context<'_>,
        piece: &Piece,
        circumstances: Circumstances,
        variable: &mut Option<SmolStr>,
    ) -> Result<(), Undecodable> {
        let range = piece.range.clone();
        let text = context.source.get(range.clone()).unwrap_or_default();
        match piece.kind {
            PieceKind::Simple => {
                context.obscure = false;
                let simple = context.simple(range)?;
                self.simple(simple, context.obscure, circumstances)
            }
            PieceKind::Redirections => {
                context.obscure = false;
                let simple = context.simple(range)?;
                if !simple.words.is_empty() || !simple.assignments.is_empty() {
                    return Err(Undecodable::new("words after the redirections of a compound command"));
                }
                self.simple(simple, context.obscure, circumstances)
            }
            PieceKind::Arithmetic | PieceKind::Counting => {
                let inside = text.strip_prefix("((").and_then(|text| text.strip_suffix("))"));
                if inside.is_none() {
                    return Err(Undecodable::new("arithmetic that cannot be read"));
                }
                let counting = piece.kind == PieceKind::Counting;
                context.lexer(range.start + 2..range.end - 2).arithmetic(counting)?;
                // Another shell would run what stands there in a subshell.
                let action = if circumstances.posix { DYNAMIC } else { ASSIGN };
                self.command(action, &[Word::literal("(("), Word::literal(text)], &circumstances)
            }
            PieceKind::Test => self.test(context, piece, &circumstances),
            PieceKind::Word | PieceKind::Pattern => {
                let mut lexer = context.lexer(range.clone());
                let word = lexer.word(piece.kind == PieceKind::Pattern)?;
                if lexer.at != range.end {
                    return Err(lexer.error("a word that cannot be read"));
                }
                self.secret(&word, &circumstances)?;
                if word.obscure {
                    self.command(DYNAMIC, &[word], &circumstances)?;
                } else if (word.computed || word.text.contains('[')) && piece.kind == PieceKind::Word {
                    self.tainted.extend(variable.clone());
                }
                Ok(())
            }
            PieceKind::Variable => {
                *variable = Some(text.into());
                if environment::is_decisive(text) {
                    self.command(DYNAMIC, &[Word::literal(text)], &circumstances)?;
                }
                Ok(())
            }
            PieceKind::Function => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
                if !text.bytes().all(plain) {
                    return Err(Undecodable::new("the name of a function that cannot be read"));
                }
                // What is called by this name from here on is not what it seems.
                let shadows = self.knows(text) || text.starts_with("command_not_found");
                if shadows { self.command(DYNAMIC, &[Word::literal(text)], &circumstances) } else { Ok(()) }
            }
        }
    }

    fn simple(
        &mut self,
        mut simple: Simple,
        obscure: bool,
        mut circumstances: Circumstances,
    ) -> Result<(), Undecodable> {
        let values = std::mem::take(&mut simple.values);
        let Simple { assignments, words, redirections, .. } = simple;
        for redirection in &redirections {
            self.redirection(&redirection.target, redirection.writes, &circumstances)?;
        }
        for redirection in redirections {
            let texts = if redirection.writes { &mut circumstances.writes } else { &mut circumstances.reads };
            texts.insert(redirection.target.text);
        }
        let decisive = assignments.iter().any(|assignment| environment::is_decisive(&assignment.name));
        self.tainted.extend(assignments.iter().filter(|assignment| !assignment.literal).map(|one| one.name.clone()));
        circumstances.environment.extend(assignments.into_iter().map(|assignment| assignment.name));
        let declares = words.first().is_some_and(|program| !program.quoted && builtin::is_declaration(&program.text));
        for word in &values {
            self.secret(word, &circumstances)?;
        }
        // That of its words is told with the command itself.
        let hidden = obscure && !words.iter().any(|word| word.obscure);
        if (decisive && !declares) || hidden {
            self.command(DYNAMIC, &words, &circumstances)?;
        }
        let Some(program) = words.first() else {
            let assigns = !circumstances.environment.is_empty() && !decisive;
            return if assigns { self.command(ASSIGN, &[], &circumstances) } else { Ok(()) };
        };
        if !program.quoted && RESERVED.contains(&program.text.as_str()) {
            return Err(Undecodable::new("a reserved word where none can stand"));
        }
        // What is read, is computed.
        if matches!(program.text.as_str(), "read" | "getopts" | "select") {
            let names: BTreeSet<SmolStr> = words.iter().skip(1).map(|word| word.text.clone()).collect();
            self.tainted.extend(names);
            self.tainted.insert("REPLY".into());
        }
        if program.text == "let" {
            let names = words
                .iter()
                .skip(1)
                .flat_map(|word| word.text.split(|one: char| !one.is_ascii_alphanumeric() && one != '_'));
            self.evaluated.extend(names.filter(|name| !name.is_empty()).map(SmolStr::from));
        }
        self.tell(Command { words, circumstances })
    }

    /// `[[ … ]]`, which runs nothing but its substitutions.
    fn test(
        &mut self,
        context: &mut Context<'_>,
        piece: &Piece,
        circumstances: &Circumstances,
    ) -> Result<(), Undecodable> {
        let text = context.source.get(piece.range.clone()).unwrap_or_default();
        let mut lexer = context.lexer(piece.range.clone());
        let mut words: Vec<Word> = Vec::new();
        let mut operators = false;
        let mut ended = false;
        while let Some(byte) = lexer.peek(0) {
            if matches!(byte, b' ' | b'\t' | b'\n') {
                lexer.at += 1;
                continue;
            }
            if lexer.eat("&&") {
                operators = true;
                continue;
            }
            let start = lexer.at;
            let word = lexer.word(true)?;
            if lexer.at == start || ended {
                return Err(lexer.error("a test that cannot be read"));
            }
            ended = !word.quoted && word.text == "]]";
            operators |= !word.quoted && word.text.contains(['|', '<', '>', '(']);
            words.push(word);
        }
        if !ended {
            return Err(lexer.error("a test that cannot be read"));
        }
        if ["-eq", "-ne", "-lt", "-le", "-gt", "-ge"].iter().any(|operator| text.contains(operator)) {
            lexer.note_names(text);
        }
        let named = words.iter().skip_while(|word| word.text != "-v").nth(1);
        let indexed = named.is_some_and(|name| name.computed || name.text.contains('['));
        let obscure = indexed || operators && circumstances.posix || words.iter().any(|word| word.obscure);
        self.command(if obscure { DYNAMIC } else { "test" }, &words, circumstances)
    }
}
