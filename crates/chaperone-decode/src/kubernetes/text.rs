//! Which texts may stand where.

use crate::Undecodable;

/// Longer than any name that the API server stores.
const NAME_BYTES_MAX: usize = 1024;

/// Whether it is a segment of a path that can be read in one way only, by every server and proxy that it passes.
///
/// The API server refuses names with `/` and `%`, and `.` and `..`. Whatever is not ASCII, or invisible, could pass for another name; a
/// backslash is a slash to some.
pub(super) fn is_segment(text: &str) -> bool {
    let visible = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'/' | b'%' | b'\\');
    !matches!(text, "" | "." | "..") && text.len() <= NAME_BYTES_MAX && text.bytes().all(visible)
}

/// Whether it is the name of a resource or subresource.
///
/// Dots would make `deployments.apps` of a resource what the same resource in a group is called, so there are none, as in every API.
pub(super) fn is_resource(text: &str) -> bool {
    let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    text.len() <= 253 && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase) && text.bytes().all(inner)
}

/// Whether it is a label of a DNS name: a namespace, or a version.
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_domain(text) && !text.contains('.')
}

/// Whether it is a DNS name: an API group.
pub(super) fn is_domain(text: &str) -> bool {
    let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let label =
        |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(inner);
    text.len() <= 253 && text.split('.').all(label)
}

/// Whether it is a verb: those of the API server, and what others make up, such as `impersonate-on:user-info:list`.
pub(super) fn is_verb(text: &str) -> bool {
    let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b':');
    text.len() <= 253 && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase) && text.bytes().all(inner)
}

/// Whether it is a name that a review asks about. Users, signers and keys of extra attributes are names there, with slashes and in any script.
pub(super) fn is_reviewed_name(text: &str) -> bool {
    !matches!(text, "." | "..") && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
}

/// Denies unless it holds.
pub(super) fn require(holds: bool, message: &'static str) -> Result<(), Undecodable> {
    if holds { Ok(()) } else { Err(Undecodable::new(message)) }
}
