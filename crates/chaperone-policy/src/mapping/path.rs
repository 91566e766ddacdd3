//! Paths: the one normal form in which they are accepted.

use std::borrow::Cow;

/// How many segments a path, or a template of one, may have.
pub(super) const SEGMENTS_MAX: usize = 128;

/// A path that can be read in one way only: its segments, each decoded once.
///
/// INVARIANT (one reading): no segment but the last is empty, none is `.` or `..`, and none holds a slash, a backslash, a control
/// character or a percent-escape. `parse` makes it; joining segments with `/` relies on it, so that equal texts are equal paths.
#[derive(Debug)]
pub(super) struct Path<'a> {
    raw: &'a str,
    segments: Vec<Cow<'a, str>>,
}

/// Why a path has no single reading.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum PathError {
    #[error("the path does not start with `/`")]
    NotAbsolute,
    #[error("the path has an empty segment")]
    EmptySegment,
    #[error("the path has a `.` or `..` segment, or an encoded dot")]
    DotSegment,
    #[error("the path has an encoded slash or a backslash")]
    EncodedSlash,
    #[error("the path has a character that must be percent-encoded")]
    IllegalCharacter,
    #[error("the path has a `;`")]
    Semicolon,
    #[error("the path has an invalid percent-escape")]
    InvalidEscape,
    #[error("the path is percent-encoded twice")]
    DoubleEncoding,
    #[error("the path has an encoded control character")]
    ControlCharacter,
    #[error("the path is not UTF-8")]
    NotUtf8,
    #[error("the path has more than {SEGMENTS_MAX} segments")]
    TooManySegments,
}

impl<'a> Path<'a> {
    /// Reads a path, without its query.
    pub(super) fn parse(raw: &'a str, semicolons: bool) -> Result<Self, PathError> {
        let rest = raw.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
        let mut segments = Vec::with_capacity(8);
        let mut parts = rest.split('/').peekable();
        while let Some(part) = parts.next() {
            if segments.len() == SEGMENTS_MAX {
                return Err(PathError::TooManySegments);
            }
            if part.is_empty() && parts.peek().is_some() {
                return Err(PathError::EmptySegment);
            }
            segments.push(decode_segment(part, semicolons)?);
        }
        Ok(Self { raw, segments })
    }

    /// The target of `OPTIONS *`, which asks about the server and matches no template.
    pub(super) const fn asterisk() -> Self {
        Self { raw: "*", segments: Vec::new() }
    }

    /// The segments, decoded.
    pub(super) fn segments(&self) -> &[Cow<'a, str>] {
        &self.segments
    }

    /// The path as it was sent.
    pub(super) const fn raw(&self) -> &'a str {
        self.raw
    }

    /// The whole path, decoded. Two paths have the same text only if they have the same segments.
    pub(super) fn text(&self) -> Cow<'a, str> {
        if self.raw.contains('%') {
            Cow::Owned(format!("/{}", self.segments.join("/")))
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

/// Decodes one segment once.
fn decode_segment(raw: &str, semicolons: bool) -> Result<Cow<'_, str>, PathError> {
    let mut escaped = false;
    for byte in raw.bytes() {
        match byte {
            b'%' => escaped = true,
            b';' if !semicolons => return Err(PathError::Semicolon),
            b'\\' => return Err(PathError::EncodedSlash),
            _ if is_path_character(byte) => {}
            _ => return Err(PathError::IllegalCharacter),
        }
    }
    let text = if escaped { Cow::Owned(unescape(raw)?) } else { Cow::Borrowed(raw) };
    // Servers that know path parameters drop them before they look at dots: `..;x` is `..` to them, and `;x` is nothing.
    let stem = text.split(';').next().unwrap_or_default();
    if matches!(stem, "." | "..") {
        return Err(PathError::DotSegment);
    }
    if stem.is_empty() && !text.is_empty() {
        return Err(PathError::EmptySegment);
    }
    Ok(text)
}

fn unescape(raw: &str) -> Result<String, PathError> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let byte = match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
            (Some(high), Some(low)) => high << 4 | low,
            _ => return Err(PathError::InvalidEscape),
        };
        match byte {
            // Proxies decode this one even where they leave other escapes alone.
            b'.' => return Err(PathError::DotSegment),
            b'/' | b'\\' => return Err(PathError::EncodedSlash),
            _ => decoded.push(byte),
        }
    }
    let text = String::from_utf8(decoded).map_err(|_| PathError::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(PathError::ControlCharacter);
    }
    // Whoever decodes again would read something else.
    let twice = text.as_bytes().windows(3).any(|window| match window {
        [b'%', high, low] => hex(*high).is_some() && hex(*low).is_some(),
        _ => false,
    });
    if twice { Err(PathError::DoubleEncoding) } else { Ok(text) }
}

/// `pchar` of RFC 3986 section 3.3, but for escapes.
const fn is_path_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

/// The value of a hexadecimal digit.
pub(super) const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(path: &str) -> Result<Vec<String>, PathError> {
        Path::parse(path, false).map(|path| path.segments().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn plain_path_is_borrowed_and_split() {
        assert_eq!(segments("/documents/42"), Ok(vec!["documents".into(), "42".into()]));
        assert_eq!(segments("/"), Ok(vec![String::new()]));
        assert_eq!(segments("/a/"), Ok(vec!["a".into(), String::new()]));
        assert_eq!(segments("/a..b/..."), Ok(vec!["a..b".into(), "...".into()]));
    }

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(segments("/a%20b/%C3%A4/100%25"), Ok(vec!["a b".into(), "ä".into(), "100%".into()]));
        assert_eq!(Path::parse("/a%20b/c", false).expect("valid").text(), "/a b/c");
    }

    #[test]
    fn path_with_two_readings_is_refused() {
        use PathError as E;
        let cases = [
            ("", E::NotAbsolute),
            ("*", E::NotAbsolute),
            ("documents", E::NotAbsolute),
            ("http://host/a", E::NotAbsolute),
            ("//", E::EmptySegment),
            ("/a//b", E::EmptySegment),
            ("/a//", E::EmptySegment),
            ("/.", E::DotSegment),
            ("/a/../b", E::DotSegment),
            ("/a/..", E::DotSegment),
            ("/a/./b", E::DotSegment),
            ("/a/%2e%2e/b", E::DotSegment),
            ("/a/%2E./b", E::DotSegment),
            ("/report%2epdf", E::DotSegment),
            ("/a%2fb", E::EncodedSlash),
            ("/a%2Fb", E::EncodedSlash),
            ("/a%5cb", E::EncodedSlash),
            ("/a\\b", E::EncodedSlash),
            ("/a;b=1", E::Semicolon),
            ("/..;/admin", E::Semicolon),
            ("/..%3b/admin", E::DotSegment),
            ("/%3bx/admin", E::EmptySegment),
            ("/a%", E::InvalidEscape),
            ("/a%2", E::InvalidEscape),
            ("/a%zz", E::InvalidEscape),
            ("/a%+1", E::InvalidEscape),
            ("/%252e%252e/", E::DoubleEncoding),
            ("/%25%32%65", E::DoubleEncoding),
            ("/a%00", E::ControlCharacter),
            ("/a%0d%0ab", E::ControlCharacter),
            ("/a%7f", E::ControlCharacter),
            ("/a%c2%85", E::ControlCharacter),
            ("/%ff", E::NotUtf8),
            ("/%c0%ae%c0%ae/", E::NotUtf8),
            ("/%c3", E::NotUtf8),
            ("/ä", E::IllegalCharacter),
            ("/a b", E::IllegalCharacter),
            ("/a\u{0}b", E::IllegalCharacter),
            ("/a\tb", E::IllegalCharacter),
            ("/a#b", E::IllegalCharacter),
            ("/a?b", E::IllegalCharacter),
            ("/a|b", E::IllegalCharacter),
        ];
        for (path, error) in cases {
            assert_eq!(segments(path), Err(error), "{path:?}");
        }
    }

    #[test]
    fn allowed_semicolons_hide_no_dots_and_no_empty_segment() {
        let parse = |path| Path::parse(path, true).map(|_| ());
        assert_eq!(parse("/a;v=1/b"), Ok(()));
        assert_eq!(parse("/..;v=1/b"), Err(PathError::DotSegment));
        assert_eq!(parse("/.;/b"), Err(PathError::DotSegment));
        assert_eq!(parse("/;v=1/b"), Err(PathError::EmptySegment));
    }

    #[test]
    fn number_of_segments_is_bounded() {
        assert!(segments(&"/a".repeat(SEGMENTS_MAX)).is_ok());
        assert_eq!(segments(&"/a".repeat(SEGMENTS_MAX + 1)), Err(PathError::TooManySegments));
    }
}
