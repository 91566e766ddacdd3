//! `chaperone bundle init`: a good first bundle.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::output::{self, GOOD, STRONG, paint, plain};

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone bundle init ./bundle
  chaperone dev --bundle ./bundle

Nothing that is there is overwritten.

Exit codes: 0 written, 2 something is there already, or cannot be written.";

/// The files, each with its text.
const FILES: [(&str, &str); 7] = [
    ("bundle.toml", include_str!("first/bundle.toml")),
    ("schema.cedarschema", include_str!("first/schema.cedarschema")),
    ("policies/documents.cedar", include_str!("first/policies/documents.cedar")),
    ("policies/egress.cedar", include_str!("first/policies/egress.cedar")),
    ("entities.json", include_str!("first/entities.json")),
    ("mapping.toml", include_str!("first/mapping.toml")),
    ("tests/main.yaml", include_str!("first/tests/main.yaml")),
];

/// Arguments of `bundle init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Folder to write the bundle into
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

impl InitArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// `Input` when a file is there already, or cannot be written.
    pub fn run(self) -> Result<(), Failure> {
        // Nothing is written where something could not be. Policies that are there would be part of the bundle.
        let mut names = FILES.iter().map(|(path, _)| path.split('/').next().unwrap_or(path));
        if let Some(name) = names.find(|name| self.folder.join(name).symlink_metadata().is_ok()) {
            let path = self.folder.join(name);
            let advice = "choose another folder, such as `chaperone bundle init ./bundle`";
            return Err(Failure::Input(format!("`{}` is there already; {advice}", path.display())));
        }
        for (path, text) in FILES {
            let path = self.folder.join(path);
            write(&path, text)
                .map_err(|error| Failure::Input(format!("cannot write `{}`: {error}", path.display())))?;
        }
        output::print(&self.what_next())
    }

    fn what_next(&self) -> String {
        let folder = plain(&self.folder.display().to_string());
        let commands = [
            ("bundle validate", "what the server would refuse"),
            ("bundle lint", "what is valid and hardly meant"),
            ("bundle fmt", "one spelling for all policies"),
            ("bundle test", "whether requests come out as expected"),
            ("dev --bundle", "a server to try it out"),
        ];
        let lines = commands.map(|(command, what)| {
            format!("  {}  # {what}\n", paint(STRONG, &format!("chaperone {command} {folder}")))
        });
        format!("{} a first bundle to {folder}\n\n{}", paint(GOOD, "wrote"), lines.concat())
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create_new(true).write(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use chaperone_policy::{Bundle, BundleSource, format_policies, lint};

    use super::*;

    #[test]
    fn first_bundle_is_valid_formatted_and_has_no_findings() {
        let mut source = BundleSource::default();
        for (path, text) in FILES {
            source.add(path, text.into()).expect("UTF-8");
            if path.starts_with("policies/") {
                assert_eq!(format_policies(path, text).as_deref(), Ok(text), "{path}");
            }
        }
        let bundle = Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert!(bundle.policy_ids().count() >= 4);
        assert_eq!(lint(&source), Ok(Vec::new()));
    }

    #[test]
    fn what_is_there_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let init = || InitArgs { folder: folder.path().join("new") };
        init().run().expect("written");
        fs::write(folder.path().join("new/bundle.toml"), "mine").expect("written");
        assert!(init().run().is_err());
        assert_eq!(fs::read_to_string(folder.path().join("new/bundle.toml")).expect("read"), "mine");
        let other = folder.path().join("other");
        fs::create_dir_all(other.join("policies")).expect("a folder");
        assert!(InitArgs { folder: other.clone() }.run().is_err());
        assert!(!other.join("bundle.toml").exists(), "nothing is written where something could not be");
    }
}
