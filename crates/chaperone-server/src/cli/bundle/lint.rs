//! `chaperone bundle lint`: what is valid in a bundle, and hardly meant.

use std::path::PathBuf;

use chaperone_api::chaperone::v1::Problem;
use chaperone_policy::LINTS;
use clap::Args;
use serde::Serialize;

use super::{source_dir, validate};
use crate::cli::failure::{Failure, Verdict};
use crate::cli::findings::{Findings, FindingsFormat, Severity};
use crate::cli::output::{self, GOOD, paint};
use crate::cli::problems::{ProblemJson, from_local};

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone bundle lint ./bundle
  chaperone bundle lint ./bundle --output sarif > lint.sarif
  chaperone bundle lint ./bundle --output github      # in a workflow

A finding that is meant is passed over with `@lint_allow(\"CODE\")` on the policy, or with `[lint] allow = [\"CODE\"]` in bundle.toml.

Exit codes: 0 nothing found, 1 findings, or a bundle with problems, 2 it could not be read.";

/// Arguments of `bundle lint`.
#[derive(Debug, Args)]
pub struct LintArgs {
    /// The bundle's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t = FindingsFormat::Text)]
    output: FindingsFormat,
}

#[derive(Debug, Serialize)]
struct FindingsJson<'a> {
    valid: bool,
    severity: &'static str,
    findings: Vec<ProblemJson<'a>>,
}

impl LintArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// `Invalid` for a bundle with problems, `Input` for one that cannot be read.
    pub fn run(self) -> Result<Verdict, Failure> {
        let found = source_dir::read(&self.folder)?;
        validate::leave_notes(&found.notes);
        let mut problems = found.problems;
        let linted = chaperone_policy::lint(&found.source);
        let (severity, found) = match linted {
            Ok(findings) if problems.is_empty() => (Severity::Warning, findings),
            // What is not valid is to be mended first.
            linted => {
                problems.extend(linted.err().unwrap_or_default());
                (Severity::Error, problems)
            }
        };
        self.tell(severity, found.into_iter().map(from_local).collect())
    }

    fn tell(&self, severity: Severity, problems: Vec<Problem>) -> Result<Verdict, Failure> {
        let findings = Findings { folder: &self.folder, severity, problems: &problems, lints: &LINTS };
        match self.output {
            FindingsFormat::Text if severity == Severity::Error => {
                return Err(Failure::Invalid { place: self.folder.display().to_string(), problems });
            }
            FindingsFormat::Text if problems.is_empty() => {
                output::print(&format!("{}\n", paint(GOOD, "nothing found")))?;
            }
            FindingsFormat::Text => findings.print_text()?,
            FindingsFormat::Sarif => findings.print_sarif()?,
            FindingsFormat::Github => findings.print_github()?,
            FindingsFormat::Json => output::print_json(&FindingsJson {
                valid: severity == Severity::Warning,
                severity: severity.as_str(),
                findings: problems.iter().map(ProblemJson::from).collect(),
            })?,
        }
        Ok(if problems.is_empty() { Verdict::Yes } else { Verdict::No })
    }
}
