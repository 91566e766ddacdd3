//! `chaperone bundle fmt`: policies in one spelling.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chaperone_policy::{DiffPart, Difference, format_policies};
use clap::Args;
use tempfile::NamedTempFile;

use super::{diff, source_dir, validate};
use crate::cli::failure::{Failure, Verdict};
use crate::cli::output;

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone bundle fmt ./bundle
  chaperone bundle fmt ./bundle --check          # in a pipeline
  chaperone bundle fmt ./bundle --check --diff

Policies get the white space that Cedar's formatter gives them, with their comments, and mean what they meant. The schema is left as
it is: Cedar has no formatter for it that keeps comments.

Exit codes: 0 done, or nothing to do, 1 with --check something would change, or the policies have problems, 2 it could not be read or written.";

/// Arguments of `bundle fmt`.
#[derive(Debug, Args)]
pub struct FmtArgs {
    /// The bundle's folder
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Change nothing, and say what would change
    #[arg(long)]
    check: bool,
    /// Show what changes
    #[arg(long)]
    diff: bool,
}

impl FmtArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// `Invalid` when there are policies that cannot be read: then none is changed. `Input` for files that cannot be read or written.
    pub fn run(self) -> Result<Verdict, Failure> {
        let found = source_dir::read(&self.folder)?;
        validate::leave_notes(&found.notes);
        let mut problems = found.problems;
        let mut changes = Vec::new();
        for (path, before) in found.source.files.into_iter().filter(|(path, _)| path.starts_with("policies/")) {
            match format_policies(&path, &before) {
                Ok(after) if after == before => {}
                Ok(after) => changes.push(Difference {
                    part: DiffPart::File,
                    name: path,
                    before: Some(before),
                    after: Some(after),
                }),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(Failure::invalid(self.folder.display(), problems));
        }
        self.apply(&changes)
    }

    fn apply(&self, changes: &[Difference]) -> Result<Verdict, Failure> {
        for change in changes {
            let path = self.folder.join(&change.name);
            if self.diff {
                output::print(&diff::shown(change))?;
            }
            if !self.check {
                let text = change.after.as_deref().unwrap_or_default();
                replace(&path, text)
                    .map_err(|error| Failure::Input(format!("cannot write `{}`: {error}", path.display())))?;
            }
            let what = if self.check { "would be formatted" } else { "formatted" };
            output::note(&format!("{what}: {}", output::plain(&path.display().to_string())));
        }
        Ok(if self.check && !changes.is_empty() { Verdict::No } else { Verdict::Yes })
    }
}

/// Puts a text in a file's place, so that nobody ever sees half of it. A link keeps leading to the file.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = path.canonicalize()?;
    let mut file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(path.metadata()?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const UNEVEN: &str = "@id(\"a\")\npermit(principal,action,resource);\n";

    fn bundle() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("policies")).expect("a folder");
        fs::write(folder.path().join("policies/a.cedar"), UNEVEN).expect("written");
        folder
    }

    fn fmt(folder: &Path, check: bool) -> Result<Verdict, Failure> {
        FmtArgs { folder: folder.to_owned(), check, diff: false }.run()
    }

    #[test]
    fn file_is_formatted_once_and_keeps_its_mode_and_its_link() {
        let folder = bundle();
        let path = folder.path().join("policies/a.cedar");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        symlink(&path, folder.path().join("policies/b.cedar")).expect("a link");
        assert!(matches!(fmt(folder.path(), true), Ok(Verdict::No)));
        assert_eq!(fs::read_to_string(&path).expect("read"), UNEVEN);
        assert!(matches!(fmt(folder.path(), false), Ok(Verdict::Yes)));
        assert_eq!(fs::read_to_string(&path).expect("read"), "@id(\"a\")\npermit (principal, action, resource);\n");
        assert_eq!(fs::metadata(&path).expect("read").permissions().mode() & 0o777, 0o640);
        assert!(folder.path().join("policies/b.cedar").symlink_metadata().expect("read").is_symlink());
        assert!(matches!(fmt(folder.path(), true), Ok(Verdict::Yes)));
    }

    #[test]
    fn nothing_is_changed_where_a_file_has_problems() {
        let folder = bundle();
        fs::write(folder.path().join("policies/z.cedar"), "permit (").expect("written");
        assert!(matches!(fmt(folder.path(), false), Err(Failure::Invalid { .. })));
        assert_eq!(fs::read_to_string(folder.path().join("policies/a.cedar")).expect("read"), UNEVEN);
    }
}
