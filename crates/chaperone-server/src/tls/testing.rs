//! A certificate authority for tests.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use super::{ClientCertificates, TlsFiles};

/// An authority whose files are in a folder of their own: `ca.pem`, `server.pem`, `server.key`.
pub(crate) struct Pki {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub(crate) struct Issued {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("valid parameters");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(parameters, key).expect("an authority");
        let pki = Self { folder: TempDir::new().expect("a folder"), authority };
        std::fs::write(pki.path("ca.pem"), pki.authority.pem()).expect("it is written");
        pki.issue_server();
        pki
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Issues a new server certificate, in place of the last one.
    pub(crate) fn issue_server(&self) {
        let issued = self.client(&["localhost"]);
        std::fs::write(self.path("server.key"), issued.key).expect("it is written");
        std::fs::write(self.path("server.pem"), issued.cert).expect("it is written");
    }

    /// Issues a certificate; names with `://` are URIs, others DNS names.
    pub(crate) fn client(&self, names: &[&str]) -> Issued {
        let mut parameters = CertificateParams::new(Vec::new()).expect("valid parameters");
        for name in names {
            let text = (*name).try_into().expect("ASCII");
            let name = if name.contains("://") { SanType::URI(text) } else { SanType::DnsName(text) };
            parameters.subject_alt_names.push(name);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &self.authority).expect("it is signed");
        Issued { cert: certificate.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn server_files(&self, clients: ClientCertificates) -> TlsFiles {
        TlsFiles { cert: self.path("server.pem"), key: self.path("server.key"), clients }
    }

    /// A client that trusts this authority and shows `identity`.
    pub(crate) fn connector(&self, identity: Option<&Issued>) -> tokio_rustls::TlsConnector {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).expect("a certificate");
        roots.add(authority).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_root_certificates(roots);
        let mut config = match identity {
            Some(issued) => builder
                .with_client_auth_cert(vec![issued.certificate()], issued.private_key())
                .expect("certificate and key fit"),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config).into()
    }
}

impl Issued {
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).expect("a certificate")
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key")
    }
}
