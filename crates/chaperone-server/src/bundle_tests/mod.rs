//! Tests of a bundle: its `tests/*.yaml`, run on the bundle alone, without a store, a clock or a network.
//!
//! A test is a session as it is before, steps that ask something at times of its own, and what is expected of each. The decisions are those
//! that a server makes: the same mapping, the same [`Judge`](crate::pdp::Judge). An upload runs what strangers wrote, so that everything here
//! has a limit, and what is over one fails.

mod acts;
mod asked;
mod deciding;
mod expectation;
mod fields;
mod placeholders;
mod play;
mod remembered;
mod suite;
mod values;
mod world;
mod yaml;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chaperone_policy::{Bundle, BundleNumber, BundleSource, Coverage, Problem};

use self::suite::Suite;
use crate::replica::Snapshot;

/// How many steps the tests of a bundle may have together, each row of a table counted; a test has at least one.
pub const STEPS_MAX: usize = 10_000;
/// How long the tests of a bundle may take when it is uploaded.
pub const UPLOAD_TIME_MAX: Duration = Duration::from_secs(10);
/// How many problems an upload is told of.
const PROBLEMS_MAX: usize = 100;

/// The code of a file or a test that cannot be read.
const SYNTAX: &str = "test_syntax";
/// The code of a test that does not come true.
const FAILED: &str = "test_failed";
/// The code of tests that are more than may be, or take longer.
const LIMIT: &str = "test_limit";
/// What stands for the session's handle in headers.
const SESSION: &str = "session";

/// Which tests are run, and how.
#[derive(Debug, Default)]
pub struct Options<'a> {
    /// Only those in whose file or name this is.
    pub filter: Option<&'a str>,
    /// Where it is noted what they meet of the policies.
    pub coverage: Option<Rc<Coverage>>,
    /// For how long at most.
    pub time_max: Option<Duration>,
}

/// What came of the tests of a bundle.
#[derive(Debug, Default)]
pub struct Tested {
    /// Each test that was run, by file and in the order of the text.
    pub cases: Vec<Case>,
    /// What is wrong beside: files that cannot be read, and limits.
    pub problems: Vec<Problem>,
}

/// What came of one test.
#[derive(Debug)]
pub struct Case {
    /// The file that it stands in.
    pub file: String,
    /// Its name, with the row of its table.
    pub name: String,
    /// The line that it begins in.
    pub line: u32,
    /// How many steps were made.
    pub steps: usize,
    /// What is not as it should be; nothing where it passed.
    pub problems: Vec<Problem>,
}

/// Why tests are not gone on with.
#[derive(Debug)]
enum Stop {
    /// This is wrong.
    Problem(Box<Problem>),
    /// The time is over.
    Time,
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl Tested {
    /// Whether every test passed.
    pub fn passed(&self) -> bool {
        self.problems.is_empty() && self.cases.iter().all(|case| case.problems.is_empty())
    }

    /// How many tests failed.
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| !case.problems.is_empty()).count()
    }

    /// The first problems, of files and tests.
    pub fn into_problems(self) -> Vec<Problem> {
        let of_cases = self.cases.into_iter().flat_map(|case| case.problems);
        self.problems.into_iter().chain(of_cases).take(PROBLEMS_MAX).collect()
    }
}

/// Runs the tests among a bundle's files. `bundle` was compiled from them.
pub fn run(source: &BundleSource, bundle: Arc<Bundle>, options: &Options<'_>) -> Tested {
    let started = Instant::now();
    let is_over = || options.time_max.is_some_and(|most| started.elapsed() >= most);
    let entities = bundle.own_entities().clone();
    let number = BundleNumber::new(1);
    let digest = source.digest().into();
    let snapshot = Arc::new(Snapshot { number, digest, bundle, entities, mark: Arc::default() });
    let mut tested = Tested::default();
    let mut steps = 0;
    for (file, text) in source.tests() {
        let mut suite = Suite { file, text, snapshot: &snapshot, options, is_over: &is_over, steps: &mut steps };
        match suite.run(&mut tested.cases) {
            Ok(()) => {}
            Err(Stop::Problem(problem)) if problem.code == LIMIT => {
                tested.problems.push(*problem);
                break;
            }
            Err(Stop::Problem(problem)) => tested.problems.push(*problem),
            Err(Stop::Time) => {
                let most = options.time_max.unwrap_or_default();
                let message = format!("the tests take longer than {} s", most.as_secs());
                tested.problems.push(Problem::of_file(file, LIMIT, message));
                break;
            }
        }
    }
    tested
}

/// The problems of a bundle's tests, as an upload is refused with them: within [`UPLOAD_TIME_MAX`].
pub fn problems(source: &BundleSource, bundle: Arc<Bundle>) -> Vec<Problem> {
    if source.tests().next().is_none() {
        return Vec::new();
    }
    run(source, bundle, &Options { time_max: Some(UPLOAD_TIME_MAX), ..Options::default() }).into_problems()
}

#[cfg(test)]
mod tests;
