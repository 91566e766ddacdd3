//! Lines that are plain enough to be told apart without the grammar, as most are that people type.
//!
//! Such a line is commands of literal words with `&&`, `||`, `|`, `;` and `&` between them, and redirections to and from files. The grammar
//! takes as long for it as all the rest together. What is here is what the grammar says of it, which tests compare; anything else in a line,
//! right or wrong, is left to the grammar.

use super::syntax::{Piece, PieceKind};

/// Words after which something else than a simple command may come.
const KEYWORDS: &[&str] = &[
    "if", "then", "elif", "else", "fi", "do", "done", "case", "esac", "while", "until", "for", "in", "select",
    "function", "time", "coproc", "declare", "typeset", "export", "readonly", "local", "unset", "unsetenv",
];

/// Reads a line from its start.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// Where a command is: from its first word to the end of its last one, and to that of its last redirection.
struct Command {
    start: usize,
    words_end: usize,
    end: usize,
}

/// The pieces of a line, in the order in which the grammar has them; `None` if it has to be asked.
pub(super) fn pieces(text: &str) -> Option<Vec<Piece>> {
    let mut reader = Reader { text, at: 0 };
    let mut pieces = Vec::with_capacity(8);
    reader.skip_blanks();
    while reader.peek().is_some() {
        reader.statement(&mut pieces)?;
        reader.skip_blanks();
    }
    Some(pieces).filter(|pieces| !pieces.is_empty())
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Commands up to `;`, `&` or the end.
    fn statement(&mut self, pieces: &mut Vec<Piece>) -> Option<()> {
        let first = pieces.len();
        let mut redirections = 0;
        let background = loop {
            let command = self.command()?;
            let is_first = pieces.len() == first;
            let end = if is_first { command.end } else { command.words_end };
            let piece = |kind, range| Piece { kind, range, background: false };
            pieces.push(piece(PieceKind::Simple, command.start..end));
            if end != command.end {
                // To the grammar they are those of all that is before them in the statement, and so the last ones come first.
                pieces.insert(first, piece(PieceKind::Redirections, end..command.end));
                redirections += 1;
                if redirections > REDIRECTIONS_MAX {
                    return None;
                }
            }
            match self.rest() {
                [b'&', b'&', ..] | [b'|', b'|', ..] => self.at += 2,
                [b'|', b'&', ..] | [b'&', b'>', ..] => return None,
                [b'|', ..] => self.at += 1,
                [b';', ..] => {
                    self.at += 1;
                    break false;
                }
                [b'&', ..] => {
                    self.at += 1;
                    break true;
                }
                [] => break false,
                _ => return None,
            }
            self.skip_blanks();
        };
        for piece in pieces.iter_mut().skip(first) {
            piece.background = background;
        }
        Some(())
    }

    /// A command and the blanks behind it.
    fn command(&mut self) -> Option<Command> {
        let start = self.at;
        let program = self.word()?;
        if !is_program(program) || matches!(self.peek(), Some(b'<' | b'>')) {
            return None;
        }
        let mut command = Command { start, words_end: self.at, end: self.at };
        loop {
            self.skip_blanks();
            match self.peek() {
                Some(b'<' | b'>') => self.redirection()?,
                Some(b';' | b'&' | b'|') | None => return Some(command),
                Some(_) => {
                    let word = self.word()?;
                    if self.is_descriptor(word) {
                        self.redirection()?;
                    } else if matches!(self.peek(), Some(b'<' | b'>')) {
                        // The grammar is not sure where such a word ends.
                        return None;
                    } else if command.words_end == command.end {
                        command.words_end = self.at;
                    } else {
                        return None;
                    }
                }
            }
            command.end = self.at;
        }
    }

    /// Whether the word that was just read is the number of a file that is redirected.
    fn is_descriptor(&self, word: &str) -> bool {
        matches!(self.peek(), Some(b'<' | b'>')) && matches!(word.as_bytes(), [b'0'..=b'9'])
    }

    /// A redirection, from its operator on.
    fn redirection(&mut self) -> Option<()> {
        self.at += match self.rest() {
            [b'>', b'&', b'0'..=b'9'] | [b'>', b'&', b'0'..=b'9', b' ' | b';' | b'|' | b'&', ..] => {
                self.at += 3;
                return Some(());
            }
            [b'>', b'>', ..] => 2,
            _ => 1,
        };
        self.skip_blanks();
        self.word().map(|_| ())
    }

    /// A literal word, in any quotes; `None` if there is none, or one that says more.
    fn word(&mut self) -> Option<&'a str> {
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'a'..=b'z'
                | b'A'..=b'Z'
                | b'0'..=b'9'
                | b'-'
                | b'_'
                | b'.'
                | b'/'
                | b':'
                | b'='
                | b'+'
                | b'@'
                | b'%'
                | b','
                | b'~' => {}
                b'\'' | b'"' => {
                    let inside = self.rest().get(1..)?;
                    let length = inside.iter().position(|other| *other == byte)?;
                    let stands_for_itself =
                        |other: &u8| matches!(other, b' '..=b'~') && (byte == b'\'' || !b"$`\\!".contains(other));
                    if !inside.get(..length)?.iter().all(stands_for_itself) {
                        return None;
                    }
                    self.at += length + 1;
                }
                b' ' | b';' | b'&' | b'|' | b'<' | b'>' => break,
                _ => return None,
            }
            self.at += 1;
        }
        // The grammar takes `==` and `=~` for operators wherever they are.
        self.text.get(start..self.at).filter(|word| !word.is_empty() && !word.starts_with('='))
    }
}

/// Whether a word is the name of a program and nothing else, or a path that leads to one.
fn is_program(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    word.bytes().all(plain) && !word.starts_with('-') && !KEYWORDS.contains(&word)
}

/// How many redirections of later commands a statement may have here.
const REDIRECTIONS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::syntax;
    use super::*;

    /// What the grammar says of a line that is told without it here; whether it is.
    fn agrees(line: &str) -> bool {
        let Some(pieces) = pieces(line) else { return false };
        let syntax = syntax::of_grammar(line).unwrap_or_else(|undecodable| panic!("{line:?}: {undecodable}"));
        assert_eq!(format!("{:?}", syntax.pieces), format!("{pieces:?}"), "{line:?}");
        assert!(syntax.nested.is_empty() && syntax.heredocs.is_empty(), "{line:?}");
        true
    }

    #[test]
    fn everyday_lines_are_as_the_grammar_has_them() {
        for line in [
            "ls",
            " ls -la /var/log ",
            "a && b | c 2> g > f; d | e > h && i",
            "a || b > f | c && d > h; e > i | j &",
            "cd x && ls > f & b;",
            "cat < f 2>&1 | grep -v 'a b' >> /tmp/x 2>/dev/null",
            "a 'b c'\"d e\"f > 'f g'",
            "a b=c --d=e",
            "5 6",
        ] {
            assert!(agrees(line), "{line:?}");
        }
        let tables = [include_str!("../../tests/shell/everyday.txt"), include_str!("../../tests/shell/wrappers.txt")];
        let lines = tables.iter().flat_map(|table| table.lines()).filter_map(|line| line.strip_prefix("$ "));
        assert!(lines.filter(|line| agrees(line)).count() > 200);
        let evasions = include_str!("../../tests/shell/evasions.txt");
        for line in evasions.lines().filter_map(|line| line.strip_prefix("$ ")) {
            let _ = agrees(line);
        }
    }

    #[test]
    fn anything_else_is_left_to_the_grammar() {
        for line in [
            "",
            " ",
            ";",
            "a;;b",
            "a && && b",
            "a |",
            "| a",
            "a & & b",
            "a $b",
            "a `b`",
            "a {b,c}",
            "a *",
            "! a",
            "a \\b",
            "A=b c",
            "if a; then b; fi",
            "a # b",
            "a <<E",
            "a <<< b",
            "a &> f",
            "a >| f",
            "a >& f",
            "> f",
            "2> f",
            "a |& b",
            "a | b > f c",
            "a 'b",
            "a \"$b\"",
            "a \"!b\"",
            "a\nb",
            "a\tb",
            "a (b)",
            "export A=b",
            "time a",
            "a b[1]",
            "ä",
        ] {
            assert!(pieces(line).is_none(), "{line:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn lines_are_as_the_grammar_has_them(parts in prop::collection::vec(prop::sample::select(&[
            "a", "ls", "git", "-x", "--y=z", "/etc/passwd", "~", "~/b", "5", "2", "0", "=", "==", "=~", "-", "--", "@", "%", ",", "+",
            ".", "..", ":", "a:b", "'c d'", "''", "\"e f\"", "\"\"", "' '", "\" \"", "'#'", "\"(\"", "'$x'", " ", " ", " ", " ", "  ", ";",
            "; ", "&", " & ", "&&", " && ", "|", " | ", "||", " || ", ">", " > ", ">>", "<", " < ", "2>", "2>&1", ">&2", "test",
            "env", "_", "-gt", "-a", "esac", "in",
        ][..]), 1..24)) {
            let line = parts.concat();
            let tells = agrees(&line);
            prop_assert!(!tells || line.is_ascii());
        }
    }
}
