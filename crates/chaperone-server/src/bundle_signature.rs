//! Signatures of bundles: Ed25519 (RFC 8032) over the digest, detached, so that the same files have the same digest whoever signed them.

use std::fmt;
use std::str::FromStr;

use chaperone_trail::{SigningKey, VerifyingKey};

/// What the signed text begins with, so that it is no signature of anything else.
const CONTEXT: &str = "chaperone bundle v1\0";
/// What a written signature begins with.
const ALGORITHM: &str = "ed25519";

/// Who signed a bundle, and the proof: one line, `ed25519 KEY SIGNATURE`, both in base64.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BundleSignature {
    key: VerifyingKey,
    signature: String,
}

/// A text that is no signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a signature is one line: `ed25519`, the public key and the signature, both in base64")]
pub struct ParseSignatureError;

impl BundleSignature {
    /// Signs the bundle with this digest.
    pub fn sign(key: &SigningKey, digest: &str) -> Self {
        Self { key: key.verifying_key(), signature: key.sign(&message(digest)) }
    }

    /// The key that it says it was made with.
    pub const fn key(&self) -> VerifyingKey {
        self.key
    }

    /// Whether its key did sign the bundle with this digest.
    pub fn is_of(&self, digest: &str) -> bool {
        self.key.verifies(&message(digest), &self.signature)
    }
}

fn message(digest: &str) -> Vec<u8> {
    format!("{CONTEXT}{digest}").into_bytes()
}

impl FromStr for BundleSignature {
    type Err = ParseSignatureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some(ALGORITHM), Some(key), Some(signature), None) => {
                let key = key.parse().map_err(|_| ParseSignatureError)?;
                Ok(Self { key, signature: signature.to_owned() })
            }
            _ => Err(ParseSignatureError),
        }
    }
}

impl fmt::Display for BundleSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM} {} {}", self.key, self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        let folder = tempfile::tempdir().expect("a folder");
        SigningKey::load_or_create(&folder.path().join("key.pem")).expect("a key")
    }

    #[test]
    fn signature_is_of_one_digest_by_one_key() {
        let (key, other) = (key(), key());
        let signature = BundleSignature::sign(&key, "abc");
        assert!(signature.is_of("abc") && !signature.is_of("abd"));
        assert_eq!(signature.key(), key.verifying_key());
        let claimed = BundleSignature { key: other.verifying_key(), ..signature };
        assert!(!claimed.is_of("abc"));
    }

    #[test]
    fn signature_is_read_as_it_is_written() {
        let signature = BundleSignature::sign(&key(), "abc");
        assert_eq!(format!("{signature}\n").parse(), Ok(signature.clone()));
        for text in ["", "ed25519", "rsa a b", "ed25519 short sig", &format!("{signature} more")] {
            assert_eq!(text.parse::<BundleSignature>(), Err(ParseSignatureError), "{text}");
        }
    }
}
