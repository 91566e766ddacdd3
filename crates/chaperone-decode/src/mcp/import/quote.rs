//! Strings and comments that say what a server says and nothing else.

/// The most characters of a comment.
const COMMENT_MAX: usize = 100;

/// A string of Cedar.
pub(super) fn cedar(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if is_plain(letter) => quoted.push(letter),
            letter => quoted.extend([format!("\\u{{{:x}}}", u32::from(letter))]),
        }
    }
    quoted + "\""
}

/// A string of TOML.
pub(super) fn toml(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if is_plain(letter) => quoted.push(letter),
            letter => quoted.extend([format!("\\U{:08X}", u32::from(letter))]),
        }
    }
    quoted + "\""
}

/// A key of TOML, quoted if it must be.
pub(super) fn key(text: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if text.bytes().all(is_bare) { text.to_owned() } else { toml(text) }
}

/// A name of Cedar, quoted if it is no identifier.
pub(super) fn name(text: &str) -> String {
    if is_identifier(text) { text.to_owned() } else { cedar(text) }
}

/// What fits into one line of a comment: letters, digits, and the signs of ASCII, others as question marks.
pub(super) fn comment(text: &str) -> String {
    let line: String = text.trim().chars().take_while(|letter| *letter != '\n').take(COMMENT_MAX).collect();
    line.chars().map(|letter| if is_plain(letter) { letter } else { '?' }).collect()
}

/// Whether it is a name that Cedar reads without quotes.
pub(super) fn is_identifier(text: &str) -> bool {
    const RESERVED: [&str; 11] = ["true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar", "Set"];
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !RESERVED.contains(&text)
}

/// Whether it looks like what it is: no control character, no sign that turns the direction of the text, no space of another width.
fn is_plain(letter: char) -> bool {
    letter == ' ' || letter.is_ascii_graphic() || letter.is_alphanumeric()
}
