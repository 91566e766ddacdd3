//! A bundle as it is uploaded: files, by path.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::Utf8Error;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::descriptors;
use crate::problem::Problem;

/// How large a bundle's files may be together, in bytes.
pub const BUNDLE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How many files a bundle may have.
pub const BUNDLE_FILES_MAX: usize = 1_000;

/// A bundle's files: `bundle.toml`, `schema.cedarschema`, `policies/*.cedar`, `entities.json`, `mapping.toml`, `descriptors.binpb` and
/// `tests/*.yaml`, which is no part of what is decided with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BundleSource {
    /// The text of each file, by its path with `/` between folders; that of `descriptors.binpb`, which is no text, in Base64.
    pub files: BTreeMap<String, String>,
}

impl BundleSource {
    /// Adds a file as it is in a folder.
    ///
    /// # Errors
    /// When it should be a text and is not UTF-8.
    pub fn add(&mut self, path: &str, content: Vec<u8>) -> Result<(), Utf8Error> {
        let text = if path == descriptors::PATH {
            STANDARD.encode(content)
        } else {
            String::from_utf8(content).map_err(|error| error.utf8_error())?
        };
        self.files.insert(path.to_owned(), text);
        Ok(())
    }

    /// The files of tests, in the order of their paths.
    pub fn tests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter(|(path, _)| is_test(path)).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// SHA-256 over paths and contents in the order of the paths, in hexadecimal: equal for equal bundles, whoever packs them.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (path, content) in &self.files {
            for part in [path, content] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part.as_bytes());
            }
        }
        hexadecimal(&hash.finalize())
    }

    /// What is wrong with a bundle of so many files: for whoever counts them before there is a bundle.
    pub fn count_problem(count: usize) -> Option<Problem> {
        (count > BUNDLE_FILES_MAX).then(|| {
            let message = format!("the bundle has {count} files; at most {BUNDLE_FILES_MAX} are accepted");
            Problem::of_file("bundle.toml", "too_many_files", message)
        })
    }

    /// Checks size, number and names of the files, before anything reads them.
    ///
    /// # Errors
    /// With every problem.
    pub fn check_limits(&self) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        let bytes: usize = self.files.values().map(String::len).sum();
        if bytes > BUNDLE_BYTES_MAX {
            let message = format!("the bundle has {bytes} bytes; at most {BUNDLE_BYTES_MAX} are accepted");
            problems.push(Problem::of_file("bundle.toml", "bundle_too_large", message));
        }
        problems.extend(Self::count_problem(self.files.len()));
        for (path, text) in &self.files {
            // Cedar and YAML have it in comments, PostgreSQL in no text.
            if text.contains('\0') {
                let message = "a text has no NUL character";
                problems.push(Problem::of_file(path, "nul_character", message));
            }
            if !is_known(path) {
                problems.push(Problem::of_file(path, "unknown_file", "a bundle has no such file").with_help(
                    "a bundle has bundle.toml, schema.cedarschema, policies/*.cedar, entities.json, mapping.toml, descriptors.binpb and tests/*.yaml",
                ));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// Whether a path is that of a file of tests.
pub(crate) fn is_test(path: &str) -> bool {
    is_below(path, "tests/", ".yaml")
}

/// Whether a path is that of a file in a folder or below it, whose name ends so.
fn is_below(path: &str, folder: &str, ending: &str) -> bool {
    path.strip_prefix(folder).and_then(|name| name.strip_suffix(ending)).is_some_and(|name| {
        name.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains(char::is_control))
    })
}

fn is_known(path: &str) -> bool {
    is_below(path, "policies/", ".cedar")
        || is_test(path)
        || matches!(path, "bundle.toml" | "schema.cedarschema" | "entities.json" | "mapping.toml" | descriptors::PATH)
}

/// Bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
