//! URIs of resources, each in the one spelling that stands for all that mean the same.

use smol_str::SmolStr;

use crate::Undecodable;

/// The most bytes of a URI.
const BYTES_MAX: usize = 8192;

/// Reads a URI, or a template of URIs (RFC 6570).
///
/// Servers match a URI as a text, or decode it and make a path of it; policies see only the text. So a URI is refused if decoding would make
/// another text of it that also is one: dot segments, escapes of what needs none, escaped slashes. Digits of escapes come in upper case.
pub(super) fn read(text: &str, is_template: bool) -> Result<SmolStr, Undecodable> {
    let wrong = |what: &'static str| Err(Undecodable::new(format!("a URI of MCP {what}")));
    if text.len() > BYTES_MAX {
        return wrong("is too long");
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return wrong("has no scheme");
    };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte));
    if !is_scheme {
        return wrong("has no scheme in lower case");
    }
    if rest.is_empty() {
        return wrong("has nothing after its scheme");
    }
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    if !rest.bytes().all(|byte| is_sign(byte) || (is_template && b"{}".contains(&byte))) {
        return wrong("has a character that must be escaped");
    }
    let mut uri = text.to_owned().into_bytes();
    let mut at = 0;
    while let Some(byte) = uri.get(at) {
        if *byte == b'%' {
            let Some(digits) = uri.get_mut(at + 1..at + 3) else {
                return wrong("has `%` without two digits");
            };
            digits.make_ascii_uppercase();
            let escaped = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'));
            match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                None => return wrong("has `%` without two digits"),
                Some(0..0x20 | 0x7f | b'/' | b'\\' | b'%') => {
                    return wrong("has an escape that means another URI where it is decoded");
                }
                Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                    return wrong("has an escape of what needs none");
                }
                Some(_) => at += 2,
            }
        }
        at += 1;
    }
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return wrong("has a dot segment");
    }
    // A file has many names that are no other file's; these are the ones of RFC 8089 that every reader takes for the same.
    if scheme == "file" && (!rest.starts_with("///") || path.get(2..).is_some_and(|path| path.contains("//"))) {
        return wrong("of a file begins with `file:///` and has no empty segment");
    }
    Ok(String::from_utf8(uri).unwrap_or_default().into())
}
