//! Words in `$'…'`, where a backslash and what follows stand for another character.

/// Where the text that starts at `at` (after the opening quote) ends, and what it says. `None` where it does not end, or says bytes that are
/// no text or that end a word in some shells (a NUL).
pub(super) fn decode(source: &str, at: usize) -> Option<(usize, String)> {
    let mut text = String::new();
    let mut characters = source.get(at..)?.char_indices().peekable();
    while let Some((offset, character)) = characters.next() {
        match character {
            '\'' => return Some((at + offset + 1, text)),
            '\\' => {
                let (_, escaped) = characters.next()?;
                let decoded = match escaped {
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'e' | 'E' => '\u{1b}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\u{b}',
                    '\\' | '\'' | '"' | '?' => escaped,
                    'x' => ascii(number(&mut characters, 16, 2, None)?)?,
                    'u' => char::from_u32(number(&mut characters, 16, 4, None)?)?,
                    'U' => char::from_u32(number(&mut characters, 16, 8, None)?)?,
                    '0'..='7' => ascii(number(&mut characters, 8, 2, escaped.to_digit(8))?)?,
                    // Control characters and whatever a later shell may add.
                    _ => return None,
                };
                if decoded == '\0' {
                    return None;
                }
                text.push(decoded);
            }
            _ => text.push(character),
        }
    }
    None
}

/// Digits, as many as there are and at most `digits`; none is no number, unless it had a first one.
fn number(
    characters: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
    radix: u32,
    digits: usize,
    first: Option<u32>,
) -> Option<u32> {
    let mut number = first;
    for _ in 0..digits {
        let Some(digit) = characters.peek().and_then(|(_, character)| character.to_digit(radix)) else { break };
        characters.next();
        number = Some(number.unwrap_or_default().checked_mul(radix)?.checked_add(digit)?);
    }
    number
}

/// A byte beyond ASCII is a part of a character, which this cannot put together.
fn ascii(number: u32) -> Option<char> {
    char::from_u32(number).filter(char::is_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(decode(r"\x63url' x", 0), Some((8, "curl".into())));
        assert_eq!(decode(r"\143\u0075\U00000072l\'\\'", 0).unwrap().1, r"curl'\");
        assert_eq!(decode(r"curl\0x'", 0), None);
        assert_eq!(decode(r"\xff'", 0), None);
        assert_eq!(decode(r"abc\'", 0), None);
    }
}
