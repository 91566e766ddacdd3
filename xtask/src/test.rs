//! The tests.

use std::process::Command;

use crate::command::{cargo, run};
use crate::{check, tools};

/// Everything, the test runner's own summary last.
///
/// # Errors
/// When something cannot be installed, or one of the steps fails.
pub fn all() -> anyhow::Result<()> {
    let tools = Tools::install()?;
    check::format_and_lints()?;
    // The end-to-end tests run the binary, which the runner does not build for them.
    run(cargo(&["build", "--workspace", "--bins"]))?;
    run(tools.told_to(cargo(&["test", "--workspace"])))
}

/// The end-to-end tests alone.
///
/// # Errors
/// When something cannot be installed, or a test fails.
pub fn end_to_end(rest: &[String]) -> anyhow::Result<()> {
    let tools = Tools::install()?;
    // The whole workspace, as `all` builds it: another selection has other features, and rebuilds half of the dependencies.
    run(cargo(&["build", "--workspace", "--bins"]))?;
    let mut tests = cargo(&["test", "--package", "chaperone-e2e", "--test", "e2e", "--"]);
    tests.args(rest);
    run(tools.told_to(tests))
}

/// Decisions by compiled policies beside those of Cedar's authorizer.
///
/// # Errors
/// When it cannot be built, or two decisions differ.
pub fn differential(rest: &[String]) -> anyhow::Result<()> {
    let package = ["run", "--release", "--package", "chaperone-policy", "--features", "differential"];
    let mut compare = cargo(&package);
    compare.args(["--example", "differential", "--"]).args(rest);
    run(compare)
}

/// Generates the API crate again.
///
/// # Errors
/// When the protos do not compile.
pub fn codegen() -> anyhow::Result<()> {
    let mut generate = cargo(&["test", "--package", "chaperone-api", "--test", "codegen"]);
    generate.env("CHAPERONE_CODEGEN", "write");
    run(generate)
}

/// What the tests need, and the variables that say where it is.
struct Tools(Vec<(&'static str, std::path::PathBuf)>);

impl Tools {
    fn install() -> anyhow::Result<Self> {
        let mut places = vec![("CHAPERONE_POSTGRES_BIN_DIR", tools::postgres()?)];
        places.push(("CHAPERONE_ANALYSIS_SOLVER", tools::solver()?));
        for envoy in tools::ENVOYS {
            places.push((envoy.1, tools::envoy(envoy)?));
        }
        Ok(Self(places))
    }

    fn told_to(&self, mut command: Command) -> Command {
        command.envs(self.0.iter().map(|(name, place)| (name, place)));
        command
    }
}
