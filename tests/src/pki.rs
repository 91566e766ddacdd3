//! A certificate authority for one test.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// An authority whose certificates for servers and clients lie in files.
pub struct Pki {
    directory: TempDir,
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
    issued: AtomicU32,
}

/// A certificate and its key, in PEM files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Pki {
    /// A new authority.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("chaperone-pki-").tempdir().expect("a temporary directory");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "end-to-end tests");
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        fs::write(directory.path().join("ca.crt"), &certificate).expect("the certificate is written");
        Self { directory, certificate, issuer: Issuer::new(params, key), issued: AtomicU32::new(0) }
    }

    /// The authority's certificate, in a PEM file.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// The authority's certificate, in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a server on loopback.
    pub fn server(&self) -> Identity {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue("server", params)
    }

    /// A certificate for a client with this SPIFFE ID. Each call makes a new one.
    pub fn client(&self, spiffe_id: &str) -> Identity {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(spiffe_id.try_into().expect("an ASCII URI"))];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue("client", params)
    }

    /// A client's TLS configuration: trusts this authority, shows `identity`.
    pub fn client_config(&self, identity: Option<&Identity>) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.ca_file()).expect("a certificate")).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_file(certificate).expect("a certificate")],
                    PrivateKeyDer::from_pem_file(key).expect("a key"),
                )
                .expect("key and certificate match"),
        };
        Arc::new(config)
    }

    fn issue(&self, name: &str, mut params: CertificateParams) -> Identity {
        let serial = self.issued.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let identity = Identity { certificate: self.file(serial, "crt"), key: self.file(serial, "key") };
        fs::write(&identity.certificate, certificate.pem()).expect("the certificate is written");
        fs::write(&identity.key, key.serialize_pem()).expect("the key is written");
        identity
    }

    fn file(&self, serial: u32, extension: &str) -> PathBuf {
        self.directory.path().join(format!("{serial}.{extension}"))
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

impl Identity {
    /// SHA-256 of the certificate in DER, which a session can be bound to.
    pub fn thumbprint(&self) -> Vec<u8> {
        Sha256::digest(CertificateDer::from_pem_file(&self.certificate).expect("a certificate")).to_vec()
    }
}
