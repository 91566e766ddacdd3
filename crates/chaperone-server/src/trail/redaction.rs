//! Attributes as records have them: kept, hashed, or not there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chaperone_policy::mapping::Recorded;
use chaperone_policy::{Bundle, Change, Deferred, Effect, Request, Value, Wait};
use chaperone_trail::{AppliedEffect, DecisionText, create_private_file};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::decided::applied;

/// How long a key is at least, in bytes.
const KEY_BYTES_MIN: usize = 32;
/// In the place of a value that is not recorded.
const DROPPED: &str = "(dropped)";

/// The key that attributes are hashed with. Whoever has it can find out by trying which values were hashed.
#[derive(Clone)]
pub struct RedactionKey(Arc<[u8]>);

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedactionKeyError {
    /// Its file cannot be read or made.
    #[error("cannot use the redaction key `{}`", .0.display())]
    Io(PathBuf, #[source] std::io::Error),
    /// It can be guessed.
    #[error("the redaction key `{}` has {bytes} bytes; it must have at least {KEY_BYTES_MIN}", path.display())]
    TooShort {
        /// Its file.
        path: PathBuf,
        /// How many it has.
        bytes: usize,
    },
}

impl std::fmt::Debug for RedactionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedactionKey(…)")
    }
}

impl RedactionKey {
    /// From its bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// From a file; white space around it does not count.
    ///
    /// # Errors
    /// When it cannot be read, or is too short.
    pub fn load(path: &Path) -> Result<Self, RedactionKeyError> {
        let bytes = std::fs::read(path).map_err(|error| RedactionKeyError::Io(path.to_owned(), error))?;
        let key = bytes.trim_ascii();
        if key.len() < KEY_BYTES_MIN {
            return Err(RedactionKeyError::TooShort { path: path.to_owned(), bytes: key.len() });
        }
        Ok(Self::new(key))
    }

    /// From a file, which is made of `fresh` for its owner alone when it is not there.
    ///
    /// # Errors
    /// As [`RedactionKey::load`]; and when it cannot be made.
    pub fn load_or_create(path: &Path, fresh: [u8; 32]) -> Result<Self, RedactionKeyError> {
        let failed = |error| RedactionKeyError::Io(path.to_owned(), error);
        if !path.try_exists().map_err(failed)? {
            create_private_file(path, hex(&fresh).as_bytes()).map_err(failed)?;
        }
        Self::load(path)
    }

    /// `hmac-sha256:` and HMAC-SHA-256 (RFC 2104) of the value as records would write it, in hexadecimal.
    fn hash(&self, value: &Value) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return DROPPED.to_owned() };
        // Names, strings and numbers: there is nothing in a value that cannot be written.
        mac.update(&serde_json::to_vec(value).unwrap_or_default());
        format!("hmac-sha256:{}", hex(&mac.finalize().into_bytes()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes what a request asked for, as it is recorded. What is not recorded as it is goes into `redacted`, with what stands for it.
pub(super) fn asked(
    text: &mut DecisionText<'_>,
    request: &Request,
    bundle: &Bundle,
    key: &RedactionKey,
    redacted: &mut Vec<(Value, String)>,
) {
    let mut asked = text.asked(&request.action, &request.resource);
    let (mut dropped, mut hashed) = (Vec::new(), Vec::new());
    // Not a loop: a value would be moved once more for each of the iterators that it comes through.
    bundle.attributes(request).for_each(|(name, value)| match bundle.mapping().recorded(&request.action, name) {
        Recorded::Kept => asked.attribute(name, &value),
        Recorded::Hashed => {
            let hash = key.hash(&value);
            redacted.push((value, hash.clone()));
            asked.attribute(name, &Value::String(hash.into()));
            hashed.push(name.into());
        }
        Recorded::Dropped => {
            redacted.push((value, DROPPED.to_owned()));
            dropped.push(name.into());
        }
    });
    asked.end(&dropped, &hashed);
}

/// An effect as it is recorded: what it remembers may be an attribute that is not recorded as it is, or a part of one.
pub(super) fn effect(effect: &Effect, redacted: &[(Value, String)]) -> AppliedEffect<'static> {
    if redacted.is_empty() {
        return applied(effect);
    }
    let stand_in = |value: &Value| {
        let mut redacted = redacted.iter();
        redacted.find(|(whole, _)| holds(whole, value) || holds(value, whole)).map(|(_, text)| text.as_str())
    };
    with_stand_in(effect, stand_in)
}

/// An effect of a report as it is recorded: what it remembers is a fact, or an attribute of which nobody knows any more how it is recorded.
pub fn reported(effect: &Effect) -> AppliedEffect<'static> {
    with_stand_in(effect, |_| Some(DROPPED))
}

/// An effect, with a text in the place of the value that it remembers, where there is one for it.
fn with_stand_in<'t>(effect: &Effect, text: impl FnOnce(&Value) -> Option<&'t str>) -> AppliedEffect<'static> {
    let mut effect = effect.clone();
    if let Some(value) = remembered(&mut effect)
        && let Some(text) = text(value)
    {
        *value = Value::String(text.into());
    }
    applied(&effect)
}

/// The value that an effect puts into a set, now or when its outcome is reported.
fn remembered(effect: &mut Effect) -> Option<&mut Value> {
    match effect {
        Effect::Remember(_, Change::Remember(_, value))
        | Effect::Await(Wait { what: Deferred::Remember(_, value), .. }) => Some(value),
        Effect::Remember(..) | Effect::Await(_) | Effect::Revoke { .. } | Effect::Alert(_) => None,
    }
}

/// Whether a value is the other, or a part of it.
fn holds(whole: &Value, part: &Value) -> bool {
    whole == part
        || match whole {
            Value::Set(members) => members.iter().any(|member| holds(member, part)),
            Value::Record(fields) => fields.values().any(|field| holds(field, part)),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_keyed_and_of_the_value_as_records_write_it() {
        let value = Value::String("ann@example.org".into());
        let (one, other) = (RedactionKey::new(&[1; 32]), RedactionKey::new(&[2; 32]));
        assert_eq!(one.hash(&value), one.hash(&value));
        assert_ne!(one.hash(&value), other.hash(&value));
        assert_ne!(one.hash(&value), one.hash(&Value::String("bob@example.org".into())));
        assert_eq!(one.hash(&value).len(), "hmac-sha256:".len() + 64);
        assert!(!format!("{one:?}").contains('1'), "a key is not shown");
    }

    #[test]
    fn key_is_made_once_and_a_short_one_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key");
        let first = RedactionKey::load_or_create(&path, [7; 32]).expect("it is made");
        let again = RedactionKey::load_or_create(&path, [8; 32]).expect("it is there");
        assert_eq!(first.hash(&Value::Long(1)), again.hash(&Value::Long(1)));
        std::fs::write(&path, "too short\n").expect("it is written");
        let error = RedactionKey::load(&path).expect_err("it can be guessed");
        assert!(error.to_string().contains("9 bytes"), "{error}");
    }

    #[test]
    fn part_of_a_redacted_attribute_is_not_remembered_in_the_open() {
        let secret = Value::String("s3cret".into());
        let record = Value::Record([("token".into(), secret.clone())].into_iter().collect());
        assert!(holds(&record, &secret) && holds(&secret, &secret) && !holds(&secret, &record));
        assert!(!holds(&record, &Value::String("other".into())));
    }
}
