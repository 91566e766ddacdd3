//! Hosts: their normal form, and the patterns that routes match them with.

use std::borrow::Cow;

use super::Undecodable;
use super::reading::lower_case;

/// How long a host may be, in bytes, port included.
const HOST_BYTES_MAX: usize = 261;

/// The host in lower case, without its port and without the root's dot. May be empty.
pub(super) fn normal_host(text: &str) -> Result<Cow<'_, str>, Undecodable> {
    let invalid = || Undecodable::new("the host is not valid");
    if text.len() > HOST_BYTES_MAX {
        return Err(invalid());
    }
    let (name, after) = if let Some(rest) = text.strip_prefix('[') {
        // An IPv6 address keeps its brackets, which are no part of a name.
        let (address, _) = rest.split_once(']').ok_or_else(invalid)?;
        let valid = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        if address.is_empty() || !address.bytes().all(valid) {
            return Err(invalid());
        }
        text.split_at_checked(address.len() + 2).ok_or_else(invalid)?
    } else {
        let (name, after) = text.split_at_checked(text.find(':').unwrap_or(text.len())).ok_or_else(invalid)?;
        let name = name.strip_suffix('.').unwrap_or(name);
        if !text.is_empty() && !is_name(name) {
            return Err(invalid());
        }
        (name, after)
    };
    match after.strip_prefix(':') {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {}
        None if after.is_empty() => {}
        _ => return Err(invalid()),
    }
    Ok(lower_case(name))
}

/// Whether a text is labels with single dots between them.
fn is_name(text: &str) -> bool {
    text.split('.').all(|label| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

/// Which hosts a route is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum HostPattern {
    /// This one.
    Exact(Box<str>),
    /// One or more labels before this suffix, which starts with a dot.
    Under(Box<str>),
}

impl HostPattern {
    /// Reads `docs.example.com` or `*.example.com`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.contains(':') && !text.starts_with('[') {
            return None;
        }
        let normal = |text: &str| match normal_host(text) {
            Ok(host) if !host.is_empty() && text.len() == host.len() => Some(Box::from(&*host)),
            _ => None,
        };
        match text.strip_prefix("*.") {
            Some(suffix) if is_name(suffix) => Some(Self::Under(format!(".{}", suffix.to_ascii_lowercase()).into())),
            Some(_) => None,
            None => normal(text).map(Self::Exact),
        }
    }

    /// Whether a host in normal form is as this says.
    pub(super) fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => host == &**name,
            Self::Under(suffix) => host.len() > suffix.len() && host.ends_with(&**suffix),
        }
    }

    /// Whether every host that `other` matches is matched by this one too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(name)) => self.matches(name),
            (Self::Exact(_), Self::Under(_)) => false,
            (Self::Under(suffix), Self::Under(other)) => other.ends_with(&**suffix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_loses_case_port_and_root_dot() {
        for (text, normal) in [
            ("docs.example.com", "docs.example.com"),
            ("Docs.Example.COM:8443", "docs.example.com"),
            ("docs.example.com.", "docs.example.com"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:8080", "[::1]"),
            ("[FE80::1]", "[fe80::1]"),
            ("localhost", "localhost"),
            ("", ""),
        ] {
            assert_eq!(normal_host(text).as_deref(), Ok(normal), "{text}");
        }
    }

    #[test]
    fn host_with_two_readings_is_refused() {
        for text in [
            "a b",
            "a/b",
            "user@host",
            "a,b",
            "a:x",
            "a..b",
            ".",
            ":80",
            "[::1",
            "[]",
            "[::1]x",
            "ä.example",
            "a%41",
            "a\0",
            "a:80:90",
            ".a",
        ] {
            assert!(normal_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn wildcard_stands_for_one_or_more_labels() {
        let pattern = HostPattern::parse("*.Example.com").expect("valid");
        assert!(pattern.matches("docs.example.com") && pattern.matches("a.b.example.com"));
        assert!(!pattern.matches("example.com") && !pattern.matches("badexample.com"));
    }

    #[test]
    fn invalid_pattern_is_refused() {
        for text in ["", "*", "*.", "a.*.b", "host:80", "*.a..b", "https://a", "a/b"] {
            assert_eq!(HostPattern::parse(text), None, "{text}");
        }
    }
}
