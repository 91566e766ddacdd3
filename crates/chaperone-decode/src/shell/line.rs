//! The characters of a command line: what is read in one way only goes on, anything else is refused.

use std::borrow::Cow;

use crate::Undecodable;

/// The longest command line that is decoded, in bytes.
pub(super) const BYTES_MAX: usize = 16 * 1024;

/// How many of each character there may be that opens, joins or ends a construct.
const OPENINGS_MAX: usize = 768;

/// The line without its continuations, if every shell reads its characters alike.
///
/// # Errors
/// Lines that are too long, control characters other than tab and newline, blanks that only look like one, and continuations where only a
/// full parse would tell whether they are any.
pub(super) fn parse(text: &str) -> Result<Cow<'_, str>, Undecodable> {
    if text.len() > BYTES_MAX {
        return Err(Undecodable::new("the command line is too long"));
    }
    // What the grammar spends on a line grows with these, and with their square if it turns out not to be valid.
    for opening in b"|&(<[{;`\n" {
        if text.bytes().filter(|byte| byte == opening).count() > OPENINGS_MAX {
            return Err(Undecodable::new("the command line is too complicated"));
        }
    }
    if !text.is_ascii() || text.bytes().any(|byte| byte < b' ') {
        check_characters(text)?;
    }
    if text.contains("\\\n") { without_continuations(text).map(Cow::Owned) } else { Ok(Cow::Borrowed(text)) }
}

fn check_characters(text: &str) -> Result<(), Undecodable> {
    for (position, character) in text.char_indices() {
        let refused = match character {
            '\t' | '\n' | ' '..='~' => false,
            _ => character.is_control() || character.is_whitespace() || is_invisible(character),
        };
        if refused {
            return Err(Undecodable::new(format!("a character that shells read differently, at byte {position}")));
        }
    }
    Ok(())
}

/// Whether it takes part in the text without being seen: joiners, marks of direction, fillers, variation selectors, tags.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A shell takes a backslash and the newline after it out before it does anything else, though not within single quotes, comments and quoted
/// here-documents. Which of these a place is in is plain as long as the line has neither comments nor here-documents nor nested quotes.
fn without_continuations(text: &str) -> Result<String, Undecodable> {
    let unclear = || Undecodable::new("a line continuation next to a comment, a here-document or nested quotes");
    if text.contains("<<") {
        return Err(unclear());
    }
    let mut joined = String::with_capacity(text.len());
    let (mut single, mut double) = (false, false);
    let mut before = '\n';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        match character {
            '\\' if !single => {
                characters.next();
                match next {
                    Some('\n') => continue,
                    Some(escaped) => joined.extend(['\\', escaped]),
                    None => joined.push('\\'),
                }
                before = 'x';
                continue;
            }
            '\'' if !double => {
                if before == '$' && !single {
                    return Err(unclear());
                }
                single = !single;
            }
            '"' if !single => double = !double,
            '$' | '`' if double && (character == '`' || matches!(next, Some('(' | '{' | '['))) => return Err(unclear()),
            '#' if !single && !double && matches!(before, ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '`') => {
                return Err(unclear());
            }
            _ => {}
        }
        joined.push(character);
        before = character;
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continuations_are_joined_but_not_in_single_quotes() {
        assert_eq!(parse("cu\\\nrl -d \\\n x").unwrap(), "curl -d  x");
        assert_eq!(parse("echo 'a\\\nb' \"c\\\nd\"").unwrap(), "echo 'a\\\nb' \"cd\"");
        assert!(parse("echo \\\n # a\\\nls").is_err());
        assert!(parse("cat <<'E'\na\\\nE\n").is_err());
    }

    #[test]
    fn characters_that_look_like_others_are_refused() {
        for text in [
            "ls\r",
            "ls\0",
            "ls\u{a0}-l",
            "ls\u{3000}-l",
            "l\u{200b}s",
            "ls \u{202e}x",
            "\u{feff}ls",
            "ls\u{85}x",
            "ls\u{b}x",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse("echo 'Grüße, 世界'").is_ok());
    }
}
