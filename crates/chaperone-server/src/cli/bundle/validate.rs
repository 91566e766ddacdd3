//! `chaperone bundle validate`, and the reading that `push` shares with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chaperone_api::chaperone::v1::Problem;
use chaperone_policy::{Bundle, BundleSource};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::source_dir;
use crate::bundle_tests;
use crate::cli::failure::{Failure, Verdict};
use crate::cli::output::{self, GOOD, paint};
use crate::cli::problems::{ProblemJson, from_local};

/// How the findings are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Findings {
    /// For people, on standard error.
    #[value(alias = "table")]
    Text,
    /// For programs, on standard output.
    Json,
}

/// Arguments of `bundle validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The bundle's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t = Findings::Text)]
    output: Findings,
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
        if self.output == Findings::Json {
            let problems = problems.iter().map(ProblemJson::from).collect();
            output::print_json(&FindingsJson { valid, digest, policy_count, problems })?;
            return Ok(if valid { Verdict::Yes } else { Verdict::No });
        }
        if !valid {
            return Err(Failure::Invalid { place: self.folder.display().to_string(), problems });
        }
        let good = paint(GOOD, "the bundle is valid");
        output::print(&format!("{good}: {policy_count} policies, digest {digest}\n"))?;
        Ok(Verdict::Yes)
    }
}

/// Reads a folder to send it: names and sizes are checked here, the rest by the server that will decide with it.
///
/// # Errors
/// As [`ValidateArgs::run`].
pub fn read(folder: &Path) -> Result<BundleSource, Failure> {
    let found = source_dir::read(folder)?;
    leave_notes(&found.notes);
    let mut problems = found.problems;
    problems.extend(found.source.check_limits().err().unwrap_or_default());
    if problems.is_empty() {
        return Ok(found.source);
    }
    Err(Failure::invalid(folder.display(), problems))
}

/// Reads and compiles a folder, to look at what the bundle makes of things.
///
/// # Errors
/// As [`ValidateArgs::run`].
pub fn compile_folder(folder: &Path) -> Result<Bundle, Failure> {
    let source = read(folder)?;
    Bundle::compile(&source).map_err(|problems| Failure::invalid(folder.display(), problems))
}

fn leave_notes(notes: &[String]) {
    for text in notes {
        output::note(&format!("note: {}", output::plain(text)));
    }
}
