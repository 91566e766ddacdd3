//! One file of tests: what they have in common, and each of them in turn.

use std::sync::Arc;

use chaperone_policy::Problem;

use super::expectation::Difference;
use super::fields::{Fields, Read, list, text};
use super::placeholders::Row;
use super::play::{Play, Stepped, with_entities};
use super::yaml::{self, Fault, Key, Node, Place, Value};
use super::{Case, FAILED, LIMIT, Options, STEPS_MAX, SYNTAX, Stop};
use crate::replica::Snapshot;

/// What a test may leave to its file.
const COMMON: [&str; 5] = ["at", "session", "state", "presenter", "entities"];
/// How much of a text a message shows, in characters.
const SHOWN_CHARS_MAX: usize = 400;

/// One file of tests, to be run.
pub struct Suite<'a> {
    /// Its path.
    pub file: &'a str,
    /// Its content.
    pub text: &'a str,
    /// What decides.
    pub snapshot: &'a Arc<Snapshot>,
    /// Which tests are run.
    pub options: &'a Options<'a>,
    /// Whether the time is over.
    pub is_over: &'a dyn Fn() -> bool,
    /// How many steps were made so far, in all files.
    pub steps: &'a mut usize,
}

/// What the tests of a file have in common.
struct Common {
    /// As it is written.
    shared: Node,
    /// With the entities that it has.
    snapshot: Arc<Snapshot>,
}

impl Suite<'_> {
    /// Runs the tests.
    ///
    /// # Errors
    /// When the file cannot be read, or a limit is reached.
    pub fn run(&mut self, cases: &mut Vec<Case>) -> Result<(), Stop> {
        let root = yaml::parse(self.file, self.text, self.is_over)?;
        let stop = |fault: Fault| Stop::from(fault.place.problem(self.file, self.text, SYNTAX, fault.message));
        let (shared, tests) = read(&root).map_err(stop)?;
        let snapshot = with_entities(shared.get("entities"), self.snapshot).map_err(stop)?;
        let common = Common { shared, snapshot };
        for test in tests {
            let Some(table) = test.get("table") else {
                self.run_case(&common, test, None, cases)?;
                continue;
            };
            let rows = list(table).map_err(stop)?;
            if rows.is_empty() {
                return Err(stop(table.fault("a table has at least one row")));
            }
            for row in rows {
                self.run_case(&common, test, Some(row), cases)?;
            }
        }
        Ok(())
    }

    /// Counts a step.
    ///
    /// # Errors
    /// When there are too many, or the time is over.
    fn count(&mut self, place: Place) -> Result<(), Stop> {
        if (self.is_over)() {
            return Err(Stop::Time);
        }
        *self.steps += 1;
        if *self.steps > STEPS_MAX {
            return Err(self.at(place, LIMIT, format!("the tests have more than {STEPS_MAX} steps")).into());
        }
        Ok(())
    }

    fn run_case(
        &mut self,
        common: &Common,
        test: &Node,
        row: Option<&Node>,
        cases: &mut Vec<Case>,
    ) -> Result<(), Stop> {
        let title = test.get("name").and_then(|name| text(name).ok()).unwrap_or("a test without a name");
        let row = row.map(Row::of).transpose();
        let row = row.map_err(|fault| self.at(fault.place, SYNTAX, fault.message))?;
        let name = match &row {
            Some(row) => format!("{title} [{}]", row.title()),
            None => title.to_owned(),
        };
        if self.options.filter.is_some_and(|filter| !name.contains(filter) && !self.file.contains(filter)) {
            return Ok(());
        }
        self.count(test.place)?;
        let line = u32::try_from(test.get("name").unwrap_or(test).place.line).unwrap_or(u32::MAX);
        let mut case = Case { file: self.file.to_owned(), name, line, steps: 0, problems: Vec::new() };
        let stopped = match self.prepare(common, test, row.as_ref()) {
            Ok((test, mut play)) => self.play(&test, &mut play, &mut case),
            Err(fault) => {
                case.problems.push(self.named(&case.name, &fault));
                Ok(())
            }
        };
        cases.push(case);
        stopped
    }

    /// The test with its row's values and what it leaves to its file, and the world that it begins in.
    fn prepare(&self, common: &Common, test: &Node, row: Option<&Row<'_>>) -> Read<(Node, Play)> {
        let filled = match (row, &test.value) {
            (Some(row), Value::Map(entries)) => {
                let rest = entries.iter().filter(|(key, _)| key.text != "table").cloned().collect();
                row.fill(&Node { place: test.place, value: Value::Map(rest) })?
            }
            _ => test.clone(),
        };
        let snapshot = with_entities(filled.get("entities"), &common.snapshot)?;
        let whole = common.shared.overlaid(&filled);
        let play = Play::begin(&whole, snapshot, self.options.coverage.clone())?;
        Ok((whole, play))
    }

    /// Makes the steps, up to the first that is not as it should be: what comes after it means nothing.
    fn play(&mut self, test: &Node, play: &mut Play, case: &mut Case) -> Result<(), Stop> {
        let steps = match steps(test) {
            Ok(steps) => steps,
            Err(fault) => {
                case.problems.push(self.named(&case.name, &fault));
                return Ok(());
            }
        };
        for (number, step) in steps.iter().enumerate() {
            // The first one was counted with its test.
            if number > 0 {
                self.count(step.place)?;
            }
            case.steps += 1;
            let which = match steps.len() {
                1 => String::new(),
                _ => format!(", step {}{}", number + 1, called(step)),
            };
            let name = format!("{}{which}", case.name);
            match play.step(step, steps.len() == 1) {
                Ok(Stepped { differences, explanation }) => {
                    let failed = |difference: &Difference| self.failed(&name, difference, &explanation);
                    case.problems.extend(differences.iter().map(failed));
                }
                Err(fault) => case.problems.push(self.named(&name, &fault)),
            }
            if !case.problems.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn failed(&self, name: &str, difference: &Difference, explanation: &str) -> Problem {
        let Difference { place, what, expected, found } = difference;
        let message = format!("{name}: {what}: expected `{}`, found `{}`", shown(expected), shown(found));
        self.at(*place, FAILED, message).with_help(explanation)
    }

    fn named(&self, name: &str, fault: &Fault) -> Problem {
        self.at(fault.place, SYNTAX, format!("{name}: {}", fault.message))
    }

    fn at(&self, place: Place, code: &'static str, message: String) -> Problem {
        place.problem(self.file, self.text, code, message)
    }
}

/// What the tests have in common, and each of them.
fn read(root: &Node) -> Read<(Node, &[Node])> {
    let mut fields = Fields::of(root)?;
    let mut common = Vec::new();
    for name in COMMON {
        if let Some(node) = fields.take(name) {
            common.push((Key { text: name.to_owned(), place: node.place }, node.clone()));
        }
    }
    let tests = list(fields.require("tests")?)?;
    fields.finish()?;
    Ok((Node { place: root.place, value: Value::Map(common) }, tests))
}

/// The steps of a test: a test without `steps` is one itself.
fn steps(test: &Node) -> Read<Vec<&Node>> {
    let mut fields = Fields::of(test)?;
    text(fields.require("name")?)?;
    for name in COMMON {
        fields.take(name);
    }
    let Some(steps) = fields.take("steps") else { return Ok(vec![test]) };
    fields.finish()?;
    let steps = list(steps)?;
    if steps.is_empty() { Err(test.fault("this test has no steps")) } else { Ok(steps.iter().collect()) }
}

fn called(step: &Node) -> String {
    step.get("name").and_then(|name| text(name).ok()).map(|name| format!(" ({name})")).unwrap_or_default()
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
