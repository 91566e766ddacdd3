//! SPIFFE IDs, in the one form in which they can be compared as text.

/// How long a SPIFFE ID may be, in bytes (SPIFFE-ID section 2.3).
const SPIFFE_ID_BYTES_MAX: usize = 2048;
/// How long a trust domain may be, in bytes (SPIFFE-ID section 2.1).
const TRUST_DOMAIN_BYTES_MAX: usize = 255;

/// Accepts a SPIFFE ID in its one canonical form, so that ids can be compared as strings (SPIFFE-ID section 2).
///
/// An id with upper-case letters in its trust domain, escapes, empty or dot segments, or a trailing slash is not one.
pub fn parse_spiffe_id(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("spiffe://")?;
    let (domain, path) = rest.split_once('/').map_or((rest, None), |(domain, path)| (domain, Some(path)));
    let domain_is_valid = !domain.is_empty()
        && domain.len() <= TRUST_DOMAIN_BYTES_MAX
        && domain.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'-' | b'_'));
    let segment_is_valid = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'))
    };
    let path_is_valid = path.is_none_or(|path| path.split('/').all(segment_is_valid));
    (text.len() <= SPIFFE_ID_BYTES_MAX && domain_is_valid && path_is_valid).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_a_spiffe_id() {
        for good in ["spiffe://example.org", "spiffe://example.org/ci/build-1", "spiffe://a_b.c-d/X"] {
            assert_eq!(parse_spiffe_id(good), Some(good));
        }
        for bad in [
            "",
            "spiffe://",
            "spiffe:///x",
            "SPIFFE://example.org/x",
            "spiffe://Example.org/x",
            "spiffe://example.org/",
            "spiffe://example.org/a//b",
            "spiffe://example.org/a/../b",
            "spiffe://example.org/a%2fb",
            "spiffe://example.org/a?b",
            "spiffe://example.org:80/a",
            "https://example.org/a",
            "CN=example",
        ] {
            assert_eq!(parse_spiffe_id(bad), None, "{bad}");
        }
    }
}
