//! Who a client is, by its certificate.

use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::spiffe::parse_spiffe_id;

/// How long a DNS name may be, in bytes.
const DNS_NAME_BYTES_MAX: usize = 253;

/// Who a client is. Its certificate was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerIdentity {
    /// The SPIFFE ID, when the certificate is an X.509-SVID: it has one URI, which is a SPIFFE ID in its canonical form.
    pub spiffe_id: Option<String>,
    /// The DNS names, in lower case.
    pub dns_names: Vec<String>,
    /// SHA-256 of the certificate in DER (RFC 8705 section 3.1).
    pub certificate_sha256: [u8; 32],
}

impl PeerIdentity {
    /// Reads a verified certificate. One whose names cannot be read has none.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let (spiffe_id, dns_names) = names(certificate).unwrap_or_default();
        Self { spiffe_id, dns_names, certificate_sha256: Sha256::digest(certificate).into() }
    }

    /// The first of `clients` that this is: by SPIFFE ID, or by DNS name.
    pub fn find_in<'a>(&self, clients: &'a [String]) -> Option<&'a str> {
        let is_this = |client: &str| {
            if client.starts_with("spiffe:") {
                self.spiffe_id.as_deref() == Some(client)
            } else {
                self.dns_names.iter().any(|name| name.eq_ignore_ascii_case(client))
            }
        };
        clients.iter().map(String::as_str).find(|client| is_this(client))
    }
}

/// The name of a client as a list of allowed clients may have it: a SPIFFE ID in its canonical form, or a DNS name.
pub fn canonical_client_name(text: &str) -> Option<&str> {
    if text.starts_with("spiffe:") { parse_spiffe_id(text) } else { dns_name(text) }
}

fn names(certificate: &CertificateDer<'_>) -> Option<(Option<String>, Vec<String>)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let alternatives = certificate.subject_alternative_name().ok()??;
    let mut uris = Vec::new();
    let mut dns_names = Vec::new();
    for name in &alternatives.value.general_names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            GeneralName::DNSName(name) => dns_names.extend(dns_name(name).map(str::to_ascii_lowercase)),
            _ => {}
        }
    }
    // More than one URI is no X.509-SVID (X.509-SVID section 2).
    let spiffe_id = match uris.as_slice() {
        [uri] => parse_spiffe_id(uri).map(str::to_owned),
        _ => None,
    };
    Some((spiffe_id, dns_names))
}

/// Accepts a DNS name without wildcards: a client is not many hosts.
fn dns_name(text: &str) -> Option<&str> {
    let label_is_valid = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
    };
    (text.len() <= DNS_NAME_BYTES_MAX && text.split('.').all(label_is_valid)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Pki;
    use super::*;

    #[test]
    fn svid_has_its_spiffe_id_and_thumbprint() {
        let certificate = Pki::new().client(&["spiffe://example.org/proxy", "Proxy.example.org"]).certificate();
        let identity = PeerIdentity::of(&certificate);
        assert_eq!(identity.spiffe_id.as_deref(), Some("spiffe://example.org/proxy"));
        assert_eq!(identity.dns_names, ["proxy.example.org"]);
        assert_eq!(identity.certificate_sha256, <[u8; 32]>::from(Sha256::digest(&certificate)));
    }

    #[test]
    fn certificate_with_two_uris_or_another_uri_has_no_spiffe_id() {
        let pki = Pki::new();
        for names in
            [&["spiffe://example.org/a", "spiffe://example.org/b"][..], &["https://example.org/a"], &["a.example"]]
        {
            assert_eq!(PeerIdentity::of(&pki.client(names).certificate()).spiffe_id, None, "{names:?}");
        }
    }

    #[test]
    fn unreadable_certificate_has_no_names() {
        let identity = PeerIdentity::of(&CertificateDer::from_slice(b"nonsense"));
        assert_eq!((identity.spiffe_id, identity.dns_names), (None, vec![]));
    }

    #[test]
    fn only_canonical_names_can_be_listed() {
        for good in ["spiffe://example.org", "spiffe://example.org/ns/a/sa/b", "proxy.example.org", "localhost"] {
            assert_eq!(canonical_client_name(good), Some(good));
        }
        let bad = [
            "",
            ".",
            "a..b",
            "*.example.org",
            "a b",
            "spiffe:",
            "spiffe://",
            "spiffe:///x",
            "spiffe://Example.org/x",
            "spiffe://example.org/",
            "spiffe://example.org/a/../b",
            "spiffe://example.org/a%2fb",
            "spiffe://example.org:80/a",
            "https://example.org",
        ];
        for text in bad {
            assert_eq!(canonical_client_name(text), None, "{text}");
        }
    }

    #[test]
    fn dns_name_that_looks_like_a_spiffe_id_is_not_one() {
        let identity = PeerIdentity {
            spiffe_id: None,
            dns_names: vec!["spiffe://example.org/a".to_owned(), "a.example".to_owned()],
            certificate_sha256: [0; 32],
        };
        let clients = ["spiffe://example.org/a".to_owned(), "A.example".to_owned()];
        assert_eq!(identity.find_in(&clients[..1]), None);
        assert_eq!(identity.find_in(&clients), Some("A.example"));
    }
}
