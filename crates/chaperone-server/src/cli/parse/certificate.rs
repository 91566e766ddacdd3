//! Certificates to bind to: a PEM file, or the fingerprint itself.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

use crate::cli::files;

/// SHA-256 over a certificate in DER: 32 bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Thumbprint(Vec<u8>);

impl Thumbprint {
    /// The bytes, as the API takes them.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// A certificate's thumbprint, from `sha256:` and 64 hexadecimal digits (colons between them are fine), or from the
/// first certificate of a PEM file.
pub fn certificate_sha256(text: &str) -> Result<Thumbprint, String> {
    if let Some(digits) = text.strip_prefix("sha256:") {
        return fingerprint(digits).ok_or_else(|| "`sha256:` takes 64 hexadecimal digits".to_owned());
    }
    let pem = files::read(Path::new(text), files::SMALL_BYTES_MAX).map_err(|failure| failure.to_string())?;
    let certificate = CertificateDer::from_pem_slice(&pem).map_err(|_| format!("`{text}` holds no PEM certificate"))?;
    Ok(Thumbprint(Sha256::digest(&certificate).to_vec()))
}

/// A thumbprint from 64 hexadecimal digits; colons between them are fine.
pub fn fingerprint(digits: &str) -> Option<Thumbprint> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b':').collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|[high, low]| {
            let high = char::from(*high).to_digit(16)?;
            let low = char::from(*low).to_digit(16)?;
            u8::try_from(high << 4 | low).ok()
        })
        .collect();
    bytes.filter(|bytes| rest.is_empty() && bytes.len() == 32).map(Thumbprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_and_file_of_one_certificate_agree() {
        let made = rcgen::generate_simple_self_signed(["agent".to_owned()]).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agent.pem");
        std::fs::write(&path, made.cert.pem()).expect("written");
        let from_file = certificate_sha256(path.to_str().expect("UTF-8")).expect("it parses");
        let digits: Vec<String> = Sha256::digest(made.cert.der()).iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(certificate_sha256(&format!("sha256:{}", digits.concat())), Ok(from_file.clone()));
        assert_eq!(certificate_sha256(&format!("sha256:{}", digits.join(":"))), Ok(from_file));
    }

    #[test]
    fn short_long_and_foreign_fingerprints_are_refused() {
        for text in
            ["sha256:", "sha256:00", &format!("sha256:{}", "0".repeat(65)), &format!("sha256:{}", "g".repeat(64))]
        {
            assert!(certificate_sha256(text).is_err(), "{text}");
        }
        assert!(certificate_sha256("/does/not/exist.pem").is_err());
    }
}
