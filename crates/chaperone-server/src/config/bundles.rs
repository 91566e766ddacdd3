//! Options of who may bring and activate bundles.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use chaperone_analysis::Solver;

use super::{AdminConfig, OptionProblem, parse_duration};
use crate::analyzer::{Analyzer, SERVER_LIMITS};
use crate::bundle_rules::{BundleRules, Signers};
use crate::expansion_rule::ExpansionRule;

/// Who may bring and activate bundles.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Bundles")]
pub struct BundlesConfig {
    /// File with the public Ed25519 keys of those who may sign bundles: a key in base64 and a name a line. With it, an upload that none of
    /// them signed is refused
    #[arg(id = "bundles-signers-file", long, env = "CHAPERONE_BUNDLES_SIGNERS_FILE", value_name = "FILE")]
    pub signers_file: Option<PathBuf>,
    /// Whether a bundle is only activated by somebody else than who uploaded it. Both need client certificates
    #[arg(
        id = "bundles-two-people",
        long,
        env = "CHAPERONE_BUNDLES_TWO_PEOPLE",
        value_name = "BOOL",
        default_value = "false",
        action = clap::ArgAction::Set
    )]
    pub two_people: bool,
    /// Whether a bundle that can allow what the active one does not, or of which that cannot be decided, is only activated with
    /// --allow-expansion. Needs cvc5
    #[arg(
        id = "bundles-expansion-consent",
        long,
        env = "CHAPERONE_BUNDLES_EXPANSION_CONSENT",
        value_name = "BOOL",
        default_value = "false",
        action = clap::ArgAction::Set
    )]
    pub expansion_consent: bool,
    /// How far back what a bundle counts, labels and remembers for the first time is filled in from the trail, before it is activated; 0s:
    /// not at all, it begins with the activation
    #[arg(
        id = "bundles-backfill",
        long,
        env = "CHAPERONE_BUNDLES_BACKFILL",
        value_name = "DURATION",
        default_value = "24h",
        value_parser = parse_duration
    )]
    pub backfill: Duration,
    /// The solver that tells what a bundle can allow, for --bundles-expansion-consent and for differences: cvc5, which is looked for in
    /// PATH unless this names it
    #[arg(id = "analysis-solver", long, env = "CHAPERONE_ANALYSIS_SOLVER", value_name = "FILE")]
    pub analysis_solver: Option<PathBuf>,
}

impl BundlesConfig {
    /// The rules, with the file read and the solver found.
    ///
    /// # Errors
    /// When the file cannot be used, or a solver is needed and there is none.
    pub fn rules(&self) -> Result<BundleRules, OptionProblem> {
        let signers = self.signers_file.as_deref().map(Signers::load).transpose();
        let signers =
            signers.map_err(|error| OptionProblem { option: "bundles-signers-file", message: error.to_string() })?;
        let no_solver = |error| OptionProblem {
            option: "bundles-expansion-consent",
            message: format!("needs a solver: {error}; install cvc5, or name it with --analysis-solver"),
        };
        if self.expansion_consent {
            Solver::find(self.analysis_solver.as_deref()).map_err(no_solver)?;
        }
        let expansion = self.expansion_consent.then(|| ExpansionRule::new(self.analyzer()));
        Ok(BundleRules { signers, two_people: self.two_people, expansion })
    }

    /// Who finds out what a bundle can allow. Each one has turns of its own, so that who activates does not wait for those who only look.
    pub fn analyzer(&self) -> Analyzer {
        Analyzer::new(self.analysis_solver.clone(), SERVER_LIMITS)
    }

    /// What is wrong with them.
    pub(super) fn check(&self, admin: &AdminConfig) -> Vec<OptionProblem> {
        let mut problems: Vec<_> = self.rules().err().into_iter().collect();
        if self.two_people && admin.allowed_clients.len() < 2 {
            let message = "two people are told apart by their client certificates: name at least two with --admin-allowed-clients";
            problems.push(OptionProblem { option: "bundles-two-people", message: message.to_owned() });
        }
        problems
    }
}
