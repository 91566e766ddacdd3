//! A word, while it is put together from its parts.

use super::lexer::Lexer;
use super::word::Word;

/// A word while it is read.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) text: String,
    pub(super) word: Word,
    /// Where the literal text ends, once something computed came.
    literal: Option<usize>,
    /// Where the first bracket or brace opened.
    pub(super) opened: Option<usize>,
}

impl Reader {
    /// Takes the next character as it is.
    pub(super) fn push_next(&mut self, lexer: &mut Lexer<'_>) {
        self.push_next_or_end(lexer);
    }

    pub(super) fn push_next_or_end(&mut self, lexer: &mut Lexer<'_>) -> bool {
        let Some(character) = lexer.rest().chars().next() else { return false };
        self.text.push(character);
        lexer.at += character.len_utf8();
        true
    }

    /// Adds a computed part.
    pub(super) fn compute(&mut self, raw: &str, free: bool) {
        self.literal.get_or_insert(self.text.len());
        self.word.computed = true;
        self.word.free |= free;
        self.text.push_str(raw);
    }

    /// What stands here, or what opened before, is a pattern.
    pub(super) fn pattern_from_here(&mut self) {
        let from = self.opened.unwrap_or(self.text.len()).min(self.literal.unwrap_or(usize::MAX)).min(self.text.len());
        self.literal = Some(from);
        self.word.computed = true;
    }

    pub(super) fn finish(mut self, raw: &str) -> Word {
        self.word.literal = self.literal.unwrap_or(self.text.len());
        self.word.text = self.text.into();
        if self.word.computed || !self.word.quoted {
            self.word.raw = raw.into();
        }
        self.word
    }
}
