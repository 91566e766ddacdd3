//! Evidence of who presents a session, as the enforcement point reports it.

use std::net::IpAddr;

use chaperone_policy::{Binding, Presenter};
use percent_encoding::percent_decode_str;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

/// What is known of the peer that presents a session. Certificate and address are read only when something asks for them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// The identity that TLS authenticated, when it is a valid SPIFFE ID.
    pub spiffe_id: Option<&'a str>,
    /// The certificate.
    pub certificate: Certificate<'a>,
    /// Where it is.
    pub address: Address<'a>,
}

/// A peer's address in one of the forms in which it is reported.
#[derive(Clone, Copy, Debug, Default)]
pub enum Address<'a> {
    /// Not reported.
    #[default]
    Unknown,
    /// As a text, without port.
    Text(&'a str),
    /// The other end of a connection to this server.
    Peer(IpAddr),
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
    /// The evidence in the form that decisions read: of certificate and address only what the session's binding asks for.
    pub fn presenter(&self, binding: &Binding) -> Presenter<'a> {
        Presenter {
            spiffe_id: self.spiffe_id.map(Into::into),
            certificate_sha256: binding.certificate_sha256.and_then(|_| self.certificate.sha256()),
            address: if binding.zones.is_empty() { None } else { self.address.ip() },
        }
    }

    /// The evidence on whoever acts without a session.
    pub fn peer(&self) -> Presenter<'a> {
        Presenter { spiffe_id: self.spiffe_id.map(Into::into), ..Presenter::default() }
    }
}

impl Address<'_> {
    /// The address; `None` when it is not known, or the text is none. That is in no zone.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Unknown => None,
            Self::Text(text) => text.parse().ok(),
            Self::Peer(address) => Some(*address),
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
    fn what_is_no_address_is_unknown() {
        for text in ["", "10.0.0.1:80", "10.0.0", "::1%1", "localhost", "10.0.0.0/8"] {
            assert_eq!(Address::Text(text).ip(), None, "{text}");
        }
        assert_eq!(Address::Text("::1").ip(), Some(std::net::Ipv6Addr::LOCALHOST.into()));
    }

    #[test]
    fn only_what_the_binding_asks_for_is_read() {
        let evidence =
            Evidence { spiffe_id: None, certificate: Certificate::Sha256([7; 32]), address: Address::Text("10.0.0.1") };
        assert_eq!(evidence.presenter(&Binding::default()), Presenter::default());
        let asking =
            Binding { spiffe_id: None, certificate_sha256: Some([0; 32]), zones: ["office".to_owned()].into() };
        let shown = evidence.presenter(&asking);
        assert_eq!((shown.certificate_sha256, shown.address), (Some([7; 32]), Some([10, 0, 0, 1].into())));
    }

    #[test]
    fn unreadable_certificate_has_no_thumbprint() {
        assert_eq!(Certificate::UrlEncodedPem("%zz").sha256(), None);
        assert_eq!(Certificate::UrlEncodedPem("-----BEGIN%20CERTIFICATE-----").sha256(), None);
    }
}
