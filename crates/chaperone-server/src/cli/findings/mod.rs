//! What commands find in a bundle's folder, in the forms that people, programs and reviews read.

mod github;
mod sarif;

use std::path::{Path, PathBuf};

use anstyle::Style;
use chaperone_api::chaperone::v1::Problem;
use chaperone_policy::Lint;
use clap::ValueEnum;

use super::failure::Failure;
use super::output::{self, BAD, WARN};
use super::problems;

/// How findings are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum FindingsFormat {
    /// For people.
    #[value(alias = "table")]
    Text,
    /// For programs, on standard output.
    Json,
    /// SARIF 2.1.0, on standard output: for code scanning and editors.
    Sarif,
    /// Workflow commands, on standard output: GitHub shows them beside the lines of a pull request.
    Github,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// The server would refuse the bundle.
    Error,
    /// It is valid, and hardly meant.
    Warning,
}

impl Severity {
    /// A stable name, which SARIF and GitHub share.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }

    /// How it is shown.
    pub const fn style(self) -> Style {
        match self {
            Self::Error => BAD,
            Self::Warning => WARN,
        }
    }
}

/// All that was found in one folder.
#[derive(Clone, Copy, Debug)]
pub struct Findings<'a> {
    /// The bundle's folder.
    pub folder: &'a Path,
    /// How bad all of it is.
    pub severity: Severity,
    /// What was found, in order.
    pub problems: &'a [Problem],
    /// What there was to be found, where that is known.
    pub lints: &'a [Lint],
}

impl Findings<'_> {
    /// Prints them for people.
    ///
    /// # Errors
    /// When they cannot be printed.
    pub fn print_text(&self) -> Result<(), Failure> {
        output::print(&problems::render(self.problems, &self.folder.display().to_string(), self.severity))
    }

    /// Prints them as SARIF.
    ///
    /// # Errors
    /// When they cannot be printed.
    pub fn print_sarif(&self) -> Result<(), Failure> {
        output::print_json(&sarif::document(self))
    }

    /// Prints them as commands of a GitHub workflow.
    ///
    /// # Errors
    /// When they cannot be printed.
    pub fn print_github(&self) -> Result<(), Failure> {
        output::print_raw(github::commands(self).as_bytes())
    }

    /// Where a file of the bundle is, from here if the folder is below: what a program reads of it is a place in the checkout.
    fn path(&self, file: &str) -> PathBuf {
        let here = std::env::current_dir().unwrap_or_default();
        let folder = self.folder.strip_prefix(&here).unwrap_or(self.folder);
        folder.components().filter(|part| *part != std::path::Component::CurDir).collect::<PathBuf>().join(file)
    }
}
