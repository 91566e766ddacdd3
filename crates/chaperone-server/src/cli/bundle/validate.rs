//! `chaperone bundle validate`, and the reading that `push` shares with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chaperone_api::chaperone::v1::Problem;
use chaperone_policy::{Bundle, BundleSource};
use clap::Args;
use serde::Serialize;

use super::source_dir;
use crate::bundle_tests;
use crate::cli::failure::{Failure, Verdict};
use crate::cli::findings::{Findings, FindingsFormat, Severity};
use crate::cli::output::{self, GOOD, paint};
use crate::cli::problems::{ProblemJson, from_local};

/// Arguments of `bundle validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
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
    digest: String,
    policy_count: usize,
    problems: Vec<ProblemJson<'a>>,
}

impl ValidateArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// `Invalid` for a bundle with problems, `Input` for one that cannot be read.
    pub fn run(self) -> Result<Verdict, Failure> {
        let found = source_dir::read(&self.folder)?;
        leave_notes(&found.notes);
        // Problems of the folder do not hide those of the files that could be read.
        let mut problems = found.problems;
        let compiled = Bundle::compile(&found.source);
        let policy_count = compiled.as_ref().map_or(0, Bundle::policy_count);
        problems.extend(match compiled {
            // As an upload does it.
            Ok(bundle) => bundle_tests::problems(&found.source, Arc::new(bundle)),
            Err(problems) => problems,
        });
        let valid = problems.is_empty();
        let problems: Vec<Problem> = problems.into_iter().map(from_local).collect();
        let digest = found.source.digest();
        let (folder, severity) = (self.folder.as_path(), Severity::Error);
        let findings = Findings { folder, severity, problems: &problems, lints: &[] };
        match self.output {
            FindingsFormat::Json => {
                let problems = problems.iter().map(ProblemJson::from).collect();
                output::print_json(&FindingsJson { valid, digest, policy_count, problems })?;
            }
            FindingsFormat::Sarif => findings.print_sarif()?,
            FindingsFormat::Github => findings.print_github()?,
            FindingsFormat::Text if valid => {
                let good = paint(GOOD, "the bundle is valid");
                output::print(&format!("{good}: {policy_count} policies, digest {digest}\n"))?;
            }
            FindingsFormat::Text => {
                return Err(Failure::Invalid { place: self.folder.display().to_string(), problems });
            }
        }
        Ok(if valid { Verdict::Yes } else { Verdict::No })
    }
}

/// Reads a folder to send it: names and sizes are checked here, the rest by the server that will decide with it.
///
/// # Errors
/// As [`ValidateArgs::run`].
pub fn read(folder: &Path) -> Result<BundleSource, Failure> {
    read_signed(folder).map(|(source, _)| source)
}

/// As [`read`], with the signature that stands beside the bundle; empty where there is none.
///
/// # Errors
/// As [`ValidateArgs::run`].
pub fn read_signed(folder: &Path) -> Result<(BundleSource, String), Failure> {
    let found = source_dir::read(folder)?;
    leave_notes(&found.notes);
    let mut problems = found.problems;
    problems.extend(found.source.check_limits().err().unwrap_or_default());
    if problems.is_empty() {
        return Ok((found.source, found.signature));
    }
    Err(Failure::invalid(folder.display(), problems))
}

/// Reads and compiles a folder, to look at what the bundle makes of things.
///
/// # Errors
/// As [`ValidateArgs::run`].
pub fn compile_folder(folder: &Path) -> Result<Bundle, Failure> {
    compile(folder, &read(folder)?)
}

/// Reads a folder that compiles.
///
/// # Errors
/// As [`ValidateArgs::run`].
pub fn compiled_source(folder: &Path) -> Result<BundleSource, Failure> {
    let source = read(folder)?;
    compile(folder, &source).map(|_| source)
}

fn compile(folder: &Path, source: &BundleSource) -> Result<Bundle, Failure> {
    Bundle::compile(source).map_err(|problems| Failure::invalid(folder.display(), problems))
}

/// Tells what was left out of a folder.
pub fn leave_notes(notes: &[String]) {
    for text in notes {
        output::note(&format!("note: {}", output::plain(text)));
    }
}
