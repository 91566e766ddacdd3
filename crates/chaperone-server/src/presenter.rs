//! Evidence of who presents a session, as the enforcement point reports it.

use chaperone_policy::Presenter;
use percent_encoding::percent_decode_str;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

/// How long a SPIFFE ID may be, in bytes (SPIFFE-ID section 2.3).
const SPIFFE_ID_BYTES_MAX: usize = 2048;
/// How long a trust domain may be, in bytes (SPIFFE-ID section 2.1).
const TRUST_DOMAIN_BYTES_MAX: usize = 255;

/// What is known of the peer that presents a session. The certificate is read only when a binding asks for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// The identity that TLS authenticated; only a valid SPIFFE ID counts.
    pub principal: &'a str,
    /// The certificate.
    pub certificate: Certificate<'a>,
}

/// A peer's certificate in one of the forms in which it is reported.
#[derive(Clone, Copy, Debug, Default)]
pub enum Certificate<'a> {
    /// Not reported.
    #[default]
    Absent,
    /// SHA-256 of the DER form.
    Sha256([u8; 32]),
    /// PEM, URL-encoded, as Envoy sends it.
    UrlEncodedPem(&'a str),
}

impl Evidence<'_> {
    /// The peer's SPIFFE ID, when it has a valid one.
    pub fn spiffe_id(&self) -> Option<&str> {
        parse_spiffe_id(self.principal)
    }

    /// The evidence in the form that decisions read; the thumbprint only when `with_certificate`.
    pub fn presenter(&self, with_certificate: bool) -> Presenter {
        Presenter {
            spiffe_id: self.spiffe_id().map(str::to_owned),
            certificate_sha256: if with_certificate { self.certificate.sha256() } else { None },
        }
    }
}

impl Certificate<'_> {
    /// SHA-256 of the DER form (RFC 8705 section 3.1); `None` when absent or unreadable, which meets no binding.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        match self {
            Self::Absent => None,
            Self::Sha256(digest) => Some(*digest),
            Self::UrlEncodedPem(text) => {
                let pem: Vec<u8> = percent_decode_str(text).collect();
                let der = CertificateDer::from_pem_slice(&pem).ok()?;
                Some(Sha256::digest(&der).into())
            }
        }
    }
}

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

    #[test]
    fn unreadable_certificate_has_no_thumbprint() {
        assert_eq!(Certificate::UrlEncodedPem("%zz").sha256(), None);
        assert_eq!(Certificate::UrlEncodedPem("-----BEGIN%20CERTIFICATE-----").sha256(), None);
    }
}
