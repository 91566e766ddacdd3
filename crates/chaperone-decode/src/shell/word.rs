//! A word of a command: what it says, and how much of it is only known when it runs.

use smol_str::SmolStr;

/// A word of a command, after its quotes are taken off.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Word {
    /// What it says; parts that are computed stand there as they were written.
    pub(super) text: SmolStr,
    /// As it was written, for words that are not literal.
    pub(super) raw: SmolStr,
    /// Whether any of it is computed: by a variable, a substitution, a glob or braces.
    pub(super) computed: bool,
    /// Whether it may become no word at all, or several of any content.
    pub(super) free: bool,
    /// How many bytes at the start of `text` are literal.
    pub(super) literal: usize,
    /// Whether any of it was quoted.
    pub(super) quoted: bool,
    /// Whether it names a file with secrets, once that was looked at and told.
    pub(super) secret: Option<bool>,
    /// Whether its meaning cannot be known from here: indirection, prompt expansion, history.
    pub(super) obscure: bool,
}

impl Word {
    /// A word that says just this.
    pub(super) fn literal(text: &str) -> Self {
        Self { text: text.into(), literal: text.len(), quoted: true, ..Self::default() }
    }

    /// A word that may be anything.
    pub(super) fn unknown(raw: &str) -> Self {
        Self { text: raw.into(), raw: raw.into(), computed: true, free: true, ..Self::default() }
    }

    /// What it says, if all of it is literal.
    pub(super) fn as_literal(&self) -> Option<&str> {
        (!self.computed).then_some(self.text.as_str())
    }

    /// The literal text at its start.
    pub(super) fn start(&self) -> &str {
        self.text.get(..self.literal).unwrap_or_default()
    }

    /// Whether it may turn out to be an option that cannot be told from here.
    pub(super) fn may_be_flag(&self) -> bool {
        if !self.computed {
            return false;
        }
        let start = self.start();
        self.free || start.is_empty() || (start.starts_with('-') && !(start.starts_with("--") && start.contains('=')))
    }

    /// The word in the one spelling that all that mean the same share; as written where it is computed.
    pub(super) fn canonical(&self, into: &mut String) {
        if self.computed {
            into.push_str(&self.raw);
        } else if !self.text.is_empty() && self.text.bytes().all(is_plain) {
            into.push_str(&self.text);
        } else {
            into.push('\'');
            for (index, part) in self.text.split('\'').enumerate() {
                if index > 0 {
                    into.push_str("'\\''");
                }
                into.push_str(part);
            }
            into.push('\'');
        }
    }
}

/// Whether a shell takes this byte for itself wherever it stands.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b':' | b',' | b'+' | b'@' | b'%' | b'=')
}
