//! Evidence of who presents a session, as the enforcement point reports it.

use chaperone_policy::Presenter;
use percent_encoding::percent_decode_str;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

/// What is known of the peer that presents a session. The certificate is read only when a binding asks for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// The identity that TLS authenticated, when it is a valid SPIFFE ID.
    pub spiffe_id: Option<&'a str>,
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

impl<'a> Evidence<'a> {
    /// The evidence in the form that decisions read; the thumbprint only when `with_certificate`.
    pub fn presenter(&self, with_certificate: bool) -> Presenter<'a> {
        Presenter {
            spiffe_id: self.spiffe_id.map(Into::into),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_certificate_has_no_thumbprint() {
        assert_eq!(Certificate::UrlEncodedPem("%zz").sha256(), None);
        assert_eq!(Certificate::UrlEncodedPem("-----BEGIN%20CERTIFICATE-----").sha256(), None);
    }
}
