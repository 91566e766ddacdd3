//! The keys that checkpoints and bundles are signed with, and checked against: Ed25519 (RFC 8032).

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;

use crate::error::TrailError;
use crate::private_file::create_private_file;

/// A private key. It is never shown.
pub struct SigningKey(Ed25519KeyPair);

/// A public key: 32 bytes, in base64 as text.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct VerifyingKey([u8; 32]);

/// A text that is no public key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a public Ed25519 key is written as 32 bytes in base64")]
pub struct ParseKeyError;

impl SigningKey {
    /// From PKCS#8 (RFC 5958), as PEM or as DER.
    ///
    /// # Errors
    /// [`TrailError::Key`] when it is no Ed25519 key.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, TrailError> {
        let refused = |_| TrailError::Key { problem: "it is no Ed25519 key in PKCS#8" };
        let pair = if bytes.starts_with(b"-----") {
            let der = PrivatePkcs8KeyDer::from_pem_slice(bytes)
                .map_err(|_| TrailError::Key { problem: "it is no private key in PEM" })?;
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(refused)?
        } else {
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map_err(refused)?
        };
        Ok(Self(pair))
    }

    /// From a file that holds [`from_pkcs8`](Self::from_pkcs8)'s bytes.
    ///
    /// # Errors
    /// [`TrailError::Io`], [`TrailError::Key`].
    pub fn load(path: &Path) -> Result<Self, TrailError> {
        let bytes = std::fs::read(path).map_err(|source| io_error("read", path, source))?;
        Self::from_pkcs8(&bytes)
    }

    /// From a file, which is made for its owner alone when it is not there, and so is its directory.
    ///
    /// # Errors
    /// As [`load`](Self::load); [`TrailError::Io`] when it cannot be made.
    pub fn load_or_create(path: &Path) -> Result<Self, TrailError> {
        match std::fs::exists(path) {
            Ok(true) => return Self::load(path),
            Ok(false) => {}
            Err(source) => return Err(io_error("read", path, source)),
        }
        let generated = Ed25519KeyPair::generate()
            .and_then(|pair| pair.to_pkcs8v1())
            .map_err(|_| TrailError::Key { problem: "none could be made" })?;
        let text = pem(generated.as_ref());
        create_private_file(path, text.as_bytes()).map_err(|source| io_error("write", path, source))?;
        Self::load(path)
    }

    /// Its public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        let mut bytes = [0; 32];
        // Ed25519's public keys have 32 bytes.
        for (to, from) in bytes.iter_mut().zip(self.0.public_key().as_ref()) {
            *to = *from;
        }
        VerifyingKey(bytes)
    }

    /// Its signature over `message`, in base64. A message begins with what it is for, so that no signature is one of something else.
    pub fn sign(&self, message: &[u8]) -> String {
        BASE64.encode(self.0.sign(message).as_ref())
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> TrailError {
    TrailError::Io { action, path: path.to_owned(), source }
}

fn pem(der: &[u8]) -> String {
    // 48 bytes: one line of 64 characters.
    let lines: Vec<String> = der.chunks(48).map(|line| BASE64.encode(line)).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&"…").finish()
    }
}

impl VerifyingKey {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature`, in base64, is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        BASE64
            .decode(signature)
            .is_ok_and(|signature| UnparsedPublicKey::new(&ED25519, self.0).verify(message, &signature).is_ok())
    }
}

impl FromStr for VerifyingKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = BASE64.decode(text).map_err(|_| ParseKeyError)?;
        bytes.try_into().map(Self).map_err(|_| ParseKeyError)
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
