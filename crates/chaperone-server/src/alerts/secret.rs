//! The webhook's secret, and signing with it as Standard Webhooks 1.0 says.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// How many bytes it stands for.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How large its file may be, in bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// What deliveries are signed with. `Debug` does not show it.
#[derive(Clone, Eq, PartialEq)]
pub struct WebhookSecret(Vec<u8>);

/// Why a secret's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("cannot read `{}`: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It does not hold a secret.
    #[error("`{}` must hold `whsec_` and 24 to 64 random bytes in Base64", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
}

impl WebhookSecret {
    /// Reads a secret's file.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn load(path: &Path) -> Result<Self, SecretError> {
        let read_error = |error| SecretError::Read { path: path.to_owned(), error };
        let wrong = || SecretError::Content { path: path.to_owned() };
        if std::fs::metadata(path).map_err(read_error)?.len() > FILE_BYTES_MAX {
            return Err(wrong());
        }
        let text = std::fs::read_to_string(path).map_err(read_error)?;
        Self::parse(text.trim()).ok_or_else(wrong)
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        BYTES.contains(&bytes.len()).then_some(Self(bytes))
    }

    /// The value of `webhook-signature`: over the id, the time of this attempt in seconds since the epoch, and the body.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn signature_is_that_of_the_specifications_example() {
        let secret = WebhookSecret::parse(SECRET).expect("it is one");
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for text in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_not base64"] {
            assert_eq!(WebhookSecret::parse(text), None, "{text}");
        }
        assert_eq!(WebhookSecret::parse(&format!("whsec_{}", BASE64_STANDARD.encode([0; 65]))), None);
    }

    #[test]
    fn secret_is_never_shown() {
        assert_eq!(format!("{:?}", WebhookSecret::parse(SECRET)), "Some(WebhookSecret(***))");
    }
}
