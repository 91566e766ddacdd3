//! Arithmetic, which evaluates variables, and so whatever stands in them.

use super::lexer::{Lexer, Quoting};
use super::reader::Reader;
use crate::Undecodable;

impl Lexer<'_> {
    /// Reads an arithmetic expression to the end of the piece. Parentheses must be even at every place, or else the shell takes them for
    /// subshells.
    pub(super) fn arithmetic(mut self, semicolons: bool) -> Result<(), Undecodable> {
        let mut open = 0_usize;
        let mut ignored = Reader::default();
        while let Some(byte) = self.peek(0) {
            match byte {
                b'(' => open += 1,
                b')' => {
                    open = open.checked_sub(1).ok_or_else(|| self.error("uneven parentheses in arithmetic"))?;
                }
                b'$' => {
                    let start = self.at;
                    self.dollar(&mut ignored, Quoting::Double)?;
                    let name = self.since(start).trim_start_matches(['$', '{']);
                    self.note_names(name);
                    continue;
                }
                b'A'..=b'Z' | b'a'..=b'z' | b'_' => {
                    let start = self.at;
                    while matches!(self.peek(0), Some(b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'0'..=b'9' | b'#')) {
                        self.at += 1;
                    }
                    let name = self.since(start);
                    self.findings.evaluated.push(name.into());
                    continue;
                }
                b'0'..=b'9'
                | b' '
                | b'\t'
                | b'\n'
                | b'+'
                | b'-'
                | b'*'
                | b'/'
                | b'%'
                | b'<'
                | b'>'
                | b'='
                | b'!'
                | b'&'
                | b'|'
                | b'^'
                | b'~'
                | b'?'
                | b':'
                | b','
                | b'['
                | b']'
                | b'#' => {}
                b';' if semicolons => {}
                _ => return Err(self.error("arithmetic that cannot be read")),
            }
            self.at += 1;
        }
        if open == 0 { Ok(()) } else { Err(self.error("uneven parentheses in arithmetic")) }
    }
}
