//! Names and texts of HTTP, checked.

use super::reader::{Reader, Text};

/// How long a header's or parameter's name may be, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Headers that frame the message or belong to one connection: changing them would change what the next hop reads as a request.
const FRAMING: [&str; 11] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "content-encoding",
];

/// The name of a header that may be read.
pub(super) fn header_name(reader: &mut Reader<'_>, text: &Text<'_>) -> Option<Box<str>> {
    match check_header_name(text.value) {
        Ok(()) => Some(text.value.into()),
        Err(message) => {
            reader.problem(&text.span, "mapping_header", message);
            None
        }
    }
}

/// The name of a header that may be changed.
pub(super) fn changeable_header_name(reader: &mut Reader<'_>, text: &Text<'_>) -> Option<Box<str>> {
    if FRAMING.contains(&text.value) {
        reader.problem(&text.span, "mapping_header", format!("the header `{}` must not be changed", text.value));
        return None;
    }
    header_name(reader, text)
}

/// Whether a text is the name of a header that can be spoken of.
///
/// # Errors
/// With the reason why not.
pub(super) fn check_header_name(name: &str) -> Result<(), String> {
    if name.starts_with(':') {
        return Err(format!("`{name}` is a pseudo-header; use {{host}}, {{method}} or {{scheme}}"));
    }
    if name == "host" {
        return Err("the `host` header is the request's host; use `host` or {host}".into());
    }
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_lower_token) {
        return Err(format!("`{name}` is not the name of a header in lower case"));
    }
    Ok(())
}

/// `tchar` of RFC 9110 section 5.6.2, without upper case.
const fn is_lower_token(byte: u8) -> bool {
    byte.is_ascii_lowercase()
        || byte.is_ascii_digit()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Whether a text can be the name of a query parameter.
///
/// # Errors
/// With the reason why not.
pub(super) fn check_parameter_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(format!("`{}` is not the name of a query parameter", name.escape_debug()));
    }
    Ok(())
}

/// The name of a query parameter.
pub(super) fn parameter_name(reader: &mut Reader<'_>, text: &Text<'_>) -> Option<Box<str>> {
    match check_parameter_name(text.value) {
        Ok(()) => Some(text.value.into()),
        Err(message) => {
            reader.problem(&text.span, "mapping_query", message);
            None
        }
    }
}

/// Whether a header's value can hold a text.
pub(super) fn is_header_text(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t'))
}
