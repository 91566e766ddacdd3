//! What is asked of who uploads and activates bundles, beside that they are valid: signatures, two people, and consent to more.

use std::path::{Path, PathBuf};

use chaperone_policy::BundleSource;
use chaperone_store::BundleInfo;
use chaperone_trail::VerifyingKey;

use crate::admin::AdminError;
use crate::admin_auth::Caller;
use crate::bundle_signature::BundleSignature;
use crate::expansion_rule::ExpansionRule;

/// How large a file of signers may be, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The rules of one server. Without any, whoever may administer may do both.
#[derive(Clone, Debug, Default)]
pub struct BundleRules {
    /// Of whom one must have signed what is uploaded.
    pub signers: Option<Signers>,
    /// Whether a bundle is activated by somebody else than who uploaded it.
    pub two_people: bool,
    /// What is asked of a bundle that can allow more than the active one.
    pub expansion: Option<ExpansionRule>,
}

/// Those whose signatures count: a key and a name each.
#[derive(Clone, Debug)]
pub struct Signers(Vec<(VerifyingKey, String)>);

/// Why a file of signers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SignersError {
    /// It cannot be read.
    #[error("cannot read `{}`: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A line is no public key.
    #[error("`{}`, line {line}: a signer is a public Ed25519 key, 32 bytes in base64, and a name", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// It names nobody, or is too large to be such a file.
    #[error("`{}` names no signer: nothing could be uploaded", .path.display())]
    Nobody {
        /// The file.
        path: PathBuf,
    },
}

impl Signers {
    /// Reads a file: a key and a name a line; what follows `#` is a comment.
    ///
    /// # Errors
    /// See [`SignersError`].
    pub fn load(path: &Path) -> Result<Self, SignersError> {
        let read_error = |error| SignersError::Read { path: path.to_owned(), error };
        if std::fs::metadata(path).map_err(read_error)?.len() > FILE_BYTES_MAX {
            return Err(SignersError::Nobody { path: path.to_owned() });
        }
        let text = std::fs::read_to_string(path).map_err(read_error)?;
        let mut signers = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.split('#').next().unwrap_or_default().trim();
            let (key, name) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
            match key.parse() {
                _ if text.is_empty() => {}
                Ok(key) => signers.push((key, name.trim().to_owned())),
                Err(_) => return Err(SignersError::Line { path: path.to_owned(), line }),
            }
        }
        if signers.is_empty() { Err(SignersError::Nobody { path: path.to_owned() }) } else { Ok(Self(signers)) }
    }

    fn name(&self, key: VerifyingKey) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, name)| name.as_str())
    }
}

impl BundleRules {
    /// Checks the signature of what is uploaded; empty text is none. Returns what the trail says of it, which may be nothing.
    ///
    /// # Errors
    /// Where there is one and it is not of these files, whatever is asked for; or none of a signer where that is asked for.
    pub fn check_signature(&self, source: &BundleSource, signature: &str) -> Result<String, AdminError> {
        let signature = match (signature.trim(), &self.signers) {
            ("", None) => return Ok(String::new()),
            ("", Some(_)) => {
                let message = "this server takes signed bundles only: sign it with `chaperone bundle sign`";
                return Err(AdminError::precondition("bundle_unsigned", message));
            }
            (text, _) => text.parse::<BundleSignature>(),
        };
        let signature =
            signature.map_err(|error| AdminError::precondition("bundle_signature_invalid", error.to_string()))?;
        if !signature.is_of(&source.digest()) {
            let message =
                "the signature is not of these files: they were changed after they were signed; sign them again";
            return Err(AdminError::precondition("bundle_signature_invalid", message));
        }
        let key = signature.key();
        match self.signers.as_ref().map(|signers| signers.name(key)) {
            // Nobody said whose it is, so that nothing is said of it.
            None => Ok(String::new()),
            Some(Some(name)) => Ok(format!("signed by {key} {name}").trim_end().to_owned()),
            Some(None) => Err(AdminError::precondition(
                "bundle_signer_unknown",
                format!("the key that signed the bundle, {key}, is not trusted here"),
            )),
        }
    }

    /// Checks that who activates a bundle is not who uploaded it.
    ///
    /// # Errors
    /// Where that is asked for and it is the same person, or cannot be told: a token is anybody's who has it.
    pub fn check_two_people(&self, bundle: &BundleInfo, by: &Caller) -> Result<(), AdminError> {
        if !self.two_people {
            return Ok(());
        }
        let number = bundle.number;
        if !by.is_named {
            let name = &by.name;
            let message = format!(
                "two people are required, and `{name}` is whoever has it: activate bundle {number} with a client certificate of your own"
            );
            return Err(AdminError::precondition("two_people_required", message));
        }
        if Caller::is_shared(&bundle.uploaded_by) {
            let message = format!(
                "two people are required, and bundle {number} was uploaded by `{}`, which is whoever has it: upload it with a client certificate of one's own",
                bundle.uploaded_by
            );
            return Err(AdminError::precondition("two_people_required", message));
        }
        if *bundle.uploaded_by == *by.name {
            let message = format!(
                "two people are required: `{}` uploaded bundle {number}, and somebody else must activate it",
                by.name
            );
            return Err(AdminError::precondition("two_people_required", message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chaperone_policy::{BundleNumber, Timestamp};
    use chaperone_trail::SigningKey;

    use super::*;

    fn code<T: std::fmt::Debug>(result: Result<T, AdminError>) -> &'static str {
        match result {
            Err(AdminError::Precondition { code, .. }) => code,
            other => panic!("{other:?}"),
        }
    }

    fn signers(text: &str) -> Result<Signers, SignersError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        Signers::load(file.path())
    }

    fn key() -> SigningKey {
        let folder = tempfile::tempdir().expect("a folder");
        SigningKey::load_or_create(&folder.path().join("key.pem")).expect("a key")
    }

    #[test]
    fn only_what_a_trusted_key_signed_is_taken() {
        let (key, other) = (key(), key());
        let source = BundleSource { files: [("bundle.toml".to_owned(), "name = \"a\"".to_owned())].into() };
        let (good, stranger) =
            (BundleSignature::sign(&key, &source.digest()), BundleSignature::sign(&other, &source.digest()));
        let stale = BundleSignature::sign(&key, &BundleSource::default().digest());
        let text = format!("# who may sign\n{}  ann of security # since May\n\n", key.verifying_key());
        let rules = BundleRules { signers: Some(signers(&text).expect("a signer")), ..BundleRules::default() };
        let check = |signature: &str| rules.check_signature(&source, signature);
        assert_eq!(
            check(&good.to_string()).expect("it is good"),
            format!("signed by {} ann of security", key.verifying_key())
        );
        assert_eq!(code(check(" \n")), "bundle_unsigned");
        assert_eq!(code(check("ed25519 x")), "bundle_signature_invalid");
        assert_eq!(code(check(&stale.to_string())), "bundle_signature_invalid");
        assert_eq!(code(check(&stranger.to_string())), "bundle_signer_unknown");
    }

    #[test]
    fn server_that_asks_for_no_signature_still_refuses_a_wrong_one() {
        let source = BundleSource::default();
        let rules = BundleRules::default();
        assert_eq!(rules.check_signature(&source, "").expect("none is asked for"), "");
        let good = BundleSignature::sign(&key(), &source.digest());
        assert_eq!(rules.check_signature(&source, &good.to_string()).expect("it is good"), "");
        let stale = BundleSignature::sign(&key(), "another");
        assert_eq!(code(rules.check_signature(&source, &stale.to_string())), "bundle_signature_invalid");
    }

    #[test]
    fn file_of_signers_names_the_line_at_fault() {
        assert!(matches!(signers("# nobody\n"), Err(SignersError::Nobody { .. })));
        assert!(matches!(signers("# a\nann\n"), Err(SignersError::Line { line: 2, .. })));
    }

    #[test]
    fn same_person_and_nobody_in_particular_do_not_activate() {
        let uploaded_by = |name: &str| BundleInfo {
            number: BundleNumber::new(7),
            digest: String::new(),
            message: String::new(),
            uploaded_by: name.to_owned(),
            uploaded_at: Timestamp::from_micros(0),
            policy_count: 1,
            active: false,
        };
        let caller = |name: &str, is_named| Caller { name: name.into(), is_named };
        let rules = BundleRules { two_people: true, ..BundleRules::default() };
        assert!(rules.check_two_people(&uploaded_by("ann.example"), &caller("bob.example", true)).is_ok());
        for (uploader, activator, is_named) in [
            ("ann.example", "ann.example", true),
            ("ann.example", "token", false),
            ("token", "token", false),
            // Ann may have uploaded it with the token that she has as well.
            ("token", "ann.example", true),
            ("local", "ann.example", true),
            ("", "ann.example", true),
        ] {
            let checked = rules.check_two_people(&uploaded_by(uploader), &caller(activator, is_named));
            assert_eq!(code(checked), "two_people_required", "{uploader} and {activator}");
            let one = BundleRules::default();
            assert!(one.check_two_people(&uploaded_by(uploader), &caller(activator, is_named)).is_ok());
        }
    }
}
