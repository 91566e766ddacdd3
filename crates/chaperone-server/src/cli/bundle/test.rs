//! `chaperone bundle test`: runs the tests of a bundle's folder, without a server.

mod coverage;
mod junit;
mod view;
mod watch;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use chaperone_policy::{Bundle, Coverage};
use clap::Args;

use self::view::TestedJson;
use self::watch::Watched;
use super::validate;
use crate::bundle_tests::{self, Options, Tested};
use crate::cli::failure::{Failure, Verdict};
use crate::cli::output::{self, Format};

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone bundle test ./bundle
  chaperone bundle test ./bundle --filter exports --watch
  chaperone bundle test ./bundle --coverage --junit tests.xml

docs/testing.md says how tests are written. An upload runs the same ones.

Exit codes: 0 all passed, 1 some failed (or the bundle has problems), 2 they could not be run, or there are none.";

/// Arguments of `bundle test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The bundle's folder
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Only the tests in whose file or name this is
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Run them again whenever a file changes, until it is interrupted
    #[arg(long)]
    watch: bool,
    /// Say which policies and conditions no test has met
    #[arg(long)]
    coverage: bool,
    /// Write the results as JUnit XML into this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How to print the results
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

impl TestArgs {
    /// Runs the command: yes where every test passed.
    ///
    /// # Errors
    /// As they come; `Input` also where there is nothing to run.
    pub async fn run(self) -> Result<Verdict, Failure> {
        if !self.watch {
            return self.run_once();
        }
        let mut watched = Watched::new(&self.folder);
        loop {
            match self.run_once() {
                Ok(_) => {}
                // Whoever reads has left.
                Err(Failure::ReaderGone) => return Ok(Verdict::Yes),
                // What is wrong now may be put right by the next change.
                Err(failure) => output::complain(&failure.render()),
            }
            output::note(&format!("waiting for changes in {}", output::plain(&self.folder.display().to_string())));
            watched.changed().await;
        }
    }

    fn run_once(&self) -> Result<Verdict, Failure> {
        let source = validate::read(&self.folder)?;
        let bundle = Bundle::compile(&source).map_err(|problems| Failure::invalid(self.folder.display(), problems))?;
        let bundle = Arc::new(bundle);
        let coverage = self.coverage.then(|| Coverage::new(&source, &bundle)).transpose();
        let coverage = coverage.map_err(|problems| Failure::invalid(self.folder.display(), problems))?.map(Rc::new);
        let options = Options { filter: self.filter.as_deref(), coverage: coverage.clone(), ..Options::default() };
        let tested = bundle_tests::run(&source, bundle, &options);
        if tested.cases.is_empty() && tested.problems.is_empty() {
            return Err(Failure::Input(self.nothing_to_run()));
        }
        if let Some(path) = &self.junit {
            write(path, &junit::document(&tested))?;
        }
        let policies = coverage.map(|coverage| coverage.policies());
        match self.output {
            Format::Json => output::print_json(&TestedJson::new(&tested, policies.as_deref()))?,
            Format::Table => {
                let shown = view::render(&tested, &self.folder.display().to_string());
                output::print(&format!("{shown}{}", policies.map(|met| coverage::render(&met)).unwrap_or_default()))?;
            }
        }
        Ok(verdict(&tested))
    }

    /// A green result of nothing would be believed.
    fn nothing_to_run(&self) -> String {
        match &self.filter {
            Some(filter) => format!("no test of `{}` has `{filter}` in its name or file", self.folder.display()),
            None => format!("`{}` has no tests: they are in tests/*.yaml", self.folder.display()),
        }
    }
}

fn verdict(tested: &Tested) -> Verdict {
    if tested.passed() { Verdict::Yes } else { Verdict::No }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::Input(format!("`{}` cannot be written: {error}", path.display())))
}
