//! A bundle's folder, read within the limits of an upload.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use chaperone_policy::{BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX, BundleSource, Problem};

use crate::cli::failure::Failure;
use crate::cli::files;

/// The signature of the bundle that stands beside it. It is no part of the bundle.
pub const SIGNATURE: &str = "bundle.sig";
/// How deep folders below `policies` may nest.
const DEPTH_MAX: usize = 16;
/// How many names are looked at before a folder counts as the wrong one.
const NAMES_MAX: usize = 10_000;

/// What a folder holds.
#[derive(Debug, Default)]
pub struct SourceDir {
    /// The bundle's files.
    pub source: BundleSource,
    /// Its signature, as it is written; empty where there is none.
    pub signature: String,
    /// Files that cannot be part of a bundle.
    pub problems: Vec<Problem>,
    /// What was left out on purpose.
    pub notes: Vec<String>,
}

/// Reads the bundle in `folder`: every file that a bundle may have, and a problem for what else is where those belong.
///
/// `README.md`, hidden names beside the bundle's files, and what in `tests` is no YAML are left out with a note. A symbolic link is followed only
/// when it stays inside the folder (as the links of a Kubernetes ConfigMap volume do), so that a bundle never carries a file
/// from elsewhere.
///
/// # Errors
/// `Input` when the folder cannot be read or is beyond the limits.
pub fn read(folder: &Path) -> Result<SourceDir, Failure> {
    let root = folder.canonicalize().map_err(|error| unreadable(folder, &error))?;
    let mut reader = Reader { root: root.clone(), bytes: 0, names: 0, found: SourceDir::default() };
    reader.folder(&root, "", 0)?;
    Ok(reader.found)
}

struct Reader {
    root: PathBuf,
    bytes: u64,
    names: usize,
    found: SourceDir,
}

impl Reader {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), Failure> {
        if depth > DEPTH_MAX {
            return Err(Failure::Input(format!("`{}` nests deeper than {DEPTH_MAX} folders", self.root.display())));
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
            entries.push(entry.map_err(|error| unreadable(folder, &error))?);
            self.names += 1;
            if self.names > NAMES_MAX {
                let shown = self.root.display();
                return Err(Failure::Input(format!(
                    "`{shown}` holds more than {NAMES_MAX} names: is it a bundle's folder?"
                )));
            }
        }
        // In the order of names, so that the same folder gives the same output everywhere.
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            self.entry(&entry, prefix, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &DirEntry, prefix: &str, depth: usize) -> Result<(), Failure> {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let path = format!("{prefix}{}", name.display());
            self.problem(&path, "unknown_file", "the file's name is not UTF-8");
            return Ok(());
        };
        let path = format!("{prefix}{name}");
        if prefix.is_empty() && name.starts_with('.') || name == "README.md" {
            self.found.notes.push(format!("left out: {path}"));
            return Ok(());
        }
        let target = match entry.path().canonicalize() {
            Ok(target) if target.starts_with(&self.root) => target,
            Ok(_) => {
                self.problem(&path, "link_outside", "the link leads out of the bundle's folder");
                return Ok(());
            }
            Err(error) => {
                self.problem(&path, "unreadable_file", &format!("the file cannot be read: {error}"));
                return Ok(());
            }
        };
        let metadata = fs::metadata(&target).map_err(|error| unreadable(&target, &error))?;
        if metadata.is_dir() {
            if ["policies", "tests"].iter().any(|known| path == *known || prefix.starts_with(&format!("{known}/"))) {
                return self.folder(&target, &format!("{path}/"), depth + 1);
            }
            self.problem(&path, "unknown_file", "a bundle has no such folder");
        } else if prefix.starts_with("tests/") && Path::new(name).extension() != Some("yaml".as_ref()) {
            // What the tests of others, or scripts beside them, need.
            self.found.notes.push(format!("left out: {path}"));
        } else if metadata.is_file() && path == SIGNATURE {
            self.found.signature = files::read_text(&target, files::SMALL_BYTES_MAX)?;
        } else if metadata.is_file() {
            self.file(&target, &path)?;
        } else {
            // Reading a pipe or a device might never end.
            self.problem(&path, "unknown_file", "this is not a regular file");
        }
        Ok(())
    }

    fn file(&mut self, target: &Path, path: &str) -> Result<(), Failure> {
        let limit = BUNDLE_BYTES_MAX as u64;
        if self.found.source.files.len() >= BUNDLE_FILES_MAX {
            let shown = self.root.display();
            return Err(Failure::Input(format!(
                "`{shown}` holds more than {BUNDLE_FILES_MAX} files, the most that a bundle may have"
            )));
        }
        let too_large = || {
            let shown = self.root.display();
            Failure::Input(format!(
                "`{shown}` holds more than {BUNDLE_BYTES_MAX} bytes (8 MiB), the most that a bundle may have; `{path}` is one too many"
            ))
        };
        let size = fs::metadata(target).map_err(|error| unreadable(target, &error))?.len();
        if self.bytes.saturating_add(size) > limit {
            return Err(too_large());
        }
        let content = files::read(target, limit)?;
        // The file may have grown since its size was asked for.
        self.bytes = self.bytes.saturating_add(content.len() as u64);
        if self.bytes > limit {
            return Err(too_large());
        }
        if let Err(error) = self.found.source.add(path, content) {
            let place = error.valid_up_to();
            self.problem(path, "not_utf8", &format!("the file is not UTF-8 text (at byte {place})"));
        }
        Ok(())
    }

    fn problem(&mut self, path: &str, code: &'static str, message: &str) {
        self.found.problems.push(Problem::of_file(path, code, message));
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Input(format!("cannot read `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, content).expect("written");
        }
        folder
    }

    fn codes(found: &SourceDir) -> Vec<(&str, &str)> {
        found.problems.iter().map(|problem| (problem.file.as_str(), problem.code)).collect()
    }

    #[test]
    fn files_of_a_bundle_are_read_and_papers_beside_them_left_out() {
        let folder = folder_with(&[
            ("schema.cedarschema", b"entity A;"),
            ("policies/a.cedar", b"permit (principal, action, resource);"),
            ("policies/team/b.cedar", b"b"),
            ("README.md", b"hello"),
            ("policies/README.md", b"hello"),
            ("tests/case.yaml", b"x"),
            ("tests/more/case.yaml", b"x"),
            ("tests/data.json", b"x"),
            (".git/HEAD", b"x"),
        ]);
        let found = read(folder.path()).expect("it reads");
        let paths: Vec<&str> = found.source.files.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "policies/a.cedar",
                "policies/team/b.cedar",
                "schema.cedarschema",
                "tests/case.yaml",
                "tests/more/case.yaml"
            ]
        );
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        assert_eq!(
            found.notes,
            ["left out: .git", "left out: README.md", "left out: policies/README.md", "left out: tests/data.json"]
        );
    }

    #[test]
    fn unknown_file_is_kept_for_the_limits_to_refuse() {
        let folder = folder_with(&[("policies/a.cedar.bak", b"x"), ("policies/.hidden", b"x"), ("schema.json", b"{}")]);
        let found = read(folder.path()).expect("it reads");
        let problems = found.source.check_limits().expect_err("they are unknown");
        assert_eq!(problems.len(), 3);
        assert!(problems.iter().all(|problem| problem.code == "unknown_file"));
    }

    #[test]
    fn unknown_folder_and_binary_file_are_problems() {
        let folder = folder_with(&[("data/x.cedar", b"x"), ("mapping.toml", b"ok \xff")]);
        let found = read(folder.path()).expect("it reads");
        assert_eq!(codes(&found), [("data", "unknown_file"), ("mapping.toml", "not_utf8")]);
    }

    #[cfg(unix)]
    #[test]
    fn link_is_followed_inside_the_folder_only() {
        use std::os::unix::fs::symlink;
        let elsewhere = folder_with(&[("secret.cedar", b"x")]);
        // As a ConfigMap volume lays it out.
        let folder = folder_with(&[("..2026/a.cedar", b"a"), ("..2026/schema.cedarschema", b"s")]);
        symlink("..2026", folder.path().join("..data")).expect("linked");
        symlink("..data/schema.cedarschema", folder.path().join("schema.cedarschema")).expect("linked");
        fs::create_dir(folder.path().join("policies")).expect("made");
        symlink("../..data/a.cedar", folder.path().join("policies/a.cedar")).expect("linked");
        symlink(elsewhere.path().join("secret.cedar"), folder.path().join("policies/b.cedar")).expect("linked");
        symlink("nowhere", folder.path().join("policies/c.cedar")).expect("linked");
        let found = read(folder.path()).expect("it reads");
        let paths: Vec<&str> = found.source.files.keys().map(String::as_str).collect();
        assert_eq!(paths, ["policies/a.cedar", "schema.cedarschema"]);
        assert_eq!(codes(&found), [("policies/b.cedar", "link_outside"), ("policies/c.cedar", "unreadable_file")]);
    }

    #[cfg(unix)]
    #[test]
    fn folder_that_contains_itself_ends() {
        let folder = folder_with(&[("policies/a.cedar", b"a")]);
        std::os::unix::fs::symlink(".", folder.path().join("policies/again")).expect("linked");
        assert!(read(folder.path()).is_err());
    }

    #[test]
    fn folder_beyond_the_limit_is_refused() {
        let half = vec![b' '; BUNDLE_BYTES_MAX / 2 + 1];
        let folder = folder_with(&[("policies/a.cedar", &half), ("policies/b.cedar", &half)]);
        let error = read(folder.path()).expect_err("it is too large").to_string();
        assert!(error.contains("8388608") && error.contains("policies/b.cedar"), "{error}");
        assert!(read(Path::new("/does/not/exist")).is_err());
    }
}
