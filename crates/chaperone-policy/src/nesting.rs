//! A bound on how deeply Cedar text nests, checked before Cedar's parser reads it.
//!
//! Cedar's parser, validator and syntax tree are recursive and have no limit of their own: text that nests deeply enough
//! overflows the stack, which no `catch_unwind` survives.

/// How many brackets may be open at once.
pub(crate) const BRACKETS_MAX: usize = 32;
/// How deep an expression may be: open brackets, and the operators and attribute accesses chained inside each of them.
pub(crate) const DEPTH_MAX: usize = 400;

/// How many declarations a schema may have: Cedar also recurses along its hierarchies of types, actions and definitions.
pub(crate) const DECLARATIONS_MAX: usize = 1_000;

/// Text that would take too much of the stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NestingError {
    /// It nests too deeply at this byte offset.
    #[error("this nests too deeply")]
    TooDeep(usize),
    /// The schema has too many declarations from this byte offset on.
    #[error("a schema has at most {DECLARATIONS_MAX} declarations")]
    TooMany(usize),
}

impl NestingError {
    /// The byte offset.
    pub(crate) const fn offset(self) -> usize {
        match self {
            Self::TooDeep(offset) | Self::TooMany(offset) => offset,
        }
    }
}

/// Which language a text is in: only a schema uses `<` and `>` as brackets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Language {
    /// Cedar policies.
    Policies,
    /// A Cedar schema.
    Schema,
}

/// Checks that `text` nests no more deeply than is accepted.
///
/// # Errors
/// With the first place where it does.
pub(crate) fn check(text: &str, language: Language) -> Result<(), NestingError> {
    let mut depth = Depth::default();
    let mut declarations = 0;
    let mut bytes = text.bytes().enumerate().peekable();
    let mut word = false;
    while let Some((offset, byte)) = bytes.next() {
        let next = bytes.peek().map(|(_, byte)| *byte);
        let starts_word = !std::mem::replace(&mut word, byte.is_ascii_alphanumeric() || byte == b'_');
        if language == Language::Schema && starts_word && declares(text, offset) {
            declarations += 1;
            if declarations > DECLARATIONS_MAX {
                return Err(NestingError::TooMany(offset));
            }
        }
        match (byte, next) {
            (b'"', _) => {
                // A string: escapes matter only in that `\"` does not end it.
                while let Some((_, byte)) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            (b'/', Some(b'/')) => while bytes.next_if(|(_, byte)| *byte != b'\n').is_some() {},
            (b'(' | b'[' | b'{', _) => depth.open(),
            (b')' | b']' | b'}', _) => depth.close(),
            (b'<', _) if language == Language::Schema => depth.open(),
            (b'>', _) if language == Language::Schema => depth.close(),
            (b'&', Some(b'&')) | (b'|', Some(b'|')) => {
                bytes.next();
                depth.operator();
            }
            (b'+' | b'-' | b'*' | b'!', _) => depth.operator(),
            // `else if` nests without a bracket.
            (b'i', Some(b'f')) if starts_word => depth.operator(),
            (b'.', _) => depth.access(),
            (b',' | b';', _) => depth.separate(),
            _ => {}
        }
        if depth.frames.len() > BRACKETS_MAX || depth.total > DEPTH_MAX {
            return Err(NestingError::TooDeep(offset));
        }
    }
    Ok(())
}

/// Whether the word at `offset` can begin a declaration; an attribute of such a name, which is followed by a colon, does not.
fn declares(text: &str, offset: usize) -> bool {
    let word = text.get(offset..).unwrap_or_default();
    let rest = ["entity", "action", "type"].iter().find_map(|keyword| word.strip_prefix(keyword));
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_whitespace() || c == '"' || c == '/'))
}

/// The operators and accesses chained so far in each open bracket; `total` is their sum over all of them.
#[derive(Default)]
struct Depth {
    outside: Frame,
    frames: Vec<Frame>,
    total: usize,
}

#[derive(Default)]
struct Frame {
    operators: usize,
    accesses: usize,
}

impl Depth {
    fn frame(&mut self) -> &mut Frame {
        self.frames.last_mut().unwrap_or(&mut self.outside)
    }

    fn open(&mut self) {
        self.frames.push(Frame::default());
        self.total += 1;
    }

    fn close(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.total -= 1 + frame.operators + frame.accesses;
            // A call or an index is an access to what stands before it.
            self.access();
        }
    }

    fn operator(&mut self) {
        let frame = self.frame();
        frame.operators += 1;
        let accesses = std::mem::take(&mut frame.accesses);
        self.total += 1;
        self.total -= accesses;
    }

    fn access(&mut self) {
        self.frame().accesses += 1;
        self.total += 1;
    }

    fn separate(&mut self) {
        let frame = std::mem::take(self.frame());
        self.total -= frame.operators + frame.accesses;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_too_deep(text: &str) -> bool {
        check(text, Language::Policies).is_err()
    }

    #[test]
    fn ordinary_policies_are_far_from_the_limit() {
        let policy = "permit (principal in Team::\"a\", action, resource) when { context.session.risk < 3 };\n";
        assert!(!is_too_deep(&policy.repeat(10_000)));
        let values = (0..10_000).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
        assert!(!is_too_deep(&format!(
            "permit (principal, action, resource) when {{ [{values}].contains(resource.id) }};"
        )));
    }

    #[test]
    fn every_way_to_nest_is_bounded() {
        for part in ["(", "[", "{", "!", "-", "1 + ", "1 * ", "a && ", "a || ", ".a", "if a then b else ", "[0]", "(0)"]
        {
            assert!(is_too_deep(&part.repeat(DEPTH_MAX + 1)), "{part}");
        }
        assert!(check(&"Set<".repeat(BRACKETS_MAX + 1), Language::Schema).is_err());
    }

    #[test]
    fn strings_and_comments_do_not_nest() {
        let brackets = "(".repeat(1_000);
        assert!(!is_too_deep(&format!("\"\\\"{brackets}\" // {brackets}\n")));
    }
}
