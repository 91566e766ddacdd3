//! TLS for the doors: certificates that are read again when their files change, and who the client is.

mod identity;
#[cfg(test)]
pub(crate) mod testing;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

pub use identity::{PeerIdentity, canonical_client_name};

/// How often the files are looked at.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(5);
/// How large one of the files may be, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The files of one door's TLS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// The certificate chain in PEM, the server's own first.
    pub cert: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
    /// What is asked of clients.
    pub clients: ClientCertificates,
}

/// What is asked of clients. The file holds the authorities, in PEM, that a certificate must come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientCertificates {
    /// Nothing.
    Ignored,
    /// A certificate that is shown must be valid.
    Optional(PathBuf),
    /// A valid certificate.
    Required(PathBuf),
}

/// What is spoken inside TLS (ALPN).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocols {
    /// HTTP/2 only.
    Grpc,
    /// HTTP/2 or HTTP/1.1.
    Http,
}

/// Why TLS files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{}` holds no {wanted} in PEM", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// Certificate and key do not work together, or an authority cannot be used.
    #[error("`{}`: {error}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: rustls::Error,
    },
    /// The client authorities cannot be used.
    #[error("`{}`: {error}", .path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        error: VerifierBuilderError,
    },
}

/// What came of looking at the files.
#[derive(Debug)]
pub enum Reload {
    /// They are as they were.
    Unchanged,
    /// They changed; new connections use what they hold now.
    Reloaded,
    /// They changed and cannot be used; the old content stays in use. Told once for each change.
    Refused(TlsError),
}

/// TLS of one door.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    protocols: Protocols,
    current: ArcSwap<ServerConfig>,
    /// SHA-256 over the files' content when they were last looked at.
    seen: Mutex<[u8; 32]>,
}

/// The files' content.
struct Content {
    cert: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(files: TlsFiles, protocols: Protocols) -> Result<Self, TlsError> {
        let content = Content::read(&files)?;
        let current = server_config(&files, protocols, &content)?;
        Ok(Self { current: ArcSwap::from_pointee(current), seen: Mutex::new(content.digest()), files, protocols })
    }

    /// What the next connection is to use.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Looks at the files, and takes over what they hold when that changed. Blocks on the file system.
    pub fn reload(&self) -> Reload {
        let content = match Content::read(&self.files) {
            Ok(content) => content,
            // Told once: the digest of "unreadable" is seen until the files can be read again.
            Err(error) => return if self.see([0; 32]) { Reload::Refused(error) } else { Reload::Unchanged },
        };
        if !self.see(content.digest()) {
            return Reload::Unchanged;
        }
        match server_config(&self.files, self.protocols, &content) {
            Ok(config) => {
                self.current.store(Arc::new(config));
                Reload::Reloaded
            }
            Err(error) => Reload::Refused(error),
        }
    }

    /// Looks at the files every `interval`, until dropped.
    pub async fn watch(self: Arc<Self>, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let tls = Arc::clone(&self);
            let Ok(reload) = tokio::task::spawn_blocking(move || tls.reload()).await else { continue };
            let path = self.files.cert.display();
            match reload {
                Reload::Unchanged => {}
                Reload::Reloaded => tracing::info!(tls.certificate = %path, "TLS certificate reloaded"),
                Reload::Refused(error) => {
                    tracing::error!(tls.certificate = %path, %error, "changed TLS files cannot be used; the old ones stay in use");
                }
            }
        }
    }

    /// Notes what was seen; says whether it is new.
    fn see(&self, digest: [u8; 32]) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *seen, digest) != digest
    }
}

impl ClientCertificates {
    fn authorities(&self) -> Option<&Path> {
        match self {
            Self::Ignored => None,
            Self::Optional(path) | Self::Required(path) => Some(path),
        }
    }
}

impl Content {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            cert: read(&files.cert)?,
            key: read(&files.key)?,
            authorities: files.clients.authorities().map(read).transpose()?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [Some(&self.cert), Some(&self.key), self.authorities.as_ref()].into_iter().flatten() {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let error = |error| TlsError::Read { path: path.to_owned(), error };
    if std::fs::metadata(path).map_err(error)?.len() > FILE_BYTES_MAX {
        return Err(error(std::io::ErrorKind::FileTooLarge.into()));
    }
    std::fs::read(path).map_err(error)
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsError::Content { path: path.to_owned(), wanted: "certificate" }),
    }
}

/// The authorities in a file.
///
/// # Errors
/// See [`TlsError`].
pub fn load_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    roots(path, &read(path)?)
}

fn roots(path: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(path, pem)? {
        roots.add(authority).map_err(|error| TlsError::Unusable { path: path.to_owned(), error })?;
    }
    Ok(roots)
}

fn server_config(files: &TlsFiles, protocols: Protocols, content: &Content) -> Result<ServerConfig, TlsError> {
    let unusable = |path: &Path| {
        let path = path.to_owned();
        move |error| TlsError::Unusable { path, error }
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = certificates(&files.cert, &content.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&content.key)
        .map_err(|_| TlsError::Content { path: files.key.clone(), wanted: "private key" })?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable(&files.cert))?;
    let builder = match (files.clients.authorities(), &content.authorities) {
        (Some(path), Some(pem)) => builder.with_client_cert_verifier(verifier(files, path, pem, provider)?),
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(unusable(&files.cert))?;
    config.alpn_protocols = match protocols {
        Protocols::Grpc => vec![b"h2".to_vec()],
        Protocols::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(config)
}

fn verifier(
    files: &TlsFiles,
    path: &Path,
    pem: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path, pem)?), provider);
    let builder = match files.clients {
        ClientCertificates::Optional(_) => builder.allow_unauthenticated(),
        ClientCertificates::Ignored | ClientCertificates::Required(_) => builder,
    };
    builder.build().map_err(|error| TlsError::Authorities { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::testing::Pki;
    use super::*;

    #[test]
    fn changed_certificate_is_taken_over_and_a_broken_one_is_not() {
        let pki = Pki::new();
        let tls = Tls::load(pki.server_files(ClientCertificates::Ignored), Protocols::Grpc).expect("it loads");
        let first = tls.current();
        assert!(matches!(tls.reload(), Reload::Unchanged));

        pki.issue_server();
        assert!(matches!(tls.reload(), Reload::Reloaded));
        let second = tls.current();
        assert!(!Arc::ptr_eq(&first, &second));

        std::fs::write(pki.path("server.pem"), "not a certificate").expect("it is written");
        assert!(matches!(tls.reload(), Reload::Refused(TlsError::Content { .. })));
        assert!(Arc::ptr_eq(&second, &tls.current()), "the old certificate stays");
        assert!(matches!(tls.reload(), Reload::Unchanged), "told once");

        std::fs::remove_file(pki.path("server.pem")).expect("it is removed");
        assert!(matches!(tls.reload(), Reload::Refused(TlsError::Read { .. })));
        assert!(matches!(tls.reload(), Reload::Unchanged), "told once");

        pki.issue_server();
        assert!(matches!(tls.reload(), Reload::Reloaded));
    }

    #[test]
    fn key_of_another_certificate_is_refused() {
        let (pki, other) = (Pki::new(), Pki::new());
        std::fs::copy(other.path("server.key"), pki.path("server.key")).expect("it is copied");
        let error =
            Tls::load(pki.server_files(ClientCertificates::Ignored), Protocols::Grpc).expect_err("it is refused");
        assert!(matches!(error, TlsError::Unusable { .. }), "{error}");
    }

    #[test]
    fn empty_authorities_are_refused() {
        let pki = Pki::new();
        std::fs::write(pki.path("ca.pem"), "").expect("it is written");
        let files = pki.server_files(ClientCertificates::Required(pki.path("ca.pem")));
        assert!(matches!(Tls::load(files, Protocols::Grpc), Err(TlsError::Content { .. })));
    }

    #[tokio::test]
    async fn watching_takes_over_a_changed_certificate() {
        let pki = Pki::new();
        let tls = Tls::load(pki.server_files(ClientCertificates::Ignored), Protocols::Grpc).expect("it loads");
        let tls = Arc::new(tls);
        let first = tls.current();
        pki.issue_server();
        let watch = tokio::spawn(Arc::clone(&tls).watch(Duration::from_millis(1)));
        while Arc::ptr_eq(&first, &tls.current()) {
            tokio::task::yield_now().await;
        }
        watch.abort();
    }
}
