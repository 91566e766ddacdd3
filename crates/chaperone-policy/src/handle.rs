//! Session handles: the secret that presents a session, and the hash by which the store knows it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// What every handle starts with, so that people and secret scanners recognise one.
const PREFIX: &str = "chp_";
const SECRET_BYTES: usize = 32;
const CHECK_BYTES: usize = 4;

/// A session's handle: 256 random bits, and a checksum that tells a mistyped or truncated handle without a look-up.
///
/// Written as `chp_` and the base64url of 32 random bytes and the first 4 bytes of SHA-256 over them.
#[derive(Clone)]
pub struct SessionHandle([u8; SECRET_BYTES]);

/// SHA-256 of a handle's random bytes: all that is ever stored.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct HandleHash([u8; 32]);

/// What was presented is not a handle.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this is not a session handle")]
pub struct ParseHandleError;

impl SessionHandle {
    /// From random bytes that the caller drew.
    pub const fn from_random(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads a presented handle.
    ///
    /// # Errors
    /// When the text has another shape, or its checksum does not match. The error does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, ParseHandleError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(ParseHandleError)?;
        let mut bytes = [0; SECRET_BYTES + CHECK_BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes).map_err(|_| ParseHandleError)?;
        if length != bytes.len() {
            return Err(ParseHandleError);
        }
        let (secret, check) = bytes.split_at(SECRET_BYTES);
        if !Sha256::digest(secret).starts_with(check) {
            return Err(ParseHandleError);
        }
        secret.try_into().map(Self).map_err(|_| ParseHandleError)
    }

    /// The text to hand out, once.
    pub fn reveal(&self) -> String {
        let mut bytes = self.0.to_vec();
        bytes.extend(Sha256::digest(self.0).iter().take(CHECK_BYTES));
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The hash by which the store knows it.
    pub fn hash(&self) -> HandleHash {
        HandleHash(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionHandle(secret)")
    }
}

impl HandleHash {
    /// From stored bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn revealed_handle_parses_to_the_same_hash() {
        let handle = SessionHandle::from_random([7; 32]);
        let parsed = SessionHandle::parse(&handle.reveal()).expect("it parses");
        assert_eq!(parsed.hash(), handle.hash());
    }

    #[test]
    fn every_truncation_and_every_changed_character_is_refused() {
        let text = SessionHandle::from_random([0x5a; 32]).reveal();
        for end in 0..text.len() {
            assert!(SessionHandle::parse(&text[..end]).is_err(), "{end} characters");
        }
        for place in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert!(SessionHandle::parse(std::str::from_utf8(&changed).expect("ASCII")).is_err(), "at {place}");
        }
    }

    proptest! {
        /// What is no handle has no hash, and so nothing that the store could be asked for.
        #[test]
        fn no_text_is_a_handle_but_what_one_reveals(text in "\\PC*|chp_[A-Za-z0-9_=+/-]{40,60}") {
            let revealed = SessionHandle::parse(&text).map(|handle| handle.reveal()).ok();
            prop_assert!(revealed.is_none_or(|revealed| revealed == text));
        }

        #[test]
        fn nothing_can_be_added_to_a_handle(secret: [u8; 32], before in "\\PC{0,3}", after in "\\PC{0,3}") {
            let text = SessionHandle::from_random(secret).reveal();
            let longer = format!("{before}{text}{after}");
            prop_assert_eq!(SessionHandle::parse(&longer).is_ok(), longer == text);
        }
    }

    #[test]
    fn token_of_another_kind_is_refused() {
        for text in ["", "chp_", "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", "Bearer chp_", "chp_🦀"] {
            assert!(SessionHandle::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let handle = SessionHandle::from_random([1; 32]);
        assert!(!format!("{handle:?}").contains(&handle.reveal()[4..12]));
    }
}
