//! `chaperone bundle sign` and `keygen`: who answers for a bundle.

use std::io;
use std::path::{Path, PathBuf};

use chaperone_trail::SigningKey;
use clap::Args;

use super::fmt::replace;
use super::source_dir::SIGNATURE;
use super::validate;
use crate::bundle_signature::BundleSignature;
use crate::cli::failure::Failure;
use crate::cli::output::{self, GOOD, paint, plain};

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone bundle keygen ./signer.pem          # once; the public key goes to --bundles-signers-file
  chaperone bundle sign ./bundle --key ./signer.pem
  chaperone bundle push ./bundle --activate

The signature is over the bundle's digest and stands in bundle.sig, which is no part of it. A bundle that changes is to be signed again.

Exit codes: 0 signed, 1 the folder has problems, 2 it could not be read, or the key is none.";

/// Arguments of `bundle sign`.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The bundle's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// File with the private Ed25519 key, in PKCS#8 PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Arguments of `bundle keygen`.
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// File to write the private key into, for its owner alone
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl SignArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// `Invalid` for a bundle with problems, `Input` for what cannot be read or written.
    pub fn run(self) -> Result<(), Failure> {
        let source = validate::compiled_source(&self.folder)?;
        let key = SigningKey::load(&self.key).map_err(|error| Failure::Input(error.to_string()))?;
        let digest = source.digest();
        let signature = BundleSignature::sign(&key, &digest);
        let path = self.folder.join(SIGNATURE);
        write(&path, &format!("{signature}\n"))
            .map_err(|error| Failure::Input(format!("cannot write `{}`: {error}", path.display())))?;
        let shown = plain(&path.display().to_string());
        output::print(&format!("{}: {shown}\n  digest {digest}\n  key    {}\n", paint(GOOD, "signed"), signature.key()))
    }
}

impl KeygenArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// `Input` when there is such a file already, or it cannot be written.
    pub fn run(self) -> Result<(), Failure> {
        let shown = self.file.display();
        if self.file.symlink_metadata().is_ok() {
            return Err(Failure::Input(format!("`{shown}` is there already, and a key is never overwritten")));
        }
        let key = SigningKey::load_or_create(&self.file).map_err(|error| Failure::Input(error.to_string()))?;
        // On standard output there is nothing but the line for the file of signers.
        output::note(&format!("wrote the private key to {}; who has it signs", plain(&shown.to_string())));
        output::print(&format!("{}\n", key.verifying_key()))
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(_) => replace(path, text),
        Err(_) => std::fs::write(path, text),
    }
}
